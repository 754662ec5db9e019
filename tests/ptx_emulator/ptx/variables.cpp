#include <algorithm>
#include <bit>
#include <optional>

#include "tests/ptx_emulator/ptx/parser_state.h"

namespace ptx_emulator::ptx {
namespace {

// No device has more; keeps later arithmetic far from overflow.
constexpr std::uint64_t kMostVariableBytes = std::uint64_t{1} << 48;
constexpr std::uint32_t kMostAlignment = 1U << 30;

// nullopt where the next token names no state space. Textures and surfaces lie in the global one.
std::optional<Space> space_named(std::string_view word) {
  if (word == "global" || word == "tex") return Space::kGlobal;
  if (word == "const") return Space::kConstant;
  if (word == "shared") return Space::kShared;
  if (word == "local") return Space::kLocal;
  if (word == "param") return Space::kParameter;
  if (word == "reg") return Space::kRegister;
  return std::nullopt;
}

void read_alignment(ParserState& state, Variable& variable) {
  const Token token = state.tokens.peek();
  variable.alignment = state.tokens.expect_number("an alignment", kMostAlignment);
  if (!std::has_single_bit(variable.alignment)) {
    state.tokens.fail(token, "an alignment of " + std::to_string(variable.alignment) +
                                 "; it must be a power of two");
  }
}

// Space, alignment, vector length and type: what stands before the names. `alignment` 0 means: the
// natural one.
Variable read_declarator(ParserState& state) {
  Tokens& tokens = state.tokens;
  Variable variable;
  const std::optional<Space> space =
      tokens.peek().kind == Token::Kind::kDotWord ? space_named(tokens.peek().text) : std::nullopt;
  if (!space) tokens.fail_expected("a state space such as .global");
  tokens.next();
  variable.space = *space;
  variable.type = Type::kNone;
  variable.alignment = 0;
  // .const[3] and .shared::cta: banks and windows of older and newer texts.
  if (variable.space == Space::kConstant && tokens.accept("[")) {
    tokens.expect_number("a bank of constants", 10);
    tokens.expect("]");
  }
  while (tokens.peek().kind == Token::Kind::kDotWord) {
    const Token token = tokens.next();
    if (token.text == "align") {
      read_alignment(state, variable);
    } else if (token.text == "attribute") {
      variable.is_managed = read_attribute(state);
    } else if (token.text == "v2" || token.text == "v4" || token.text == "v8") {
      variable.vector_length = static_cast<std::uint32_t>(token.text[1] - '0');
    } else if (token.text == "texref" || token.text == "samplerref" || token.text == "surfref") {
      variable.type = Type::kB64;
    } else if (token.text == "ptr") {
      // What a pointer parameter points to: .ptr .global .align 16, which says nothing about the
      // parameter.
      while (tokens.at_dot("global") || tokens.at_dot("const") || tokens.at_dot("shared") ||
             tokens.at_dot("local")) {
        tokens.next();
      }
      if (tokens.accept_dot("align")) tokens.expect_number("an alignment", kMostAlignment);
    } else if (const std::optional<Type> type = type_named(token.text); type) {
      variable.type = *type;
    } else {
      tokens.fail(token, "expected a type, found " + Tokens::shown(token));
    }
  }
  if (variable.type == Type::kNone) tokens.fail_expected("a type");
  if (variable.alignment == 0) {
    variable.alignment =
        std::bit_ceil(std::max(1U, bits_of(variable.type) / 8 * variable.vector_length));
  }
  return variable;
}

// `[4][2]` behind a name, or nothing. A first dimension without number: 0.
std::vector<std::uint64_t> read_dimensions(ParserState& state, Variable& variable) {
  Tokens& tokens = state.tokens;
  std::vector<std::uint64_t> dimensions;
  std::uint64_t product = 1;
  bool is_open = false;
  while (tokens.at("[")) {
    const Token token = tokens.next();
    if (tokens.accept("]")) {
      if (!dimensions.empty()) tokens.fail(token, "only the first dimension may be left out");
      dimensions.push_back(0);
      is_open = true;
      continue;
    }
    const std::int64_t extent = read_integer(state);
    if (extent < 0) tokens.fail(token, "an array of " + std::to_string(extent) + " elements");
    tokens.expect("]");
    if (extent == 0 && !dimensions.empty()) tokens.fail(token, "an inner dimension of 0 elements");
    dimensions.push_back(static_cast<std::uint64_t>(extent));
    const std::uint64_t element_bytes =
        std::max(1U, bits_of(variable.type) / 8) * variable.vector_length;
    if (dimensions.back() > 0 && product > kMostVariableBytes / element_bytes / dimensions.back()) {
      tokens.fail(token, "an array of more than 2^48 bytes");
    }
    product *= dimensions.back();
    if (dimensions.size() > kMostNesting) tokens.fail(token, "too many dimensions");
  }
  variable.num_elements = product;
  if (is_open) variable.num_elements = std::nullopt;
  return dimensions;
}

Location take_name(ParserState& state, Variable& variable) {
  const Token token = state.tokens.expect_word("a name");
  variable.name = token.text;
  return state.lines.at(token);
}

}  // namespace

bool at_space(ParserState& state) {
  const Token& token = state.tokens.peek();
  return token.kind == Token::Kind::kDotWord && token.text != "reg" && space_named(token.text);
}

bool read_attribute(ParserState& state) {
  Tokens& tokens = state.tokens;
  bool managed = false;
  tokens.expect("(");
  for (int open = 1; open > 0;) {
    const Token token = tokens.next();
    if (token.kind == Token::Kind::kEnd) tokens.fail(token, "an .attribute without its ')'");
    if (token.kind == Token::Kind::kDotWord && token.text == "managed") managed = true;
    if (token.kind != Token::Kind::kPunctuator) continue;
    if (token.text == "(") ++open;
    if (token.text == ")") --open;
  }
  return managed;
}

std::vector<Variable> read_variables(ParserState& state, Linkage linkage) {
  Tokens& tokens = state.tokens;
  Variable common = read_declarator(state);
  common.is_external = linkage.is_external;
  common.is_visible = linkage.is_visible;
  common.is_weak = linkage.is_weak;
  std::vector<Variable> result;
  do {
    Variable variable = common;
    variable.location = take_name(state, variable);
    const std::vector<std::uint64_t> dimensions = read_dimensions(state, variable);
    if (tokens.accept("=")) read_initial_value(state, variable, dimensions);
    result.push_back(std::move(variable));
  } while (tokens.accept(","));
  tokens.expect(";");
  return result;
}

Variable read_parameter(ParserState& state) {
  Variable variable = read_declarator(state);
  variable.location = take_name(state, variable);
  read_dimensions(state, variable);
  return variable;
}

std::vector<Variable> read_parameters(ParserState& state) {
  std::vector<Variable> result;
  state.tokens.expect("(");
  if (state.tokens.accept(")")) return result;
  do {
    result.push_back(read_parameter(state));
  } while (state.tokens.accept(","));
  state.tokens.expect(")");
  return result;
}

}  // namespace ptx_emulator::ptx
