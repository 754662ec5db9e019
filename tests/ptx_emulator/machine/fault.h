#pragma once
// What went wrong on the device, and where.

#include <cstdint>
#include <exception>
#include <string>

namespace ptx_emulator {

enum class FaultKind : std::uint8_t {
  kOutOfBounds,
  kMisaligned,
  kUseAfterFree,
  kHostPointer,  // a host pointer dereferenced on the device
  kReadOnly,     // a write to constant memory
  kDeviceAssert,
  kTrap,
  kDivergentBarrier,
  kBarrierDeadlock,
  kInvalidBarrier,  // wrong thread count, id over 15, reused while in use
  kEndlessLoop,     // the watchdog
  kSharedRace,
  kGlobalRace,
  kUninitialised,
  kAsyncNotReady,  // read before cp.async, a bulk copy or wgmma delivered
  kInvalidMask,    // shfl, vote and the like with a mask that does not fit the lanes
  kUnknownInstruction,
  kInvalidOperand,  // a shuffle width, a descriptor, a tensor map that no hardware takes
  kStackOverflow,
};

struct Fault {
  FaultKind kind = FaultKind::kOutOfBounds;
  std::string message{};    // what happened: value, limit, allocation; one line
  std::string kernel = {};  // demangled
  std::uint32_t block[3] = {0, 0, 0};
  std::uint32_t thread[3] = {0, 0, 0};  // the first thread concerned
  std::string instruction = {};         // text of the PTX instruction
  std::uint32_t ptx_line = 0;
  std::string source = {};  // "layernorm.cu:42", empty without -lineinfo

  // "out of bounds: ... \n  kernel K, block (x,y,z), thread (x,y,z)\n  at layernorm.cu:42 (PTX line
  // 310: st.global...)"
  std::string text() const;
};

std::string_view name_of(FaultKind kind);

// Thrown by instruction handlers with kind and message; the scheduler fills in the place and ends
// the launch.
struct DeviceFault : std::exception {
  explicit DeviceFault(FaultKind kind, std::string message, std::uint32_t lane_number = 32)
      : fault{.kind = kind, .message = std::move(message)}, lane(lane_number) {}
  const char* what() const noexcept override { return fault.message.c_str(); }
  Fault fault;
  std::uint32_t lane;  // 32: the first active lane
};

}  // namespace ptx_emulator
