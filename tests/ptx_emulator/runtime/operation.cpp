#include "tests/ptx_emulator/runtime/operation.h"

#include <cstring>
#include <optional>

#include "tests/ptx_emulator/machine/observer.h"
#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {
namespace {

cudaError_t code_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::kOutOfBounds:
    case FaultKind::kUseAfterFree:
    case FaultKind::kHostPointer:
    case FaultKind::kReadOnly:
      return cudaErrorIllegalAddress;
    case FaultKind::kMisaligned:
      return cudaErrorMisalignedAddress;
    case FaultKind::kDeviceAssert:
      return cudaErrorAssert;
    case FaultKind::kEndlessLoop:
      return cudaErrorLaunchTimeout;
    case FaultKind::kUnknownInstruction:
    case FaultKind::kInvalidOperand:
      return cudaErrorIllegalInstruction;
    default:
      return cudaErrorLaunchFailure;
  }
}

std::string bytes_text(std::uint64_t bytes) {
  return std::to_string(bytes) + " bytes";
}

// Bytes from the box's first to behind its last; nullopt where that does not fit 64 bits.
std::optional<std::uint64_t> extent(const Box& box, std::uint64_t width, std::uint64_t height,
                                    std::uint64_t depth) {
  if (width == 0 || height == 0 || depth == 0) return 0;
  std::uint64_t rows = 0, slices = 0, sum = 0;
  if (__builtin_mul_overflow(height - 1, box.row_pitch, &rows) ||
      __builtin_mul_overflow(depth - 1, box.slice_pitch, &slices) ||
      __builtin_add_overflow(rows, slices, &sum) || __builtin_add_overflow(sum, width, &sum)) {
    return std::nullopt;
  }
  return sum;
}

enum class Side { kHost, kDevice, kAny };

void check_box(const Box& box, std::uint64_t width, std::uint64_t height, std::uint64_t depth,
               Side side, const char* role) {
  const Runtime& runtime = Runtime::instance();
  const std::optional<std::uint64_t> bytes = extent(box, width, height, depth);
  require(bytes.has_value(), "its size does not fit 64 bits");
  if (*bytes == 0) return;
  require(height <= 1 || box.row_pitch >= width, "a pitch is smaller than the rows",
          cudaErrorInvalidPitchValue);
  const Allocation* const found = runtime.find(box.address);
  if (found == nullptr) {
    bool reserved = runtime.host_memory.reserves(box.address);
    for (const auto& device : runtime.devices) reserved |= device->memory().reserves(box.address);
    require(box.address != 0, role[0] == 't' ? "the target is null" : "the source is null");
    if (side == Side::kDevice || reserved) {
      throw ApiError(cudaErrorInvalidValue, std::string(role) + " is " +
                                                runtime.describe(box.address) +
                                                ", where device memory was expected");
    }
    return;
  }
  if (found->freed) {
    throw ApiError(cudaErrorInvalidValue,
                   std::string(role) + " is " + runtime.describe(box.address));
  }
  const bool only_device =
      found->kind == MemoryKind::kDevice || found->kind == MemoryKind::kConstant;
  if (side == Side::kHost && only_device) {
    throw ApiError(cudaErrorInvalidValue, std::string(role) + " is " +
                                              runtime.describe(box.address) +
                                              ", where memory of the host was expected");
  }
  if (*bytes > found->end - box.address) {
    throw ApiError(cudaErrorInvalidValue, bytes_text(*bytes) + " at " + role + ", but only " +
                                              bytes_text(found->end - box.address) +
                                              " lie there: " + runtime.describe(box.address));
  }
}

// The address that the process may touch for all of the box. Throws where it is gone since the
// call.
std::byte* reach(const Box& box, std::uint64_t width, std::uint64_t height, std::uint64_t depth,
                 const char* role) {
  const Runtime& runtime = Runtime::instance();
  const std::uint64_t bytes = extent(box, width, height, depth).value_or(~std::uint64_t{0});
  std::byte* const pointer = runtime.host_pointer(box.address, bytes);
  if (pointer == nullptr) {
    throw ApiError(cudaErrorIllegalAddress,
                   std::string("illegal address in a queued copy or fill: ") + role + " is now " +
                       runtime.describe(box.address));
  }
  return pointer;
}

void note_written(Device& device, const Box& box, std::uint64_t width, std::uint64_t height,
                  std::uint64_t depth) {
  Runtime& runtime = Runtime::instance();
  if (!runtime.settings.machine.checks.uninitialised) return;
  DeviceMemory* memory = &device.memory();
  if (Device* const owner = runtime.owner(box.address)) memory = &owner->memory();
  for (std::uint64_t z = 0; z < depth; ++z) {
    for (std::uint64_t y = 0; y < height; ++y) {
      note_initialised(*memory, box.address + z * box.slice_pitch + y * box.row_pitch, width);
    }
  }
}

void run(Device& device, const CopyOperation& copy) {
  if (copy.width == 0 || copy.height == 0 || copy.depth == 0) return;
  std::byte* const to = reach(copy.to, copy.width, copy.height, copy.depth, "the target");
  const std::byte* const from =
      copy.staged ? copy.staged->data()
                  : reach(copy.from, copy.width, copy.height, copy.depth, "the source");
  for (std::uint64_t z = 0; z < copy.depth; ++z) {
    for (std::uint64_t y = 0; y < copy.height; ++y) {
      std::memmove(to + z * copy.to.slice_pitch + y * copy.to.row_pitch,
                   from + z * copy.from.slice_pitch + y * copy.from.row_pitch, copy.width);
    }
  }
  note_written(device, copy.to, copy.width, copy.height, copy.depth);
}

void run(Device& device, const FillOperation& fill) {
  if (fill.width == 0 || fill.height == 0 || fill.depth == 0) return;
  const std::uint64_t bytes = fill.width * fill.element_bytes;
  std::byte* const to = reach(fill.to, bytes, fill.height, fill.depth, "the target");
  for (std::uint64_t z = 0; z < fill.depth; ++z) {
    for (std::uint64_t y = 0; y < fill.height; ++y) {
      std::byte* const row = to + z * fill.to.slice_pitch + y * fill.to.row_pitch;
      if (fill.element_bytes == 1) {
        std::memset(row, static_cast<int>(fill.value & 0xFFu), bytes);
        continue;
      }
      for (std::uint64_t i = 0; i < fill.width; ++i) {
        std::memcpy(row + i * fill.element_bytes, &fill.value, fill.element_bytes);
      }
    }
  }
  note_written(device, fill.to, bytes, fill.height, fill.depth);
}

void run(Device& device, const KernelOperation& kernel) {
  Runtime& runtime = Runtime::instance();
  Launch launch;
  launch.program = kernel.program;
  launch.kernel = kernel.code;
  launch.grid = kernel.grid;
  launch.block = kernel.block;
  launch.cluster = kernel.cluster;
  launch.dynamic_shared_bytes = kernel.dynamic_shared_bytes;
  launch.parameters = kernel.parameters;
  launch.cooperative = kernel.cooperative;
  launch.number = ++runtime.num_launches;
  const LaunchResult result = device.machine().run(launch);
  for (const Fault& fault : result.reports) {
    runtime.report(fault.text(), fault.kernel + "\n" +
                                     std::to_string(static_cast<int>(fault.kind)) + "\n" +
                                     std::to_string(fault.ptx_line));
  }
  if (result.counters) runtime.counters.add(*result.counters);
  if (result.fault) throw ApiError(code_of(result.fault->kind), result.fault->text());
}

void run(Device&, const HostOperation& host) {
  host.function(host.data);
}
void run(Device& device, const CallbackOperation& callback) {
  callback.function(callback.stream, device.sticky, callback.data);
}
void run(Device&, const ForeignOperation& foreign) {
  if (foreign.work->work != nullptr) foreign.work->work(foreign.work->data);
}
void run(Device& device, const FreeOperation& free) {
  if (!device.memory().release(free.address)) {
    throw ApiError(cudaErrorIllegalAddress,
                   "cudaFreeAsync: " + Runtime::instance().describe(free.address) +
                       " is no live allocation when the stream gets there");
  }
}
template <typename Other>
void run(Device&, const Other&) {}

}  // namespace

void execute(Device& device, const Operation& operation) {
  std::visit([&](const auto& one) { run(device, one); }, operation);
}

void check(const CopyOperation& copy) {
  require(copy.kind >= cudaMemcpyHostToHost && copy.kind <= cudaMemcpyDefault,
          "the direction is none of cudaMemcpyKind", cudaErrorInvalidMemcpyDirection);
  const bool to_host = copy.kind == cudaMemcpyHostToHost || copy.kind == cudaMemcpyDeviceToHost;
  const bool from_host = copy.kind == cudaMemcpyHostToHost || copy.kind == cudaMemcpyHostToDevice;
  const bool any = copy.kind == cudaMemcpyDefault;
  check_box(copy.to, copy.width, copy.height, copy.depth,
            any ? Side::kAny : (to_host ? Side::kHost : Side::kDevice), "the target");
  if (copy.staged) return;
  check_box(copy.from, copy.width, copy.height, copy.depth,
            any ? Side::kAny : (from_host ? Side::kHost : Side::kDevice), "the source");
}

void check(const FillOperation& fill) {
  std::uint64_t bytes = 0;
  require(!__builtin_mul_overflow(fill.width, std::uint64_t{fill.element_bytes}, &bytes),
          "its size does not fit 64 bits");
  check_box(fill.to, bytes, fill.height, fill.depth, Side::kDevice, "the target");
}

}  // namespace ptx_emulator
