#include "tests/ptx_emulator/runtime/stub.h"

#include <cstdio>

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {

int unsupported(const char* function, std::atomic<bool>& told) {
  take_per_thread_flag();
  if (!told.exchange(true)) {
    std::fprintf(stderr, "ptx-emulator: %s is not supported; it returns error 801\n", function);
  }
  return remember(cudaErrorNotSupported);
}

}  // namespace ptx_emulator
