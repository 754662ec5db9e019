#include "tests/ptx_emulator/runtime/runtime.h"

using namespace ptx_emulator;

namespace {

// The sticky error of the thread's device before the thread's own.
cudaError_t pending_error() {
  Runtime& runtime = Runtime::instance();
  const Lock lock(runtime.mutex);
  runtime.scheduler.note_call();
  if (!runtime.devices.empty()) {
    const cudaError_t sticky = runtime.devices[static_cast<std::size_t>(current_device())]->sticky;
    if (sticky != cudaSuccess) return sticky;
  }
  return last_error();
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaGetLastError(void) {
  const cudaError_t error = pending_error();
  last_error() = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError(void) {
  return pending_error();
}
const char* cudaGetErrorName(cudaError_t error) {
  return error_name(error);
}
const char* cudaGetErrorString(cudaError_t error) {
  return error_text(error);
}

}  // extern "C"
#pragma GCC visibility pop
