// mov with vectors, arithmetic with carry, and three-input extremes: plain forms but for their
// operands.

#include "tests/ptx_emulator/machine/lanes/form.h"
#include "tests/ptx_emulator/machine/lanes/opcodes.h"

namespace ptx_emulator::lanes {
namespace {

ptx::Type type_of_bits(std::uint32_t bits) {
  switch (bits) {
    case 8:
      return ptx::Type::kB8;
    case 16:
      return ptx::Type::kB16;
    case 32:
      return ptx::Type::kB32;
    case 64:
      return ptx::Type::kB64;
    case 128:
      return ptx::Type::kB128;
    default:
      Assembler::unsupported("vector elements of " + std::to_string(bits) + " bits");
  }
}

std::string name_of_step(const char* step, std::uint32_t part, std::uint32_t whole) {
  return std::string(step) + std::to_string(part) + "." + std::to_string(whole);
}

void pack(Assembler& assembler, std::uint32_t whole) {
  const std::vector<ptx::Operand>& parts = assembler.operand(1).parts;
  if (parts.size() != 2 && parts.size() != 4) Assembler::unsupported("number of vector elements");
  const std::uint32_t part = whole / static_cast<std::uint32_t>(parts.size());
  const Handler put_together = handler(name_of_step("$pack.", part, whole));
  Place places[4] = {};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    places[i] = assembler.source(parts[i], type_of_bits(part));
  }
  const Place d = assembler.destination(0, type_of_bits(whole));
  const Place* fourth = parts.size() == 4 ? assembler.keep(places[3]) : nullptr;
  Op& op = assembler.emit(put_together);
  op.a = places[0];
  op.b = places[1];
  op.c = places[2];
  op.d = d;
  op.extra = fourth;
}

void unpack(Assembler& assembler, std::uint32_t whole) {
  const std::vector<ptx::Operand>& parts = assembler.operand(0).parts;
  if (parts.size() != 2 && parts.size() != 4) Assembler::unsupported("number of vector elements");
  const std::uint32_t part = whole / static_cast<std::uint32_t>(parts.size());
  const Handler take = handler(name_of_step("$extract.", part, whole));
  const Place a = assembler.source(1, type_of_bits(whole));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].kind == ptx::Operand::Kind::kRegister && parts[i].name.empty()) continue;
    const Place d = assembler.destination(parts[i], type_of_bits(part));
    Op& op = assembler.emit(take);
    op.a = a;
    op.d = d;
    op.small = static_cast<std::uint32_t>(i) * part;
  }
}

}  // namespace

void decode_mov(Assembler& assembler) {
  const bool packs = assembler.operand(1).kind == ptx::Operand::Kind::kVector;
  const bool unpacks = assembler.operand(0).kind == ptx::Operand::Kind::kVector;
  if (!packs && !unpacks) {
    decode_form(assembler);
    return;
  }
  const std::vector<std::string>& modifiers = assembler.instruction().modifiers;
  const auto type = modifiers.size() == 1 ? ptx::type_named(modifiers[0]) : std::nullopt;
  if (!type || (packs && unpacks)) Assembler::unsupported("operands of mov");
  if (packs) {
    pack(assembler, ptx::bits_of(*type));
  } else {
    unpack(assembler, ptx::bits_of(*type));
  }
}

void decode_carry(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  const std::string& opcode = instruction.opcode;
  if (!instruction.has("cc") && opcode != "addc" && opcode != "subc" && opcode != "madc") {
    decode_form(assembler);
    return;
  }
  const Form& found = form("$" + instruction.full_name());
  const std::size_t count = found.operands.size();
  if (assembler.num_operands() != count) Assembler::unsupported("number of operands");
  const ptx::Type type = found.operands[0] == 'd' ? ptx::Type::kB64 : ptx::Type::kB32;
  Place sources[3] = {};
  for (std::size_t i = 1; i < count; ++i) sources[i - 1] = assembler.source(i, type);
  const Place d = assembler.destination(0, type);
  const Place* carry = assembler.keep(assembler.carry());
  Op& op = assembler.emit(found.handler);
  op.a = sources[0];
  op.b = sources[1];
  op.c = sources[2];
  op.d = d;
  op.extra = carry;
}

void decode_extreme(Assembler& assembler) {
  const std::string name = assembler.instruction().full_name();
  decode_as(assembler, assembler.num_operands() == 4 ? "$three." + name : name);
}

}  // namespace ptx_emulator::lanes
