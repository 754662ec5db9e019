#pragma once
// The runtime's errors: how functions of the API leave with one, and what each is called.

#include <exception>
#include <string>
#include <utility>

#include "tests/ptx_emulator/runtime/cuda_api.h"

namespace ptx_emulator {

// Ends a call with a code; the message (if any) is printed to standard error with the function's
// name.
class ApiError : public std::exception {
 public:
  explicit ApiError(cudaError_t code, std::string message = {})
      : code_(code), message_(std::move(message)) {}
  cudaError_t code() const { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  cudaError_t code_;
  std::string message_;
};

// "cudaErrorInvalidValue" and one sentence; for a number outside the enumeration the runtime's
// "unrecognized" texts.
const char* error_name(cudaError_t error);
const char* error_text(cudaError_t error);

// "invalid argument: WHAT" unless `condition`.
inline void require(bool condition, const char* what = "",
                    cudaError_t code = cudaErrorInvalidValue) {
  if (!condition) throw ApiError(code, what);
}

}  // namespace ptx_emulator
