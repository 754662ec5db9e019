#include "src/evaluation/loss_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <span>
#include <vector>

#include "src/core/error.h"
#include "src/data/batch_share.h"
#include "src/data/sequence_order.h"
#include "src/data/token_loader.h"
#include "src/distributed/single_rank_communicator.h"
#include "src/evaluation/pass_numbers.h"
#include "src/model/model.h"
#include "src/model/pass_order.h"

namespace ovid::evaluation {

namespace {

// Of one rank's windows.
struct ShareSums {
  std::vector<double> windows;  // in order; shorter where the evaluation was ended
  std::int64_t targets = 0;
};

std::int64_t count_windows(const LossEvaluation& evaluation) {
  const std::int64_t length = evaluation.batch.length;
  const std::int64_t held = data::sequence_count(evaluation.dataset.total_tokens(), length);
  if (held == 0) {
    throw DataError(fmt::format(
        "the data hold {} tokens, fewer than one window of {} and its last target; use a "
        "shorter length or more data",
        evaluation.dataset.total_tokens(), length));
  }
  return evaluation.windows > 0 ? std::min(evaluation.windows, held) : held;
}

// Adds what the rows of `batch` gave, a window each.
void add_windows(const data::TokenBatch& batch, std::int64_t count, const float* losses,
                 ShareSums& sums) {
  for (std::int64_t row = 0; row < count; ++row) {
    double sum = 0;
    for (std::int64_t i = row * batch.length; i < (row + 1) * batch.length; ++i) {
      if (batch.targets[static_cast<std::size_t>(i)] == data::kIgnoreTarget) continue;
      sum += static_cast<double>(losses[i]);
      ++sums.targets;
    }
    sums.windows.push_back(sum);
  }
}

bool goes_on(const LossEvaluation& evaluation, std::int64_t done, std::int64_t all) {
  return !evaluation.on_progress || evaluation.on_progress(done, all);
}

// `most_windows`: of any rank.
ShareSums evaluate_share(kernels::ExecutionContext& ctx, const LossEvaluation& evaluation,
                         const data::BatchShare& share, std::int64_t most_windows) {
  const model::BatchShape shape = evaluation.batch;
  const data::TokenLoaderOptions options{.order = data::SequenceOrder::kSequential,
                                         .length = shape.length};
  data::TokenBatch batch;
  PassNumbers numbers(ctx.device(), shape);
  ShareSums sums;
  const std::int64_t most = evaluation.joins_passes ? most_windows : share.count;
  for (std::int64_t done = 0; done < most; done += shape.sequences) {
    if (done >= share.count) {
      model::tell_of_forward(evaluation.config, evaluation.on_weights_needed);
      if (goes_on(evaluation, share.count, share.count)) continue;
      break;
    }
    const std::int64_t count = std::min(shape.sequences, share.count - done);
    data::load_batch(evaluation.dataset, options, share.first + done, count, batch);
    // A short last batch keeps the shape; the rows that no window fills are ignored.
    const auto size = static_cast<std::size_t>(shape.rows());
    batch.tokens.resize(size, 0);
    batch.targets.resize(size, data::kIgnoreTarget);
    numbers.send(batch.tokens, batch.targets);
    const model::ModelPass pass{.config = evaluation.config,
                                .weights = evaluation.weights,
                                .tokens = numbers.tokens(),
                                .activations = evaluation.activations,
                                .on_weights_needed = evaluation.on_weights_needed};
    model::model_forward(ctx, pass);
    model::model_loss(ctx, pass, numbers.targets());
    add_windows(batch, count, numbers.fetch(evaluation.activations.losses), sums);
    if (!goes_on(evaluation, done + count, share.count)) break;
  }
  return sums;
}

// Windows in their order: those of rank 0 first. What each rank sends is as long as the largest
// share: how many windows it did, their targets, their sums.
LossSum sum_over_ranks(distributed::Communicator& communicator, std::int64_t windows,
                       const ShareSums& own) {
  const int ranks = communicator.count();
  const auto row = static_cast<std::size_t>((windows + ranks - 1) / ranks + 2);
  std::vector<std::int64_t> sent{static_cast<std::int64_t>(own.windows.size()), own.targets};
  for (const double sum : own.windows) sent.push_back(std::bit_cast<std::int64_t>(sum));
  sent.resize(row);
  std::vector<std::int64_t> all(row * static_cast<std::size_t>(ranks));
  communicator.exchange(std::as_bytes(std::span(sent)), std::as_writable_bytes(std::span(all)),
                        "losses of windows");
  LossSum total;
  for (int rank = 0; rank < ranks; ++rank) {
    const std::int64_t* of_rank = all.data() + static_cast<std::size_t>(rank) * row;
    total.complete &= of_rank[0] == data::share_of_batch(windows, rank, ranks).count;
    total.targets += of_rank[1];
    for (std::int64_t i = 0; i < of_rank[0]; ++i)
      total.sum += std::bit_cast<double>(of_rank[2 + i]);
  }
  return total;
}

}  // namespace

LossSum evaluate_loss(kernels::ExecutionContext& ctx, const LossEvaluation& evaluation) {
  const std::int64_t windows = count_windows(evaluation);
  distributed::SingleRankCommunicator alone;
  distributed::Communicator& communicator =
      evaluation.communicator != nullptr ? *evaluation.communicator : alone;
  const data::BatchShare share =
      data::share_of_batch(windows, communicator.rank(), communicator.count());
  const std::int64_t most = (windows + communicator.count() - 1) / communicator.count();
  return sum_over_ranks(communicator, windows, evaluate_share(ctx, evaluation, share, most));
}

}  // namespace ovid::evaluation
