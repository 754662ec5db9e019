#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <source_location>
#include <string>

#include "kernels/common/errors.h"

// Every call into CUDA passes through check(); kernels/cuda and the .cu files only.
namespace ovid::kernels::cuda {

inline std::string place_text(const std::source_location& place) {
  const std::string path = place.file_name();
  return path.substr(path.rfind("kernels/") == std::string::npos ? 0 : path.rfind("kernels/")) +
         ":" + std::to_string(place.line());
}

// Throws DeviceError (DeviceMemoryError where memory is lacking) naming the call's place.
inline void check(cudaError_t status,
                  std::source_location place = std::source_location::current()) {
  if (status == cudaSuccess) return;
  const std::string text = std::string("CUDA: ") + cudaGetErrorName(status) + " (" +
                           cudaGetErrorString(status) + ") at " + place_text(place);
  if (status == cudaErrorMemoryAllocation) throw DeviceMemoryError(text);
  throw DeviceError(text);
}

inline void check(cublasStatus_t status,
                  std::source_location place = std::source_location::current()) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string text =
      std::string("cuBLASLt: ") + cublasLtGetStatusName(status) + " at " + place_text(place);
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw DeviceMemoryError(text);
  throw DeviceError(text);
}

// After a launch: errors of the launch itself, with the kernel's name. What goes wrong while it
// runs shows at the next synchronisation; CUDA_LAUNCH_BLOCKING=1 brings it here.
inline void check_launch(const char* kernel,
                         std::source_location place = std::source_location::current()) {
  const cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess) return;
  throw DeviceError(std::string("CUDA: launch of ") + kernel + ": " + cudaGetErrorName(status) +
                    " (" + cudaGetErrorString(status) + ") at " + place_text(place));
}

}  // namespace ovid::kernels::cuda
