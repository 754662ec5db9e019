#pragma once

#include <optional>

#include "kernels/common/execution_context.h"
#include "src/model/parameters.h"

namespace ovid::model {

using kernels::ExecutionContext;

// Logits, loss and, where d_normed is given, both gradients, chunk of rows by chunk of rows: the (B
// T, V) logits never exist at once (docs/math/cross_entropy.md).
struct LanguageModelHead {
  View normed;         // (B, T, C) output of the final norm
  View weight;         // (V, C)
  ConstView targets;   // (B, T) int32; kernels::kIgnoreTarget adds nothing
  View losses;         // (B T) nats, written; 0 where ignored
  View logits;         // (R, V) scratch for a chunk of R rows
  float scale = 1.0f;  // of the gradients: 1 / (valid targets of the global batch)
  std::optional<View> d_normed = std::nullopt;  // (B, T, C) overwritten; absent: not wanted
  std::optional<View> d_weight = std::nullopt;  // (V, C); absent: not wanted, or frozen
  kernels::GradientMode d_weight_mode = kernels::GradientMode::kAccumulate;
};

// Enqueued on ctx; throws ShapeError.
void language_model_head(ExecutionContext& ctx, const LanguageModelHead& op);

}  // namespace ovid::model
