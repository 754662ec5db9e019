// cvt: modifiers to a lane loop where there is one, and to the general conversion otherwise.

#include "tests/ptx_emulator/machine/lanes/form.h"
#include "tests/ptx_emulator/machine/lanes/opcodes.h"
#include "tests/ptx_emulator/machine/lanes/soft_float.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator::lanes {
namespace {

using ptx::Type;

// One cvt instruction.
struct Modifiers {
  Conversion conversion;
  bool has_rounding = false;
  bool pair = false;  // two results in one register
  Type to_pair = Type::kNone;
  Type from_pair = Type::kNone;  // kNone where the two sources are separate f32 registers
};

Type element_of(Type type) {
  switch (type) {
    case Type::kF16x2:
      return Type::kF16;
    case Type::kBf16x2:
      return Type::kBf16;
    case Type::kE4m3x2:
      return Type::kE4m3;
    case Type::kE5m2x2:
      return Type::kE5m2;
    default:
      return Type::kNone;
  }
}

bool set_rounding(Modifiers& form, std::string_view word) {
  if (word == "rna") {
    form.conversion.rounding = Rounding::kNearestAway;
  } else if (word.size() >= 2 && word.size() <= 3 && word[0] == 'r' &&
             (word.size() == 2 || word[2] == 'i')) {
    switch (word[1]) {
      case 'n':
        form.conversion.rounding = Rounding::kNearestEven;
        break;
      case 'z':
        form.conversion.rounding = Rounding::kZero;
        break;
      case 'm':
        form.conversion.rounding = Rounding::kDown;
        break;
      case 'p':
        form.conversion.rounding = Rounding::kUp;
        break;
      default:
        return false;
    }
    form.conversion.to_whole = word.size() == 3;
  } else {
    return false;
  }
  form.has_rounding = true;
  return true;
}

void set_types(Modifiers& form, const std::vector<Type>& types) {
  if (types.size() != 2) Assembler::unsupported("number of types");
  form.conversion.to = types[0];
  form.conversion.from = types[1];
  const Type to = element_of(types[0]), from = element_of(types[1]);
  if (to != Type::kNone) {
    form.pair = true;
    form.to_pair = types[0];
    form.conversion.to = to;
    if (from == Type::kNone && types[1] != Type::kF32) Assembler::unsupported("pair of this type");
  } else if (from != Type::kNone) {
    Assembler::unsupported("a pair to a single value");
  }
  if (from != Type::kNone) {
    form.from_pair = types[1];
    form.conversion.from = from;
  }
}

bool is_number(Type type) {
  switch (type) {
    case Type::kU8:
    case Type::kU16:
    case Type::kU32:
    case Type::kU64:
      return true;
    default:
      return is_signed(type) || is_floating(type);
  }
}

// Bits that a value of `to` can hold of one of `from` without rounding.
bool is_exact(const Conversion& c) {
  const auto precision = [](Type type) {
    switch (type) {
      case Type::kF64:
        return 53;
      case Type::kF32:
        return 24;
      case Type::kF16:
        return 11;
      case Type::kBf16:
        return 8;
      default:
        return 4;
    }
  };
  return is_floating(c.from) && is_floating(c.to) && precision(c.to) >= precision(c.from) &&
         !(c.to == Type::kF16 && c.from == Type::kBf16);
}

Modifiers parse(const ptx::Instruction& instruction) {
  Modifiers form;
  std::vector<Type> types;
  for (const std::string& word : instruction.modifiers) {
    if (const auto type = ptx::type_named(word)) {
      types.push_back(*type);
    } else if (word == "ftz") {
      form.conversion.ftz = true;
    } else if (word == "sat") {
      form.conversion.sat = true;
    } else if (word == "relu") {
      form.conversion.relu = true;
    } else if (word == "satfinite") {
      form.conversion.satfinite = true;
    } else if (!set_rounding(form, word)) {
      Assembler::unsupported("modifier ." + word);
    }
  }
  set_types(form, types);
  const Conversion& c = form.conversion;
  if (!is_number(c.to) || !is_number(c.from)) Assembler::unsupported("types of cvt");
  const bool both_integer = !is_floating(c.to) && !is_floating(c.from);
  if (!form.has_rounding && !both_integer && !is_exact(c)) {
    Assembler::unsupported("cvt without the rounding that it needs");
  }
  return form;
}

// What a general conversion needs while it runs.
struct Record {
  Conversion conversion;
  std::uint32_t from_lane_bytes = 4, to_lane_bytes = 4;
  std::uint64_t to_mask = ~std::uint64_t{0};  // bits of the destination's register
  std::uint32_t to_bits = 16, from_bits = 0;  // of a pair's elements; from_bits 0: two registers
};

std::uint64_t load(const Warp& warp, Place place, std::uint32_t bytes, std::uint32_t lane) {
  return bytes == 8 ? read<std::uint64_t>(warp, place)[lane]
                    : read<std::uint32_t>(warp, place)[lane];
}

const Op* convert_values(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  const Record& record = *static_cast<const Record*>(op->extra);
  for (std::uint32_t i = 0; i < kWarpLanes; ++i) {
    if ((lanes >> i & 1u) == 0) continue;
    const std::uint64_t value =
        convert(record.conversion, load(warp, op->a, record.from_lane_bytes, i)) & record.to_mask;
    if (record.to_lane_bytes == 8) {
      write<std::uint64_t>(warp, op->d)[i] = value;
    } else {
      write<std::uint32_t>(warp, op->d)[i] = static_cast<std::uint32_t>(value);
    }
  }
  return op + 1;
}

// Two results: of two registers (the first gives the upper one), or of the halves of one.
const Op* convert_pairs(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  const Record& record = *static_cast<const Record*>(op->extra);
  for (std::uint32_t i = 0; i < kWarpLanes; ++i) {
    if ((lanes >> i & 1u) == 0) continue;
    std::uint64_t upper = load(warp, op->a, 4, i), lower = load(warp, op->b, 4, i);
    if (record.from_bits != 0) {
      lower &= (1u << record.from_bits) - 1;
      upper = upper >> record.from_bits & ((1u << record.from_bits) - 1);
    }
    write<std::uint32_t>(warp, op->d)[i] = static_cast<std::uint32_t>(
        convert(record.conversion, upper) << record.to_bits | convert(record.conversion, lower));
  }
  return op + 1;
}

std::uint32_t register_width(Assembler& assembler, const ptx::Operand& operand, Type type) {
  const std::uint32_t named = assembler.register_bits(operand);
  const std::uint32_t natural = ptx::bits_of(type) < 16 ? 16 : ptx::bits_of(type);
  return named == 0 ? natural : named;
}

Type type_of_width(std::uint32_t bits) {
  return bits == 64 ? Type::kB64 : (bits == 32 ? Type::kB32 : Type::kB16);
}

std::uint64_t low_bits(std::uint32_t count) {
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

void emit_pair(Assembler& assembler, const Modifiers& form) {
  const bool two_sources = form.from_pair == Type::kNone;
  if (assembler.num_operands() != (two_sources ? 3u : 2u)) {
    Assembler::unsupported("number of operands");
  }
  const Type from = two_sources ? Type::kF32 : type_of_width(ptx::bits_of(form.from_pair));
  const Place a = assembler.source(1, from);
  const Place b = two_sources ? assembler.source(2, from) : a;
  const Place d = assembler.destination(0, type_of_width(ptx::bits_of(form.to_pair)));
  const auto fast = forms().forms.find("$" + assembler.instruction().full_name());
  const bool is_fast = fast != forms().forms.end();
  Record record;
  record.conversion = form.conversion;
  record.to_bits = ptx::bits_of(form.conversion.to);
  record.from_bits = two_sources ? 0 : ptx::bits_of(form.conversion.from);
  const Record* kept = is_fast ? nullptr : assembler.keep(record);
  Op& op = assembler.emit(is_fast ? fast->second.handler : convert_pairs);
  op.a = a;
  op.b = b;
  op.d = d;
  op.extra = kept;
}

// Name of the lane loop for these types and register widths; empty where there is none.
std::string fast_name(const Assembler& assembler, const Modifiers& form, std::uint32_t to_width,
                      std::uint32_t from_width) {
  const Conversion& c = form.conversion;
  if (!is_floating(c.to) && !is_floating(c.from)) {
    if (c.sat) return "";
    return "$cvt." + std::string(ptx::name_of(c.to)) + "." + std::string(ptx::name_of(c.from)) +
           (to_width == 64 ? ".8" : ".4") + (from_width == 64 ? "8" : "4");
  }
  const bool wide_source = (from_width == 64) != (ptx::bits_of(c.from) == 64);
  const bool wide_result = to_width != ptx::bits_of(c.to);
  return wide_source || wide_result ? "" : "$" + assembler.instruction().full_name();
}

}  // namespace

void decode_cvt(Assembler& assembler) {
  if (!assembler.instruction().modifiers.empty() &&
      assembler.instruction().modifiers[0] == "pack") {
    decode_form(assembler);
    return;
  }
  const Modifiers form = parse(assembler.instruction());
  if (form.pair) {
    emit_pair(assembler, form);
    return;
  }
  if (assembler.num_operands() != 2) Assembler::unsupported("number of operands");
  const Conversion& c = form.conversion;
  const std::uint32_t to_width = register_width(assembler, assembler.operand(0), c.to);
  const std::uint32_t from_width = register_width(assembler, assembler.operand(1), c.from);
  const bool is_register = assembler.register_bits(assembler.operand(1)) != 0;
  const Place a = assembler.source(1, is_register ? type_of_width(from_width) : c.from);
  const Place d = assembler.destination(0, type_of_width(to_width));
  const std::string name = fast_name(assembler, form, to_width, from_width);
  const auto fast = forms().forms.find(name);
  if (fast != forms().forms.end()) {
    Op& op = assembler.emit(fast->second.handler);
    op.a = a;
    op.d = d;
    op.small = static_cast<std::uint32_t>(low_bits(to_width));
    return;
  }
  Record record;
  record.conversion = c;
  record.from_lane_bytes = from_width == 64 ? 8 : 4;
  record.to_lane_bytes = to_width == 64 ? 8 : 4;
  record.to_mask = low_bits(to_width);
  const Record* kept = assembler.keep(record);
  Op& op = assembler.emit(convert_values);
  op.a = a;
  op.d = d;
  op.extra = kept;
}

}  // namespace ptx_emulator::lanes
