#include "tests/ptx_emulator/runtime/extension.h"

#include <algorithm>
#include <thread>

#include "tests/ptx_emulator/machine/observer.h"
#include "tests/ptx_emulator/runtime/runtime.h"

using namespace ptx_emulator;

#pragma GCC visibility push(default)
extern "C" {

void* ptxEmulatorHostPointer(const void* device, std::size_t bytes) {
  return Runtime::instance().host_pointer(reinterpret_cast<std::uint64_t>(device), bytes);
}

int ptxEmulatorEnqueue(CUstream_st* handle, void (*work)(void*), void* data, void (*destroy)(void*),
                       const char* label) {
  return api(label != nullptr ? label : "ptxEmulatorEnqueue", [&](Call& call) {
    require(work != nullptr, "the work is null");
    Stream& stream = call.stream(handle);
    require(!stream.capture || !stream.capture->invalid, "", cudaErrorStreamCaptureInvalidated);
    auto foreign = std::make_shared<ForeignWork>();
    foreign->work = work;
    foreign->data = data;
    foreign->label = label != nullptr ? label : "";
    ForeignWork* const owned = foreign.get();
    try {
      submit(call.lock, stream, ForeignOperation{foreign});
    } catch (...) {
      // An error leaves the data with the caller, even where something was queued before.
      owned->work = nullptr;
      throw;
    }
    owned->destroy = destroy;
  });
}

void ptxEmulatorFault(int error, const char* message) {
  Runtime& runtime = Runtime::instance();
  runtime.report(message != nullptr ? message : "a fault without a message");
  const Lock lock(runtime.mutex);
  if (!runtime.devices.empty()) {
    Device* const device = runtime.scheduler.running_device();
    break_device(
        device != nullptr ? *device : *runtime.devices[static_cast<std::size_t>(current_device())],
        static_cast<cudaError_t>(error));
  }
}

void ptxEmulatorNoteWritten(const void* device, std::size_t bytes) {
  Runtime& runtime = Runtime::instance();
  if (!runtime.settings.machine.checks.uninitialised || bytes == 0) return;
  const auto address = reinterpret_cast<std::uint64_t>(device);
  if (Device* const owner = runtime.owner(address)) {
    note_initialised(owner->memory(), address, bytes);
  }
}

int ptxEmulatorNumThreads(void) {
  const std::uint32_t asked = Runtime::instance().settings.machine.num_threads;
  return asked != 0 ? static_cast<int>(asked)
                    : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // extern "C"
#pragma GCC visibility pop
