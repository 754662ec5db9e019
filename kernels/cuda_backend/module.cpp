// The table that the program takes from the module.
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda_backend/backend.h"

extern "C" __attribute__((visibility("default"))) const ovid::kernels::cuda::Backend*
ovid_cuda_backend() {
  using namespace ovid::kernels;
  static const cuda::Backend table{
      .interface = cuda::kModuleInterface,
      .device_count = &cuda::count_devices,
      .open_device = &cuda::open_device_state,
      .collectives_unavailable = &cuda::collectives_unavailable,
      .make_collective_id = &cuda::make_collective_id,
      .open_collectives = &cuda::open_collectives,
      .adamw_update = &cuda::adamw_update,
      .attention_forward = &cuda::attention_forward,
      .attention_backward = &cuda::attention_backward,
      .cached_attention_forward = &cuda::cached_attention_forward,
      .convert = &cuda::convert,
      .set_zero = &cuda::set_zero,
      .dropout_forward = &cuda::dropout_forward,
      .dropout_backward = &cuda::dropout_backward,
      .embedding_forward = &cuda::embedding_forward,
      .embedding_backward = &cuda::embedding_backward,
      .gelu_forward = &cuda::gelu_forward,
      .gelu_backward = &cuda::gelu_backward,
      .gradient_norm = &cuda::gradient_norm,
      .layernorm_forward = &cuda::layernorm_forward,
      .layernorm_backward = &cuda::layernorm_backward,
      .residual_layernorm_forward = &cuda::residual_layernorm_forward,
      .residual_layernorm_backward = &cuda::residual_layernorm_backward,
      .linear_forward = &cuda::linear_forward,
      .linear_backward = &cuda::linear_backward,
      .linear_gelu_forward = &cuda::linear_gelu_forward,
      .linear_gelu_backward = &cuda::linear_gelu_backward,
      .moving_average_update = &cuda::moving_average_update,
      .softmax_cross_entropy = &cuda::softmax_cross_entropy,
      .step_guard = &cuda::step_guard,
  };
  return &table;
}
