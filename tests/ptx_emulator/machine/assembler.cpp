#include "tests/ptx_emulator/machine/assembler.h"

namespace ptx_emulator {

const ptx::Operand& Assembler::operand(std::size_t i) const {
  if (i >= instruction_->operands.size()) {
    unsupported("it has " + std::to_string(instruction_->operands.size()) + " operands, at least " +
                std::to_string(i + 1) + " are needed");
  }
  return instruction_->operands[i];
}

std::int64_t Assembler::integer(std::size_t i) const {
  const ptx::Operand& at = operand(i);
  if (at.kind != ptx::Operand::Kind::kInteger)
    unsupported("operand " + std::to_string(i + 1) + " must be a number");
  return at.value;
}

}  // namespace ptx_emulator
