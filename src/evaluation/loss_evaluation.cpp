#include "src/evaluation/loss_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "src/core/error.h"
#include "src/data/sequence_order.h"
#include "src/data/token_loader.h"
#include "src/memory/transfer.h"
#include "src/model/model.h"

namespace ovid::evaluation {

namespace {

using kernels::ConstView;
using kernels::DType;
using kernels::Shape;
using kernels::View;

// Tokens and targets of a pass where they are computed on, and its losses where they are added up.
// Without a device both are where they lie.
class PassNumbers {
 public:
  PassNumbers(kernels::cuda::Device* device, const model::BatchShape& shape)
      : device_(device),
        matrix_{shape.sequences, shape.length},
        arena_("tokens of an evaluation", device == nullptr ? 0 : measure(matrix_), device),
        tokens_(nullptr, DType::kInt32, matrix_),
        targets_(nullptr, DType::kInt32, matrix_) {
    if (device == nullptr) return;
    tokens_ = arena_.take("tokens", DType::kInt32, matrix_);
    targets_ = arena_.take("targets", DType::kInt32, matrix_);
    host_losses_.resize(static_cast<std::size_t>(shape.rows()));
  }

  void send(data::TokenBatch& batch) {
    const View tokens(batch.tokens.data(), DType::kInt32, matrix_);
    const View targets(batch.targets.data(), DType::kInt32, matrix_);
    if (device_ == nullptr) {
      tokens_ = tokens;
      targets_ = targets;
      return;
    }
    memory::copy_to_device(device_, tokens_, tokens);
    memory::copy_to_device(device_, targets_, targets);
  }

  ConstView tokens() const { return tokens_; }
  ConstView targets() const { return targets_; }

  // Waits for the device.
  const float* fetch(const View& losses) {
    if (device_ == nullptr) return losses.data<float>();
    memory::copy_to_host(device_, {host_losses_.data(), DType::kFloat32, losses.shape()}, losses);
    memory::synchronize(device_);
    return host_losses_.data();
  }

 private:
  static std::size_t measure(const Shape& matrix) {
    return memory::measure([&](memory::Arena& arena) {
      arena.take("tokens", DType::kInt32, matrix);
      arena.take("targets", DType::kInt32, matrix);
    });
  }

  kernels::cuda::Device* device_;
  Shape matrix_;
  memory::Arena arena_;
  View tokens_, targets_;
  std::vector<float> host_losses_;
};

}  // namespace

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
  PassNumbers numbers(ctx.device(), shape);
  LossSum total;
  for (std::int64_t first = 0; first < windows; first += shape.sequences) {
    const std::int64_t count = std::min(shape.sequences, windows - first);
    data::load_batch(evaluation.dataset, options, first, count, batch);
    // A short last batch keeps the shape; the rows that no window fills are ignored.
    const auto size = static_cast<std::size_t>(shape.rows());
    batch.tokens.resize(size, 0);
    batch.targets.resize(size, data::kIgnoreTarget);
    numbers.send(batch);
    const model::ModelPass pass{.config = evaluation.config,
                                .weights = evaluation.weights,
                                .tokens = numbers.tokens(),
                                .activations = evaluation.activations};
    model::model_forward(ctx, pass);
    model::model_loss(ctx, pass, numbers.targets());
    const float* losses = numbers.fetch(evaluation.activations.losses);
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
