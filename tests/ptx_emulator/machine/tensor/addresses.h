#pragma once
// Addresses of memory operands, lane by lane.

#include <cstdint>

#include "tests/ptx_emulator/machine/access.h"
#include "tests/ptx_emulator/machine/assembler.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator::tensor {

// One memory operand, fixed at decoding.
struct Pointer {
  Place base;
  bool is_32_bits = false;
  std::int64_t offset = 0;  // bytes
  AccessSpace space = AccessSpace::kGeneric;
  bool cluster = false;  // may name another block's shared memory

  std::uint64_t at(const Warp& warp, std::uint32_t lane) const {
    const std::uint64_t start =
        is_32_bits ? read<std::uint32_t>(warp, base)[lane] : read<std::uint64_t>(warp, base)[lane];
    const std::uint64_t sum = start + static_cast<std::uint64_t>(offset);
    return is_32_bits ? static_cast<std::uint32_t>(sum) : sum;
  }
  void all(const Warp& warp, std::uint64_t* addresses) const;
};

// The operand in the space that a modifier such as "shared::cta", "global" or "" (generic) names.
Pointer pointer(Assembler& assembler, const ptx::Operand& operand, std::string_view space);
// The first modifier of the instruction that names a state space, from position `from` on; "" where
// there is none.
std::string_view space_word(const ptx::Instruction& instruction, std::size_t from = 0);

// Host address of [address, address + bytes) for one lane; as resolve_range, with this operand's
// space.
std::byte* resolve_one(Warp& warp, const Op* op, const Pointer& pointer, AccessKind kind,
                       std::uint32_t lane, std::uint64_t bytes, std::uint32_t alignment);

}  // namespace ptx_emulator::tensor
