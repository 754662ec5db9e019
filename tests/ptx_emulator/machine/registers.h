#pragma once
// Which register of a function is kept where in its frame: registers that are never needed at once
// share a slot, so that a warp's frame stays in the processor's first cache.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/ptx_emulator/machine/control_flow.h"
#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator {

struct RegisterSlot {
  std::int32_t offset = 0;  // bytes in the frame
  std::uint32_t bits = 32;  // declared: 1 for a predicate
};

struct RegisterFrame {
  std::unordered_map<std::string, RegisterSlot> slots;
  std::uint32_t carry_offset = 0;   // the predicate word of add.cc and the like
  std::uint32_t bytes = 0;          // of all slots; a multiple of 64
  std::uint32_t num_registers = 0;  // 4-byte registers in use at once, predicates not counted
};

// Places the registers of a function. A result never shares a slot with an operand of its own
// instruction, so handlers may write while they read. Throws std::runtime_error where a register is
// used that is not declared.
RegisterFrame place_registers(const ptx::Function& function, const ControlFlow& flow);

// Bytes of the slot of a register with so many bits.
inline std::uint32_t slot_bytes(std::uint32_t bits) {
  return bits == 1 ? 4u : bits <= 32 ? 128u : bits <= 64 ? 256u : 512u;
}

// Frame offsets of the registers that an instruction reads. Accumulators of wgmma are not counted:
// the products that are under way know each other.
std::vector<std::int32_t> registers_read(const ptx::Instruction& instruction,
                                         const RegisterFrame& frame);

// Whether the first operand of this opcode is what it writes.
bool writes_first_operand(std::string_view opcode);

}  // namespace ptx_emulator
