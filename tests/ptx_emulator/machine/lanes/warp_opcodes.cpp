// Decoders of the exchanges between lanes.

#include "tests/ptx_emulator/machine/lanes/exchange.h"
#include "tests/ptx_emulator/machine/lanes/form.h"
#include "tests/ptx_emulator/machine/lanes/opcodes.h"

namespace ptx_emulator::lanes {
namespace {

// First destination, and the second one where the text has it.
Place destinations(Assembler& assembler, ptx::Type type, ExchangeRecord& record,
                   bool allow_predicate) {
  const ptx::Operand& target = assembler.operand(0);
  if (target.kind != ptx::Operand::Kind::kPair) {
    record.predicate = assembler.temporary(ptx::Type::kPred);
    return assembler.destination(target, type);
  }
  if (!allow_predicate) Assembler::unsupported("a second destination");
  record.predicate = assembler.destination(target.parts.at(1), ptx::Type::kPred);
  return assembler.destination(target.parts.at(0), type);
}

void expect_operands(const Assembler& assembler, std::size_t count) {
  if (assembler.num_operands() != count) {
    Assembler::unsupported(std::to_string(assembler.num_operands()) + " operands; it takes " +
                           std::to_string(count));
  }
}

// As the manual writes it; of vote programs write vote.ballot.sync.b32 too.
std::string canonical_name(const ptx::Instruction& instruction) {
  if (instruction.opcode != "vote" || !instruction.has("sync")) return instruction.full_name();
  std::string name = "vote.sync";
  for (const std::string& modifier : instruction.modifiers) {
    if (modifier != "sync") name += "." + modifier;
  }
  return name;
}

}  // namespace

void decode_shfl(Assembler& assembler) {
  const Handler found = handler("$" + assembler.instruction().full_name());
  expect_operands(assembler, 5);
  const Place a = assembler.source(1, ptx::Type::kB32), b = assembler.source(2, ptx::Type::kB32),
              c = assembler.source(3, ptx::Type::kB32);
  ExchangeRecord record;
  record.mask = assembler.source(4, ptx::Type::kB32);
  const Place d = destinations(assembler, ptx::Type::kB32, record, true);
  const ExchangeRecord* kept = assembler.keep(record);
  Op& op = assembler.emit(found);
  op.a = a;
  op.b = b;
  op.c = c;
  op.d = d;
  op.extra = kept;
}

void decode_exchange(Assembler& assembler) {
  const std::string name = canonical_name(assembler.instruction());
  const bool is_elect = name == "elect.sync", is_active = name == "activemask.b32";
  const Form& found = form("$" + name);
  expect_operands(assembler, is_active ? 1 : (is_elect ? 2 : 3));
  ExchangeRecord record;
  Place a{};
  if (!is_active && !is_elect) {
    const char letter = found.operands[1];
    a = assembler.source(
        1, letter == 'p' ? ptx::Type::kPred : (letter == 'd' ? ptx::Type::kB64 : ptx::Type::kB32));
  }
  if (!is_active) record.mask = assembler.source(is_elect ? 1 : 2, ptx::Type::kB32);
  const ptx::Type type = found.operands[0] == 'p' ? ptx::Type::kPred : ptx::Type::kB32;
  const Place d = destinations(assembler, type, record, is_elect || name.starts_with("match.all"));
  const ExchangeRecord* kept = assembler.keep(record);
  Op& op = assembler.emit(found.handler);
  op.a = a;
  op.d = d;
  op.extra = kept;
}

}  // namespace ptx_emulator::lanes
