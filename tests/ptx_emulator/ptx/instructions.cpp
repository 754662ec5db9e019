#include <algorithm>
#include <array>

#include "tests/ptx_emulator/ptx/parser_state.h"

namespace ptx_emulator::ptx {
namespace {

Operand read_operand(ParserState& state, const Instruction& instruction, int nesting);

// The selectors that may stand behind an operand's name: of vector registers and of video
// instructions. Empty where the word is none; the colours of old shaders are the same components.
std::string_view selector(std::string_view word) {
  constexpr std::array<std::string_view, 10> kSelectors = {"x",  "y",  "z",  "w",  "b0",
                                                           "b1", "b2", "b3", "h0", "h1"};
  if (word == "r") return "x";
  if (word == "g") return "y";
  if (word == "b") return "z";
  if (word == "a") return "w";
  const auto* found = std::find(kSelectors.begin(), kSelectors.end(), word);
  return found == kSelectors.end() ? std::string_view() : *found;
}

// A name: of a register, of a special register or of anything else that has an address.
Operand read_name(ParserState& state) {
  Tokens& tokens = state.tokens;
  const Token token = tokens.expect_word("an operand");
  Operand operand;
  if (token.text == "_") return operand;
  const std::optional<Scopes::Meaning> meaning = state.scopes.find(token.text);
  operand.name = meaning ? meaning->name : std::string(token.text);
  if (meaning && meaning->kind != NameKind::kRegister) {
    operand.kind = Operand::Kind::kSymbol;
  } else if (!meaning) {
    operand.kind = token.text[0] == '%' ? Operand::Kind::kSpecial : Operand::Kind::kSymbol;
  }
  while (tokens.peek().kind == Token::Kind::kDotWord) {
    const Token dot = tokens.next();
    if (operand.kind == Operand::Kind::kSpecial) {
      operand.name += "." + std::string(dot.text);
      continue;
    }
    // A video instruction may select twice in old texts: %v.x.b0 has no meaning in any.
    operand.component = selector(dot.text);
    if (operand.component.empty() || operand.kind != Operand::Kind::kRegister) {
      tokens.fail(dot, "expected .x, .y, .z, .w or a selector such as .b0 behind a register");
    }
  }
  return operand;
}

// `+ 8` or `- 8` behind a name, or nothing.
std::int64_t read_offset(ParserState& state) {
  if (!state.tokens.at("+") && !state.tokens.at("-")) return 0;
  return read_integer(state);
}

std::vector<Operand> read_operands(ParserState& state, const Instruction& instruction,
                                   std::string_view end, int nesting) {
  std::vector<Operand> result;
  if (state.tokens.accept(end)) return result;
  do {
    result.push_back(read_operand(state, instruction, nesting + 1));
  } while (state.tokens.accept(","));
  state.tokens.expect(end);
  return result;
}

// `[base + offset]` or `[map, {x, y}]`, from the bracket.
Operand read_address(ParserState& state, const Instruction& instruction, int nesting) {
  Tokens& tokens = state.tokens;
  tokens.expect("[");
  Operand address;
  if (at_constant(state) || tokens.at("(")) {
    address.value = read_integer(state);
  } else {
    const Token token = tokens.peek();
    Operand base = read_name(state);
    if (base.kind == Operand::Kind::kSpecial || base.name.empty()) {
      tokens.fail(token, "an address begins with a register, a variable or a number, not with " +
                             Tokens::shown(token));
    }
    address = std::move(base);
    address.base_is_register = address.kind == Operand::Kind::kRegister;
    address.value = read_offset(state);
  }
  address.kind = Operand::Kind::kAddress;
  // Coordinates of a tensor or texture; a texture's sampler stands before them.
  while (tokens.accept(",")) {
    Operand coordinates;
    coordinates.kind = Operand::Kind::kList;
    if (tokens.accept("{")) {
      coordinates.parts = read_operands(state, instruction, "}", nesting);
    } else {
      coordinates.parts.push_back(read_operand(state, instruction, nesting + 1));
    }
    address.parts.push_back(std::move(coordinates));
  }
  tokens.expect("]");
  return address;
}

Operand read_constant_operand(ParserState& state) {
  const Constant constant = read_constant(state);
  Operand operand;
  operand.value = static_cast<std::int64_t>(constant.bits);
  switch (constant.kind) {
    case Constant::Kind::kInteger:
      operand.kind = Operand::Kind::kInteger;
      break;
    case Constant::Kind::kFloat32:
      operand.kind = Operand::Kind::kFloat32;
      break;
    case Constant::Kind::kFloat64:
      operand.kind = Operand::Kind::kFloat64;
      break;
  }
  return operand;
}

Operand read_single(ParserState& state, const Instruction& instruction, int nesting) {
  Tokens& tokens = state.tokens;
  Operand operand;
  if (tokens.accept("{")) {
    operand.kind = Operand::Kind::kVector;
    operand.parts = read_operands(state, instruction, "}", nesting);
    return operand;
  }
  if (tokens.at("[")) return read_address(state, instruction, nesting);
  if (tokens.at("(") && instruction.opcode == "call") {
    tokens.next();
    operand.kind = Operand::Kind::kList;
    operand.parts = read_operands(state, instruction, ")", nesting);
    return operand;
  }
  if (tokens.at("!") && tokens.peek(1).kind == Token::Kind::kWord) {
    tokens.next();
    operand.kind = Operand::Kind::kNegated;
    operand.parts.push_back(read_name(state));
    return operand;
  }
  if (at_constant(state) || tokens.at("(") || tokens.at("!")) return read_constant_operand(state);
  if (!tokens.at_word()) tokens.fail_expected("an operand");
  operand = read_name(state);
  if (operand.kind != Operand::Kind::kSymbol) return operand;
  if (tokens.at("[")) {
    tokens.fail_expected("a byte offset such as [name + 8]: an element by its index");
  }
  operand.value = read_offset(state);
  return operand;
}

Operand read_operand(ParserState& state, const Instruction& instruction, int nesting) {
  if (nesting > 8) state.tokens.fail(state.tokens.peek(), "operands nested too deeply");
  Operand first = read_single(state, instruction, nesting);
  if (!state.tokens.accept("|")) return first;
  Operand pair;
  pair.kind = Operand::Kind::kPair;
  pair.parts.push_back(std::move(first));
  pair.parts.push_back(read_single(state, instruction, nesting + 1));
  return pair;
}

void read_guard(ParserState& state, Instruction& instruction) {
  Tokens& tokens = state.tokens;
  instruction.guard_negated = tokens.accept("!");
  const Token token = tokens.peek();
  const Operand guard = read_name(state);
  if (guard.kind != Operand::Kind::kRegister || guard.name.empty()) {
    tokens.fail(token, "a guard is a predicate register; " + Tokens::shown(token) +
                           " is not declared as a register");
  }
  instruction.guard = guard.name;
}

}  // namespace

Instruction read_instruction(ParserState& state) {
  Tokens& tokens = state.tokens;
  Instruction instruction;
  if (tokens.accept("@")) read_guard(state, instruction);
  const Token token = tokens.expect_word("an instruction");
  instruction.opcode = token.text;
  instruction.location = state.lines.at(token);
  while (tokens.peek().kind == Token::Kind::kDotWord) {
    instruction.modifiers.emplace_back(tokens.next().text);
  }
  if (tokens.accept(";")) return instruction;
  do {
    instruction.operands.push_back(read_operand(state, instruction, 0));
  } while (tokens.accept(","));
  tokens.expect(";");
  return instruction;
}

}  // namespace ptx_emulator::ptx
