// What callers of a function must know before it is decoded: parameters, local memory, registers.

#include <algorithm>
#include <stdexcept>

#include "tests/ptx_emulator/machine/function_decoder.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {
namespace {

std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

void FunctionDecoder::lay_out() {
  flow_ = analyse(function_);
  frame_ = place_registers(function_, flow_);
  code_.num_registers = frame_.num_registers;
  lay_out_parameters();
  lay_out_locals();
  if (function_.is_entry) {
    const ProgramLayout::SharedExtent extent = layout_.shared_extent(function_);
    code_.static_shared_bytes = extent.static_bytes;
    code_.dynamic_shared_offset = extent.dynamic_offset;
  }
}

void FunctionDecoder::lay_out_parameters() {
  if (function_.is_entry) {
    std::uint64_t end = 0;
    for (const ptx::Variable& variable : function_.parameters) {
      const std::uint64_t bytes = variable.size_bytes();
      const std::uint64_t natural =
          std::max<std::uint64_t>(variable.alignment, ptx::bits_of(variable.type) / 8);
      end = align_up(end, std::max<std::uint64_t>(natural, 1));
      code_.parameters.push_back({static_cast<std::uint32_t>(end),
                                  static_cast<std::uint32_t>(bytes),
                                  static_cast<std::uint32_t>(natural)});
      own_[variable.name] = {ResolvedSymbol::Kind::kParameter, end, bytes};
      end += bytes;
      if (end > (1u << 20))
        throw std::runtime_error(function_.name + " has parameters of over 1 MiB");
    }
    code_.parameter_bytes = static_cast<std::uint32_t>(end);
    return;
  }
}

void FunctionDecoder::lay_out_locals() {
  std::uint64_t end = 0;
  const auto place = [&](const ptx::Variable& variable) {
    const std::uint64_t natural =
        std::max<std::uint64_t>({variable.alignment, ptx::bits_of(variable.type) / 8, 1});
    end = align_up(end, std::min<std::uint64_t>(natural, 16));
    own_[variable.name] = {ResolvedSymbol::Kind::kLocal, end, variable.size_bytes()};
    end += variable.size_bytes();
    if (end > (1u << 24))
      throw std::runtime_error(function_.name + " needs over 16 MiB of local memory a thread");
    return own_[variable.name];
  };
  if (!function_.is_entry) {
    const auto add = [&](const ptx::Variable& variable, std::vector<Code::Formal>& formals) {
      if (variable.space == ptx::Space::kRegister) {
        const RegisterSlot& at = slot(variable.name);
        formals.push_back(
            {true, static_cast<std::uint32_t>(at.offset), slot_bytes(at.bits) / kWarpLanes});
      } else {
        const ResolvedSymbol at = place(variable);
        formals.push_back(
            {false, static_cast<std::uint32_t>(at.value), static_cast<std::uint32_t>(at.bytes)});
      }
    };
    for (const ptx::Variable& variable : function_.return_parameters) add(variable, code_.results);
    for (const ptx::Variable& variable : function_.parameters) add(variable, code_.formals);
  }
  for (const ptx::Variable& variable : function_.variables) {
    if (variable.space == ptx::Space::kLocal || variable.space == ptx::Space::kParameter)
      place(variable);
  }
  code_.local_bytes = static_cast<std::uint32_t>(align_up(end, 16));
}

}  // namespace ptx_emulator
