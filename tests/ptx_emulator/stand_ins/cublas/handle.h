#pragma once
// cuBLAS's handle and what all of its functions share.

#include <cublas_api.h>

#include <functional>

#include "tests/ptx_emulator/stand_ins/support/matrix_product.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
  cublasAtomicsMode_t atomics_mode = CUBLAS_ATOMICS_NOT_ALLOWED;
  cublasMath_t math_mode = CUBLAS_DEFAULT_MATH;
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
  int sm_count_target = 0;
};

namespace ptx_emulator::stand_ins {

// Queues work on the handle's stream.
cublasStatus_t queue(cublasHandle_t handle, const char* function, std::function<void()> work);
// As queue, then waits for the stream: for results that the program wants in host memory.
cublasStatus_t queue_and_wait(cublasHandle_t handle, const char* function,
                              std::function<void()> work);

// alpha or beta in the handle's pointer mode.
Scalar scalar_of(cublasHandle_t handle, const void* pointer, NumberFormat format);
double value_of(const Scalar& scalar);  // when the work runs

cublasStatus_t invalid(const char* function, const char* reason);

}  // namespace ptx_emulator::stand_ins
