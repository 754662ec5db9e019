#include "tests/ptx_emulator/runtime/runtime.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "tests/ptx_emulator/runtime/memory_pool.h"
#include "tests/ptx_emulator/runtime/thread_state.h"

namespace ptx_emulator {
namespace {

std::mutex& report_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

// Set by the _ptsz and _ptds entries (per_thread_entries.cpp) just before they jump to the plain
// ones.
extern "C" {
__attribute__((visibility("hidden"),
               tls_model("initial-exec"))) thread_local unsigned char ptx_emulator_per_thread = 0;
}

ThreadState& thread_state() {
  static thread_local ThreadState state;
  return state;
}

int& current_device() {
  return thread_state().device;
}
cudaError_t& last_error() {
  return thread_state().last_error;
}
cudaError_t remember(cudaError_t error) {
  // "Not ready" too: programs clear it after a query.
  if (error != cudaSuccess) last_error() = error;
  return error;
}

void print_api_error(const char* function, const ApiError& error) {
  if (error.what()[0] == '\0') return;
  const std::lock_guard lock(report_mutex());
  std::fprintf(stderr, "ptx-emulator: %s: %s (%s)\n", function, error.what(),
               error_name(error.code()));
}

Runtime::Runtime()
    : settings(read_settings()),
      scheduler(mutex, settings.machine.seed),
      host_memory(std::numeric_limits<std::uint64_t>::max()) {
  clock_ms();
  for (int i = 0; i < settings.num_devices; ++i) {
    devices.push_back(std::make_unique<Device>(i, settings, host_memory));
  }
}

Runtime& Runtime::instance() {
  static Runtime* const runtime = [] {
    Runtime* const made = new Runtime;
    watch_host_accesses(*made);
    std::atexit([] { report_at_exit(Runtime::instance()); });
    return made;
  }();
  return *runtime;
}

Device* Runtime::owner(std::uint64_t address) {
  for (const auto& device : devices) {
    if (device->memory().reserves(address)) return device.get();
  }
  return nullptr;
}

const Allocation* Runtime::find(std::uint64_t address) const {
  for (const auto& device : devices) {
    if (const Allocation* const found = device->memory().find(address)) return found;
  }
  return nullptr;
}

std::byte* Runtime::host_pointer(std::uint64_t address, std::uint64_t bytes) const {
  const Allocation* const found = find(address);
  if (found != nullptr) {
    if (found->freed || bytes > found->end - address) return nullptr;
    return reinterpret_cast<std::byte*>(address + static_cast<std::uint64_t>(found->to_host));
  }
  bool reserved = host_memory.reserves(address);
  for (const auto& device : devices) reserved |= device->memory().reserves(address);
  return reserved || address == 0 ? nullptr : reinterpret_cast<std::byte*>(address);
}

std::string Runtime::describe(std::uint64_t address) const {
  char text[200];
  const Allocation* found = find(address);
  if (found != nullptr) {
    const unsigned long long offset = address - found->begin;
    std::snprintf(text, sizeof text, "0x%llx, %llu bytes into %s (allocation %llu)%s",
                  static_cast<unsigned long long>(address), offset, found->label.c_str(),
                  static_cast<unsigned long long>(found->number),
                  found->freed ? ", which was freed" : "");
    return text;
  }
  const Allocation* below = nullptr;
  bool reserved = host_memory.reserves(address);
  for (const auto& device : devices) {
    if (device->memory().reserves(address)) {
      reserved = true;
      below = device->memory().nearest_below(address);
    }
  }
  if (!reserved) {
    std::snprintf(text, sizeof text, "0x%llx, plain memory of the host",
                  static_cast<unsigned long long>(address));
  } else if (below != nullptr && address >= below->end) {
    std::snprintf(text, sizeof text, "0x%llx, %llu bytes past the end of %s (allocation %llu)",
                  static_cast<unsigned long long>(address),
                  static_cast<unsigned long long>(address - below->end), below->label.c_str(),
                  static_cast<unsigned long long>(below->number));
  } else {
    std::snprintf(text, sizeof text, "0x%llx, device memory that was never allocated",
                  static_cast<unsigned long long>(address));
  }
  return text;
}

void Runtime::report(const std::string& text, const std::string& key) {
  if (text.empty()) return;
  const std::lock_guard lock(report_mutex());
  ++num_reports_;
  if (!key.empty() && !reported_keys_.insert(key).second) {
    ++num_repeated_reports_;
    return;
  }
  std::fflush(stdout);
  std::fprintf(stderr, "ptx-emulator: %s\n", text.c_str());
}

void break_device(Device& device, cudaError_t error) {
  if (device.sticky == cudaSuccess) device.sticky = error;
  Runtime::instance().scheduler.discard(&device);
}

bool take_per_thread_flag() {
  return std::exchange(ptx_emulator_per_thread, static_cast<unsigned char>(0)) != 0;
}

Call::Call(const char* function_name)
    : runtime(Runtime::instance()),
      function(function_name),
      lock(runtime.mutex),
      per_thread(take_per_thread_flag()) {
  runtime.scheduler.note_call();
}

Device& Call::any_device() {
  require(!runtime.devices.empty(), "", cudaErrorNoDevice);
  Device& device = *runtime.devices[static_cast<std::size_t>(current_device())];
  device.used = true;
  return device;
}

Device& Call::device() {
  Device& device = any_device();
  require(device.sticky == cudaSuccess, "", device.sticky);
  return device;
}

Device& Call::device(int index) {
  if (index < 0 || static_cast<std::size_t>(index) >= runtime.devices.size()) {
    throw ApiError(cudaErrorInvalidDevice, "device " + std::to_string(index) + " of " +
                                               std::to_string(runtime.devices.size()) +
                                               "; PTX_EMULATOR_DEVICES sets their number");
  }
  return *runtime.devices[static_cast<std::size_t>(index)];
}

Stream& Call::stream(cudaStream_t handle) {
  if (handle == nullptr) handle = per_thread ? cudaStreamPerThread : cudaStreamLegacy;
  if (handle == cudaStreamLegacy) return device().legacy_stream();
  if (handle == cudaStreamPerThread) {
    Device& here = device();
    std::unique_ptr<Stream>& stream =
        thread_state().default_streams[static_cast<std::size_t>(here.index())];
    if (!stream) {
      stream = std::make_unique<Stream>();
      stream->device = &here;
      stream->per_thread = true;
      stream->id = runtime.next_stream_id++;
      here.streams.push_back(stream.get());
    }
    return *stream;
  }
  const auto found = runtime.streams.find(handle);
  require(found != runtime.streams.end(), "the stream does not exist (any more)",
          cudaErrorInvalidResourceHandle);
  require(found->second->device->sticky == cudaSuccess, "", found->second->device->sticky);
  return *found->second;
}

std::shared_ptr<Event>& Call::event(cudaEvent_t handle) {
  const auto found = runtime.events.find(handle);
  require(found != runtime.events.end(), "the event does not exist (any more)",
          cudaErrorInvalidResourceHandle);
  return found->second;
}

void Call::forbid_capture() {
  const ThreadState& thread = thread_state();
  if (thread.capture_mode == cudaStreamCaptureModeRelaxed) return;
  for (const std::weak_ptr<Capture>& weak : runtime.graphs.captures) {
    const std::shared_ptr<Capture> capture = weak.lock();
    if (!capture || !capture->graph) continue;
    const bool everywhere = capture->mode == cudaStreamCaptureModeGlobal &&
                            thread.capture_mode == cudaStreamCaptureModeGlobal;
    const bool here =
        capture->thread == thread.number && capture->mode != cudaStreamCaptureModeRelaxed;
    if (!everywhere && !here) continue;
    invalidate(*capture);
    throw ApiError(cudaErrorStreamCaptureUnsupported,
                   "not allowed while a stream captures in this mode");
  }
}

}  // namespace ptx_emulator
