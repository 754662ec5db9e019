#include "src/model/language_model_head.h"

#include <algorithm>

#include "kernels/linear/linear.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

namespace ovid::model {

using kernels::WeightLayout;

void language_model_head(ExecutionContext& ctx, const LanguageModelHead& op) {
  const std::int64_t rows = op.normed.rows();
  const std::int64_t chunk = op.logits.rows();
  const ConstView targets = op.targets.reshaped(Shape{rows, 1});
  const View losses = op.losses.reshaped(Shape{rows, 1});
  const bool wants_gradient = op.d_normed || op.d_weight;
  for (std::int64_t first = 0; first < rows; first += chunk) {
    const std::int64_t count = std::min(chunk, rows - first);
    const View normed = op.normed.row_range(first, count);
    const View logits = op.logits.row_range(0, count);
    linear_forward(
        ctx, {.in = normed, .weight = op.weight, .out = logits, .layout = WeightLayout::kOutIn});
    softmax_cross_entropy(ctx, {.logits = logits,
                                .targets = targets.row_range(first, count).reshaped(Shape{count}),
                                .losses = losses.row_range(first, count).reshaped(Shape{count}),
                                .scale = op.scale,
                                .write_gradient = wants_gradient});
    if (!wants_gradient) continue;
    std::optional<View> d_normed;
    if (op.d_normed) d_normed.emplace(op.d_normed->row_range(first, count));
    linear_backward(
        ctx, {.d_out = logits,
              .in = normed,
              .weight = op.weight,
              .d_in = d_normed,
              .d_weight = op.d_weight,
              .layout = WeightLayout::kOutIn,
              .d_weight_mode = first == 0 ? op.d_weight_mode : kernels::GradientMode::kAccumulate});
  }
}

}  // namespace ovid::model
