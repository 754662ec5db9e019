#pragma once
// One decoded instruction, and how its operands are found. A handler executes it for a whole warp.
//
// Registers are stored lane by lane: a register of 32 bits and less is a slot of 32 x 4 bytes, one
// of 64 bits 32 x 8, one of 128 bits 32 x 16. Values of 8 and 16 bits are zero-extended in their
// 4-byte lanes: a handler that reads them as signed extends them itself, one that writes them
// clears the upper bits. A predicate register is one 32-bit word, bit i for lane i. Slots are
// 64-byte aligned, predicates 4-byte aligned.

#include <cstddef>
#include <cstdint>

namespace ptx_emulator {

struct Warp;
struct Op;

// Executes `op` for the lanes of the warp that are active and whose guard holds, and returns the op
// to execute next: op + 1, a branch target, or nullptr after Warp::suspend (see warp.h). Throws
// DeviceFault.
using Handler = const Op* (*)(Warp& warp, const Op* op);

// Which storage a place is in.
enum class Base : std::uint32_t {
  kRegisters = 0,  // of the current call frame of the warp
  kConstants =
      1,  // immediates, broadcast to all lanes (predicate immediates: one word); shared, read-only
};

struct Place {
  std::int32_t offset = 0;  // bytes from Warp::bases[base]
  Base base = Base::kRegisters;
};

// One op of a function. `d` is the destination; unused places are left zero.
struct alignas(64) Op {
  Handler execute = nullptr;
  Place d, a, b, c;
  std::int32_t guard = -1;        // offset of the guard's word in the registers; -1: none
  std::uint32_t guard_flip = 0;   // xor-ed with the guard's word: ~0u for @!p
  std::uint32_t instruction = 0;  // index into Code::instructions
  std::uint32_t small = 0;        // a handler's own: an immediate, a size
  const void* extra =
      nullptr;  // a handler's own record, owned by Code; or the target Op of a branch
};
static_assert(sizeof(Op) == 64);

}  // namespace ptx_emulator
