#include "tests/ptx_emulator/ptx/module.h"

#include <algorithm>
#include <array>

namespace ptx_emulator::ptx {
namespace {

struct TypeFacts {
  Type type;
  std::string_view name;
  std::uint32_t bits;
};

constexpr std::array kTypes = {
    TypeFacts{Type::kNone, "", 0},          TypeFacts{Type::kPred, "pred", 1},
    TypeFacts{Type::kB8, "b8", 8},          TypeFacts{Type::kB16, "b16", 16},
    TypeFacts{Type::kB32, "b32", 32},       TypeFacts{Type::kB64, "b64", 64},
    TypeFacts{Type::kB128, "b128", 128},    TypeFacts{Type::kU8, "u8", 8},
    TypeFacts{Type::kU16, "u16", 16},       TypeFacts{Type::kU32, "u32", 32},
    TypeFacts{Type::kU64, "u64", 64},       TypeFacts{Type::kS8, "s8", 8},
    TypeFacts{Type::kS16, "s16", 16},       TypeFacts{Type::kS32, "s32", 32},
    TypeFacts{Type::kS64, "s64", 64},       TypeFacts{Type::kF16, "f16", 16},
    TypeFacts{Type::kF16x2, "f16x2", 32},   TypeFacts{Type::kBf16, "bf16", 16},
    TypeFacts{Type::kBf16x2, "bf16x2", 32}, TypeFacts{Type::kTf32, "tf32", 32},
    TypeFacts{Type::kF32, "f32", 32},       TypeFacts{Type::kF64, "f64", 64},
    TypeFacts{Type::kE4m3, "e4m3", 8},      TypeFacts{Type::kE5m2, "e5m2", 8},
    TypeFacts{Type::kE4m3x2, "e4m3x2", 16}, TypeFacts{Type::kE5m2x2, "e5m2x2", 16},
    TypeFacts{Type::kF32x2, "f32x2", 64},   TypeFacts{Type::kU16x2, "u16x2", 32},
    TypeFacts{Type::kS16x2, "s16x2", 32},   TypeFacts{Type::kOther, "other", 0},
};
constexpr bool in_order() {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (static_cast<std::size_t>(kTypes[i].type) != i) return false;
  }
  return true;
}
static_assert(in_order());

const TypeFacts& facts(Type type) {
  return kTypes[static_cast<std::size_t>(type)];
}

}  // namespace

std::uint32_t bits_of(Type type) {
  return facts(type).bits;
}

std::string_view name_of(Type type) {
  return facts(type).name;
}

std::optional<Type> type_named(std::string_view word) {
  for (const TypeFacts& known : kTypes) {
    if (known.type == Type::kNone || known.type == Type::kOther) continue;
    if (known.name == word) return known.type;
  }
  return std::nullopt;
}

bool Instruction::has(std::string_view modifier) const {
  return std::find(modifiers.begin(), modifiers.end(), modifier) != modifiers.end();
}

std::string Instruction::full_name() const {
  std::string result = opcode;
  for (const std::string& modifier : modifiers) result += "." + modifier;
  return result;
}

std::uint64_t Variable::size_bytes() const {
  // A predicate in memory does not exist; everything else has whole bytes. The parser has checked
  // for overflow.
  return num_elements.value_or(0) * vector_length * (bits_of(type) / 8);
}

std::string source_text(const Module& module, const Location& location) {
  constexpr int kMostSites = 16;  // a chain that is longer is damaged
  std::string text;
  const Location* place = &location;
  for (int i = 0; i < kMostSites && place->source_line != 0; ++i) {
    std::string file =
        place->source_file < module.files.size() ? module.files[place->source_file] : "?";
    file.erase(0, file.rfind('/') + 1);
    text += (text.empty() ? "" : ", inlined at ") + file + ":" + std::to_string(place->source_line);
    if (place->inlined_at == 0 || place->inlined_at > module.inline_sites.size()) break;
    place = &module.inline_sites[place->inlined_at - 1].location;
  }
  return text;
}

}  // namespace ptx_emulator::ptx
