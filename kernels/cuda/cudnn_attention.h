#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/common/dtype.h"

// What the CUDA module and the optional module libovid_cudnn.so agree on: attention by NVIDIA's
// cuDNN. No type of CUDA or cuDNN crosses the border. Inside the CUDA module only.
namespace ovid::kernels::cuda {

// One causal attention, of D columns in each of H heads; kernels/attention/attention.h has the
// formula, the layouts and what they are called.
struct CudnnAttentionProblem {
  std::int64_t sequences, length, heads, head_width;  // B, T, H, D
  DType dtype;                                        // bfloat16 or float16
  auto operator<=>(const CudnnAttentionProblem&) const = default;
};

struct CudnnAttentionForward {
  const void* qkv;    // (B, T, 3C)
  void* out;          // (B, T, C), written
  void* log_sum_exp;  // (B, H, T) float32, written
};

struct CudnnAttentionBackward {
  const void* d_out;        // (B, T, C)
  const void* qkv;          // (B, T, 3C)
  const void* out;          // (B, T, C)
  const void* log_sum_exp;  // (B, H, T) float32
  void* d_qkv;              // (B, T, 3C), written
};

// cuDNN on the current device. The first call of a problem builds its plan and takes the memory
// that this needs, so it must not be captured into a graph; later ones only enqueue. All throw
// DeviceError, with cuDNN's own reason.
class CudnnAttention {
 public:
  virtual ~CudnnAttention() = default;
  // `stream`: a cudaStream_t.
  virtual void forward(const CudnnAttentionProblem& problem, const CudnnAttentionForward& operands,
                       void* stream) = 0;
  virtual void backward(const CudnnAttentionProblem& problem,
                        const CudnnAttentionBackward& operands, void* stream) = 0;
};

// Changes whenever a struct of this header does.
inline constexpr const char* kCudnnInterface = "ovid-cudnn-1";

// What `extern "C" const CudnnModule* ovid_cudnn_module()` of the module returns.
struct CudnnModule {
  const char* interface;
  std::string (*version)();  // of cuDNN: "9.19.0"
  // Takes a handle on the current device. Throws DeviceError.
  std::unique_ptr<CudnnAttention> (*open)();
  // Makes both graphs of a problem and has the library's front end check them, as far as that
  // goes without a device. Throws DeviceError.
  void (*validate)(const CudnnAttentionProblem& problem);
};

// The module, loaded at the first call. Sought where the environment variable OVID_CUDNN_MODULE
// says, or as libovid_cudnn.so beside the CUDA module. Throws DeviceError with the reason and the
// cure where it cannot be loaded.
const CudnnModule& cudnn_module();

}  // namespace ovid::kernels::cuda
