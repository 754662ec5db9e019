#include "tests/ptx_emulator/machine/fault.h"

#include <string_view>

namespace ptx_emulator {

std::string_view name_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::kOutOfBounds:
      return "out of bounds";
    case FaultKind::kMisaligned:
      return "misaligned address";
    case FaultKind::kUseAfterFree:
      return "use after free";
    case FaultKind::kHostPointer:
      return "host pointer on the device";
    case FaultKind::kReadOnly:
      return "write to read-only memory";
    case FaultKind::kDeviceAssert:
      return "device assertion";
    case FaultKind::kTrap:
      return "trap";
    case FaultKind::kDivergentBarrier:
      return "barrier in divergent code";
    case FaultKind::kBarrierDeadlock:
      return "barrier deadlock";
    case FaultKind::kInvalidBarrier:
      return "invalid barrier";
    case FaultKind::kEndlessLoop:
      return "endless loop";
    case FaultKind::kSharedRace:
      return "race in shared memory";
    case FaultKind::kGlobalRace:
      return "race in global memory";
    case FaultKind::kUninitialised:
      return "uninitialised memory";
    case FaultKind::kAsyncNotReady:
      return "asynchronous data not waited for";
    case FaultKind::kInvalidMask:
      return "invalid lane mask";
    case FaultKind::kUnknownInstruction:
      return "unknown instruction";
    case FaultKind::kInvalidOperand:
      return "invalid operand";
    case FaultKind::kStackOverflow:
      return "stack overflow";
  }
  return "fault";
}

namespace {

std::string triple(const std::uint32_t (&values)[3]) {
  return "(" + std::to_string(values[0]) + "," + std::to_string(values[1]) + "," +
         std::to_string(values[2]) + ")";
}

}  // namespace

std::string Fault::text() const {
  std::string result = std::string(name_of(kind)) + ": " + message;
  if (kernel.empty()) return result;
  result += "\n  kernel " + kernel + ", block " + triple(block) + ", thread " + triple(thread);
  result += "\n  at ";
  if (!source.empty()) result += source + " (";
  result += "PTX line " + std::to_string(ptx_line);
  if (!instruction.empty()) result += ": " + instruction;
  if (!source.empty()) result += ")";
  return result;
}

}  // namespace ptx_emulator
