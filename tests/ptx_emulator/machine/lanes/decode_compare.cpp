// setp and set: a comparison, and what becomes of it.

#include <optional>

#include "tests/ptx_emulator/machine/lanes/form.h"
#include "tests/ptx_emulator/machine/lanes/opcodes.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator::lanes {
namespace {

enum class Combine { kNone, kAnd, kOr, kXor };

// The words of a setp beyond opcode and types.
struct Comparison {
  std::string comparison;
  Combine combine = Combine::kNone;
  bool ftz = false;
  ptx::Type destination = ptx::Type::kNone;  // of set
  ptx::Type source = ptx::Type::kNone;
};

Comparison parse(const ptx::Instruction& instruction, bool is_set) {
  Comparison result;
  for (const std::string& word : instruction.modifiers) {
    if (const auto type = ptx::type_named(word)) {
      result.destination = result.source;
      result.source = *type;
    } else if (word == "and") {
      result.combine = Combine::kAnd;
    } else if (word == "or") {
      result.combine = Combine::kOr;
    } else if (word == "xor") {
      result.combine = Combine::kXor;
    } else if (word == "ftz") {
      result.ftz = true;
    } else if (result.comparison.empty()) {
      result.comparison = word;
    } else {
      Assembler::unsupported("modifier ." + word);
    }
  }
  if (result.source == ptx::Type::kNone || (result.destination == ptx::Type::kNone) == is_set) {
    Assembler::unsupported("number of types");
  }
  return result;
}

std::string form_name(const Comparison& what, bool upper) {
  return "$compare." + what.comparison + (upper ? ".upper" : "") + (what.ftz ? ".ftz." : ".") +
         std::string(ptx::name_of(what.source));
}

bool is_pair(ptx::Type type) {
  return type == ptx::Type::kF16x2 || type == ptx::Type::kBf16x2;
}

// Places of the final step: d and its complement (or the upper half's result) at Op::b's place.
struct FinishRecord {
  Place second;  // destination of the second predicate
  bool has_second = false;
};

// d = F(a, c); second = F(b, c). a and b are results of comparisons.
template <Combine kCombine>
const Op* finish_predicates(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  const auto combined = [&](std::uint32_t word) {
    if constexpr (kCombine == Combine::kNone) return word;
    const std::uint32_t other = read_predicate(warp, op->c);
    if constexpr (kCombine == Combine::kAnd) return word & other;
    if constexpr (kCombine == Combine::kOr) return word | other;
    return word ^ other;
  };
  const FinishRecord& record = *static_cast<const FinishRecord*>(op->extra);
  const std::uint32_t first = combined(read_predicate(warp, op->a));
  const std::uint32_t second = combined(read_predicate(warp, op->b));
  write_predicate(warp, op->d, lanes, first);
  if (record.has_second) write_predicate(warp, record.second, lanes, second);
  return op + 1;
}

const Op* complement(Warp& warp, const Op* op) {
  write_predicate(warp, op->d, lanes_of(warp, op), ~read_predicate(warp, op->a));
  return op + 1;
}

Handler finisher(Combine combine) {
  switch (combine) {
    case Combine::kNone:
      return finish_predicates<Combine::kNone>;
    case Combine::kAnd:
      return finish_predicates<Combine::kAnd>;
    case Combine::kOr:
      return finish_predicates<Combine::kOr>;
    case Combine::kXor:
      return finish_predicates<Combine::kXor>;
  }
  return nullptr;
}

ptx::Type operand_type(ptx::Type type) {
  // Comparisons of pairs read whole words; those of single halves 16 bits.
  return is_pair(type) ? ptx::Type::kB32 : type;
}

void emit_compare(Assembler& assembler, const Comparison& what, bool upper, Place a, Place b,
                  Place d) {
  Op& op = assembler.emit(handler(form_name(what, upper)));
  op.a = a;
  op.b = b;
  op.d = d;
}

// Results of the comparison(s) in scratch predicates: {first, second}, combined with the third
// source.
struct Results {
  Place first, second;
};
Results emit_comparisons(Assembler& assembler, const Comparison& what, bool wants_second) {
  const ptx::Type type = operand_type(what.source);
  const Place a = assembler.source(1, type), b = assembler.source(2, type);
  const Place first = assembler.temporary(ptx::Type::kPred);
  Place second = first;
  emit_compare(assembler, what, false, a, b, first);
  if (is_pair(what.source)) {
    second = assembler.temporary(ptx::Type::kPred);
    emit_compare(assembler, what, true, a, b, second);
  } else if (wants_second) {
    second = assembler.temporary(ptx::Type::kPred);
    Op& op = assembler.emit(complement);
    op.a = first;
    op.d = second;
  }
  return {first, second};
}

void check_operands(Assembler& assembler, const Comparison& what) {
  const std::size_t expected = what.combine == Combine::kNone ? 3 : 4;
  if (assembler.num_operands() != expected) {
    Assembler::unsupported(std::to_string(assembler.num_operands()) + " operands; it takes " +
                           std::to_string(expected));
  }
}

}  // namespace

void decode_setp(Assembler& assembler) {
  const Comparison what = parse(assembler.instruction(), false);
  check_operands(assembler, what);
  const ptx::Operand& target = assembler.operand(0);
  const bool has_pair = target.kind == ptx::Operand::Kind::kPair;
  if (is_pair(what.source) && !has_pair) Assembler::unsupported("one predicate for two halves");
  if (!has_pair && what.combine == Combine::kNone) {
    const ptx::Type type = operand_type(what.source);
    const Place a = assembler.source(1, type), b = assembler.source(2, type);
    emit_compare(assembler, what, false, a, b, assembler.destination(0, ptx::Type::kPred));
    return;
  }
  const Place other = what.combine == Combine::kNone ? assembler.constant(0, ptx::Type::kPred)
                                                     : assembler.source(3, ptx::Type::kPred);
  const Results results = emit_comparisons(assembler, what, has_pair);
  const Place d = assembler.destination(has_pair ? target.parts.at(0) : target, ptx::Type::kPred);
  FinishRecord record;
  record.has_second = has_pair;
  if (has_pair) record.second = assembler.destination(target.parts.at(1), ptx::Type::kPred);
  const FinishRecord* kept = assembler.keep(record);
  // The last op writes both predicates, one of which may be the guard of this very instruction.
  Op& op = assembler.emit(finisher(what.combine));
  op.a = results.first;
  op.b = results.second;
  op.c = other;
  op.d = d;
  op.extra = kept;
}

namespace {

// What set writes for "true".
std::uint64_t truth(ptx::Type type) {
  switch (type) {
    case ptx::Type::kF32:
      return 0x3F800000u;
    case ptx::Type::kF16:
    case ptx::Type::kF16x2:
      return 0x3C00u;
    case ptx::Type::kBf16:
    case ptx::Type::kBf16x2:
      return 0x3F80u;
    case ptx::Type::kU16:
    case ptx::Type::kS16:
      return 0xFFFFu;
    case ptx::Type::kU32:
    case ptx::Type::kS32:
      return 0xFFFFFFFFu;
    default:
      Assembler::unsupported("set to ." + std::string(ptx::name_of(type)));
  }
}

void emit_select(Assembler& assembler, Place predicate, std::uint64_t value, ptx::Type type,
                 Place d) {
  const Place one = assembler.constant(value, type), zero = assembler.constant(0, type);
  Op& op = assembler.emit(handler("selp.b32"));
  op.a = one;
  op.b = zero;
  op.c = predicate;
  op.d = d;
}

}  // namespace

void decode_set(Assembler& assembler) {
  const Comparison what = parse(assembler.instruction(), true);
  check_operands(assembler, what);
  const bool pairs = is_pair(what.source);
  const ptx::Type d_type = what.destination;
  // Pairs give pairs, or (u32, s32) a mask of 16 bits for each half.
  const bool mask_of_halves = pairs && (d_type == ptx::Type::kU32 || d_type == ptx::Type::kS32);
  if (pairs != (is_pair(d_type) || mask_of_halves)) Assembler::unsupported("mix of types");
  const std::uint64_t one = mask_of_halves ? 0xFFFFu : truth(d_type);
  const Place other = what.combine == Combine::kNone ? assembler.constant(0, ptx::Type::kPred)
                                                     : assembler.source(3, ptx::Type::kPred);
  const Results results = emit_comparisons(assembler, what, false);
  FinishRecord record;
  record.has_second = pairs;
  record.second = results.second;
  const FinishRecord* kept = assembler.keep(record);
  Op& op = assembler.emit(finisher(what.combine));
  op.a = op.d = results.first;
  op.b = results.second;
  op.c = other;
  op.extra = kept;
  const Place d = assembler.destination(0, pairs ? ptx::Type::kB32 : d_type);
  if (!pairs) {
    emit_select(assembler, results.first, one, d_type, d);
    return;
  }
  const Place low = assembler.temporary(ptx::Type::kB32);
  const Place high = assembler.temporary(ptx::Type::kB32);
  emit_select(assembler, results.first, one, ptx::Type::kB32, low);
  emit_select(assembler, results.second, one << 16, ptx::Type::kB32, high);
  Op& join = assembler.emit(handler("or.b32"));
  join.a = low;
  join.b = high;
  join.d = d;
}

void decode_lop3(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  const std::size_t count = assembler.num_operands();
  const bool combines = instruction.modifiers.size() == 2;
  const std::string bool_op = combines ? instruction.modifiers[0] : "";
  if (instruction.modifiers.empty() || instruction.modifiers.back() != "b32" ||
      (combines && bool_op != "or" && bool_op != "and") || count != (combines ? 6u : 5u)) {
    Assembler::unsupported("modifiers or operands of lop3");
  }
  const std::int64_t table = assembler.integer(4);
  if (table < 0 || table > 255) Assembler::unsupported("lop3 with a table beyond 8 bits");
  static constexpr char kDigits[] = "0123456789abcdef";
  const std::string name = std::string("$lop3.") + kDigits[table >> 4] + kDigits[table & 15];
  const Place a = assembler.source(1, ptx::Type::kB32), b = assembler.source(2, ptx::Type::kB32),
              c = assembler.source(3, ptx::Type::kB32);
  const ptx::Operand& target = assembler.operand(0);
  const bool has_pair = target.kind == ptx::Operand::Kind::kPair;
  if (has_pair != combines) Assembler::unsupported("predicate of lop3");
  const Place d = has_pair ? assembler.destination(target.parts.at(0), ptx::Type::kB32)
                           : assembler.destination(target, ptx::Type::kB32);
  const Place other = combines ? assembler.source(5, ptx::Type::kPred) : Place{};
  Op& op = assembler.emit(handler(name));
  op.a = a;
  op.b = b;
  op.c = c;
  op.d = d;
  if (!combines) return;
  const Place zero = assembler.constant(0, ptx::Type::kB32);
  const Place any = assembler.temporary(ptx::Type::kPred);
  const Place p = assembler.destination(target.parts.at(1), ptx::Type::kPred);
  Op& compare = assembler.emit(handler("$compare.ne.b32"));
  compare.a = d;
  compare.b = zero;
  compare.d = any;
  Op& join = assembler.emit(handler(bool_op + ".pred"));
  join.a = any;
  join.b = other;
  join.d = p;
}

}  // namespace ptx_emulator::lanes
