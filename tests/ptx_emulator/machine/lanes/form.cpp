#include "tests/ptx_emulator/machine/lanes/form.h"

#include <array>
#include <cstdlib>
#include <stdexcept>

#include "tests/ptx_emulator/machine/lanes/registration.h"

namespace ptx_emulator::lanes {
namespace {

// Appends every expansion of `pattern` behind `prefix`.
void expand(const std::string& prefix, std::string_view pattern, std::vector<std::string>& names) {
  const std::size_t open = pattern.find('{');
  if (open == std::string_view::npos) {
    names.push_back(prefix + std::string(pattern));
    return;
  }
  const std::size_t close = pattern.find('}', open);
  if (close == std::string_view::npos) {
    throw std::logic_error("pattern without closing brace: " + std::string(pattern));
  }
  const std::string head = prefix + std::string(pattern.substr(0, open));
  std::size_t at = open + 1;
  while (true) {
    const std::size_t end = std::min(pattern.find(',', at), close);
    expand(head + std::string(pattern.substr(at, end - at)), pattern.substr(close + 1), names);
    if (end == close) return;
    at = end + 1;
  }
}

bool use_avx512() {
  const char* wish = std::getenv("PTX_EMULATOR_ISA");
  if (wish != nullptr && std::string_view(wish) == "avx2") return false;
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512cd");
}

FormSink make_forms() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("f16c")) {
    throw std::runtime_error(
        "this processor lacks AVX2, FMA or F16C, which the PTX emulator needs; run it on an x86-64 "
        "processor of 2013 "
        "or later");
  }
  FormSink sink;
  if (use_avx512()) {
    register_avx512(sink);
  } else {
    register_avx2(sink);
  }
  register_scalar_forms(sink);
  return sink;
}

ptx::Type type_of_letter(char letter) {
  switch (letter) {
    case 'h':
      return ptx::Type::kB16;
    case 'w':
      return ptx::Type::kB32;
    case 'd':
      return ptx::Type::kB64;
    case 'q':
      return ptx::Type::kB128;
    case 'f':
      return ptx::Type::kF32;
    case 'g':
      return ptx::Type::kF64;
    case 'p':
      return ptx::Type::kPred;
    default:
      throw std::logic_error(std::string("no operand letter: ") + letter);
  }
}

}  // namespace

void FormSink::add(std::initializer_list<const char*> pieces, const char* operands,
                   Handler handler) {
  std::string pattern;
  for (const char* piece : pieces) pattern += piece;
  std::vector<std::string> names;
  expand("", pattern, names);
  for (const std::string& name : names) {
    if (!forms.emplace(name, Form{operands, handler}).second) {
      throw std::logic_error("registered twice: " + name);
    }
  }
  if (pattern.front() != '$') patterns.push_back(std::move(pattern));
}

const FormSink& forms() {
  static const FormSink all = make_forms();
  return all;
}

std::string_view isa_name() {
  return use_avx512() ? "avx512" : "avx2";
}

const Form& form(const std::string& name) {
  const auto found = forms().forms.find(name);
  if (found == forms().forms.end()) Assembler::unsupported("no form " + name);
  return found->second;
}

bool is_of_opcode(std::string_view name, std::string_view opcode) {
  return name.starts_with(opcode) &&
         (name.size() == opcode.size() || name[opcode.size()] == '.' || name[opcode.size()] == '{');
}

void decode_as(Assembler& assembler, const std::string& name) {
  const Form& found = form(name);
  const std::size_t count = found.operands.size();
  if (assembler.num_operands() != count) {
    Assembler::unsupported(name + " with " + std::to_string(assembler.num_operands()) +
                           " operands; it takes " + std::to_string(count));
  }
  std::array<Place, 5> places{};
  std::uint32_t small = 0;
  std::size_t at = 1;
  for (std::size_t i = 1; i < count; ++i) {
    if (found.operands[i] == 'n') {
      small = static_cast<std::uint32_t>(assembler.integer(i));
    } else {
      places.at(at++) = assembler.source(i, type_of_letter(found.operands[i]));
    }
  }
  places[0] = assembler.destination(0, type_of_letter(found.operands[0]));
  const Place* fourth = at > 4 ? assembler.keep(places[4]) : nullptr;
  Op& op = assembler.emit(found.handler);
  op.d = places[0];
  op.a = places[1];
  op.b = places[2];
  op.c = places[3];
  op.small = small;
  op.extra = fourth;
}

void decode_form(Assembler& assembler) {
  decode_as(assembler, assembler.instruction().full_name());
}

}  // namespace ptx_emulator::lanes
