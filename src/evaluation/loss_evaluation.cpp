#include "src/evaluation/loss_evaluation.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/core/error.h"
#include "src/data/sequence_order.h"
#include "src/data/token_loader.h"
#include "src/model/model.h"

namespace ovid::evaluation {

LossSum evaluate_loss(kernels::ExecutionContext& ctx, const LossEvaluation& evaluation) {
  const model::BatchShape shape = evaluation.batch;
  const std::int64_t held = data::sequence_count(evaluation.dataset.total_tokens(), shape.length);
  if (held == 0) {
    throw DataError(fmt::format(
        "the data hold {} tokens, fewer than one window of {} and its last target; use a "
        "shorter length or more data",
        evaluation.dataset.total_tokens(), shape.length));
  }
  const std::int64_t windows = evaluation.windows > 0 ? std::min(evaluation.windows, held) : held;
  const data::TokenLoaderOptions options{.order = data::SequenceOrder::kSequential,
                                         .length = shape.length};
  data::TokenBatch batch;
  LossSum total;
  for (std::int64_t first = 0; first < windows; first += shape.sequences) {
    const std::int64_t count = std::min(shape.sequences, windows - first);
    data::load_batch(evaluation.dataset, options, first, count, batch);
    // A short last batch keeps the shape; the rows that no window fills are ignored.
    const auto size = static_cast<std::size_t>(shape.rows());
    batch.tokens.resize(size, 0);
    batch.targets.resize(size, data::kIgnoreTarget);
    const kernels::Shape matrix{shape.sequences, shape.length};
    const model::ModelPass pass{
        .config = evaluation.config,
        .weights = evaluation.weights,
        .tokens = kernels::ConstView(batch.tokens.data(), kernels::DType::kInt32, matrix),
        .activations = evaluation.activations};
    model::model_forward(ctx, pass);
    model::model_loss(ctx, pass,
                      kernels::ConstView(batch.targets.data(), kernels::DType::kInt32, matrix));
    const float* losses = evaluation.activations.losses.data<float>();
    for (std::size_t i = 0; i < size; ++i) {
      if (batch.targets[i] == data::kIgnoreTarget) continue;
      total.sum += losses[i];
      ++total.targets;
    }
    if (evaluation.on_progress && !evaluation.on_progress(first + count, windows)) {
      total.complete = first + count == windows;
      break;
    }
  }
  return total;
}

}  // namespace ovid::evaluation
