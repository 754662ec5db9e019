#include "tests/ptx_emulator/machine/tensor/addresses.h"

namespace ptx_emulator::tensor {

void Pointer::all(const Warp& warp, std::uint64_t* addresses) const {
  const auto distance = static_cast<std::uint64_t>(offset);
  if (is_32_bits) {
    const auto* starts = read<std::uint32_t>(warp, base);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      addresses[lane] = static_cast<std::uint32_t>(starts[lane] + distance);
    }
  } else {
    const auto* starts = read<std::uint64_t>(warp, base);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      addresses[lane] = starts[lane] + distance;
    }
  }
}

Pointer pointer(Assembler& assembler, const ptx::Operand& operand, std::string_view space) {
  Pointer result;
  const bool shared = space.starts_with("shared");
  if (shared) {
    result.space = AccessSpace::kShared;
    result.cluster = space == "shared::cluster";
  } else if (space == "global") {
    result.space = AccessSpace::kGlobal;
  } else if (!space.empty()) {
    Assembler::unsupported("state space ." + std::string(space));
  }
  const Assembler::Address address = assembler.address(operand, shared);
  result.base = address.base;
  result.is_32_bits = address.is_32_bits;
  result.offset = address.offset;
  return result;
}

std::string_view space_word(const ptx::Instruction& instruction, std::size_t from) {
  for (std::size_t i = from; i < instruction.modifiers.size(); ++i) {
    const std::string& word = instruction.modifiers[i];
    if (word.starts_with("shared") || word == "global") return word;
  }
  return "";
}

std::byte* resolve_one(Warp& warp, const Op* op, const Pointer& pointer, AccessKind kind,
                       std::uint32_t lane, std::uint64_t bytes, std::uint32_t alignment) {
  return resolve_range(warp, op, pointer.space, kind, pointer.at(warp, lane), bytes, alignment);
}

}  // namespace ptx_emulator::tensor
