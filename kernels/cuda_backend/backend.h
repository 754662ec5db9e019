#pragma once

#include <memory>
#include <string>

#include "kernels/adamw/adamw.h"
#include "kernels/attention/attention.h"
#include "kernels/convert/convert.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/device_collectives.h"
#include "kernels/dropout/dropout.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gelu/gelu.h"
#include "kernels/gradient_norm/gradient_norm.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/moving_average/moving_average.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "kernels/step_guard/step_guard.h"

// What the program and its CUDA module (libovid_cuda.so) agree on. The module is loaded at the
// first call that needs it, so that a program built with CUDA starts, at no cost, where CUDA's
// libraries are absent.
namespace ovid::kernels::cuda {

// Changes whenever a struct that crosses the border does; a module of another build is refused.
inline constexpr const char* kModuleInterface = "ovid-cuda-4";

// The module's functions. Members have the names and types of the entries that the ops declare.
struct Backend {
  const char* interface;
  int (*device_count)();
  std::unique_ptr<Device> (*open_device)(int index);
  decltype(&cuda::collectives_unavailable) collectives_unavailable;
  decltype(&cuda::make_collective_id) make_collective_id;
  decltype(&cuda::open_collectives) open_collectives;

  decltype(&cuda::adamw_update) adamw_update;
  decltype(&cuda::attention_forward) attention_forward;
  decltype(&cuda::attention_backward) attention_backward;
  decltype(&cuda::cached_attention_forward) cached_attention_forward;
  decltype(&cuda::convert) convert;
  decltype(&cuda::set_zero) set_zero;
  decltype(&cuda::dropout_forward) dropout_forward;
  decltype(&cuda::dropout_backward) dropout_backward;
  decltype(&cuda::embedding_forward) embedding_forward;
  decltype(&cuda::embedding_backward) embedding_backward;
  decltype(&cuda::gelu_forward) gelu_forward;
  decltype(&cuda::gelu_backward) gelu_backward;
  decltype(&cuda::gradient_norm) gradient_norm;
  decltype(&cuda::layernorm_forward) layernorm_forward;
  decltype(&cuda::layernorm_backward) layernorm_backward;
  decltype(&cuda::residual_layernorm_forward) residual_layernorm_forward;
  decltype(&cuda::residual_layernorm_backward) residual_layernorm_backward;
  decltype(&cuda::linear_forward) linear_forward;
  decltype(&cuda::linear_backward) linear_backward;
  decltype(&cuda::linear_gelu_forward) linear_gelu_forward;
  decltype(&cuda::linear_gelu_backward) linear_gelu_backward;
  decltype(&cuda::moving_average_update) moving_average_update;
  decltype(&cuda::softmax_cross_entropy) softmax_cross_entropy;
  decltype(&cuda::step_guard) step_guard;
};

// The module, loaded at the first call. Sought where the environment variable OVID_CUDA_MODULE
// says, or as libovid_cuda.so beside the program, then in ../lib/ovid. Throws DeviceError with the
// reason and the cure where it cannot be loaded.
const Backend& backend();

// How many devices the module sees, and why there is none where it is 0. Costs nothing on a machine
// without a driver: the module is not loaded there.
struct Availability {
  int devices = 0;
  std::string reason;
};
Availability availability() noexcept;

// Opens one device. Throws DeviceError.
std::unique_ptr<Device> open_device(int index);

}  // namespace ovid::kernels::cuda
