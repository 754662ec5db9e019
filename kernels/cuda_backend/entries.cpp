// The cuda:: entries that the ops declare: each hands over to the loaded module, or throws the
// error that says why there is none, so that callers carry no #ifdef.
#include "kernels/cuda_backend/backend.h"

namespace ovid::kernels::cuda {

using Context = ExecutionContext;

void embedding_forward(Context& ctx, const Embedding& op, const EmbeddingShape& shape) {
  backend().embedding_forward(ctx, op, shape);
}
void embedding_backward(Context& ctx, const EmbeddingGradient& op, const EmbeddingShape& shape) {
  backend().embedding_backward(ctx, op, shape);
}
void layernorm_forward(Context& ctx, const LayerNorm& op, RowShape shape) {
  backend().layernorm_forward(ctx, op, shape);
}
void layernorm_backward(Context& ctx, const LayerNormGradient& op, RowShape shape) {
  backend().layernorm_backward(ctx, op, shape);
}
void residual_layernorm_forward(Context& ctx, const ResidualLayerNorm& op, RowShape shape) {
  backend().residual_layernorm_forward(ctx, op, shape);
}
void residual_layernorm_backward(Context& ctx, const ResidualLayerNormGradient& op,
                                 RowShape shape) {
  backend().residual_layernorm_backward(ctx, op, shape);
}
void linear_forward(Context& ctx, const Linear& op, const LinearShape& shape) {
  backend().linear_forward(ctx, op, shape);
}
void linear_backward(Context& ctx, const LinearGradient& op, const LinearShape& shape) {
  backend().linear_backward(ctx, op, shape);
}
void linear_gelu_forward(Context& ctx, const LinearGelu& op, const LinearShape& shape) {
  backend().linear_gelu_forward(ctx, op, shape);
}
void linear_gelu_backward(Context& ctx, const LinearGeluGradient& op, const LinearShape& shape) {
  backend().linear_gelu_backward(ctx, op, shape);
}
void attention_forward(Context& ctx, const Attention& op, const AttentionShape& shape) {
  backend().attention_forward(ctx, op, shape);
}
void attention_backward(Context& ctx, const AttentionGradient& op, const AttentionShape& shape) {
  backend().attention_backward(ctx, op, shape);
}
void cached_attention_forward(Context& ctx, const CachedAttention& op,
                              const CachedAttentionShape& shape) {
  backend().cached_attention_forward(ctx, op, shape);
}
void gelu_forward(Context& ctx, const Gelu& op) {
  backend().gelu_forward(ctx, op);
}
void gelu_backward(Context& ctx, const GeluGradient& op) {
  backend().gelu_backward(ctx, op);
}
void softmax_cross_entropy(Context& ctx, const SoftmaxCrossEntropy& op) {
  backend().softmax_cross_entropy(ctx, op);
}
void dropout_forward(Context& ctx, const Dropout& op) {
  backend().dropout_forward(ctx, op);
}
void dropout_backward(Context& ctx, const DropoutGradient& op) {
  backend().dropout_backward(ctx, op);
}
void adamw_update(Context& ctx, const AdamW& op) {
  backend().adamw_update(ctx, op);
}
void moving_average_update(Context& ctx, const MovingAverage& op) {
  backend().moving_average_update(ctx, op);
}
void gradient_norm(Context& ctx, const GradientNorm& op) {
  backend().gradient_norm(ctx, op);
}
void step_guard(Context& ctx, const StepGuard& op) {
  backend().step_guard(ctx, op);
}
void convert(Context& ctx, const Convert& op) {
  backend().convert(ctx, op);
}
void set_zero(Context& ctx, const SetZero& op) {
  backend().set_zero(ctx, op);
}

// Those of the device collectives (kernels/cuda/device_collectives.h).
std::string collectives_unavailable() noexcept {
  try {
    return backend().collectives_unavailable();
  } catch (const std::exception& error) {
    return error.what();
  }
}
CollectiveId make_collective_id() {
  return backend().make_collective_id();
}
std::unique_ptr<DeviceCollectives> open_collectives(Device& device, const CollectiveGroup& group) {
  return backend().open_collectives(device, group);
}

}  // namespace ovid::kernels::cuda
