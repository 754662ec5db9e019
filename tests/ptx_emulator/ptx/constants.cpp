#include <bit>
#include <cmath>

#include "tests/ptx_emulator/ptx/parser_state.h"

namespace ptx_emulator::ptx {

double Constant::as_double() const {
  if (kind == Kind::kFloat64) return std::bit_cast<double>(bits);
  if (kind == Kind::kFloat32) return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  return is_unsigned ? static_cast<double>(bits)
                     : static_cast<double>(static_cast<std::int64_t>(bits));
}

namespace {

using Kind = Constant::Kind;

Constant read_conditional(ParserState& state, int nesting);

// How tightly an operator binds; 0: no binary operator.
int binding(const Token& token) {
  if (token.kind != Token::Kind::kPunctuator) return 0;
  const std::string_view t = token.text;
  if (t == "*" || t == "/" || t == "%") return 10;
  if (t == "+" || t == "-") return 9;
  if (t == "<<" || t == ">>") return 8;
  if (t == "<" || t == ">" || t == "<=" || t == ">=") return 7;
  if (t == "==" || t == "!=") return 6;
  if (t == "&") return 5;
  if (t == "^") return 4;
  if (t == "|") return 3;
  if (t == "&&") return 2;
  if (t == "||") return 1;
  return 0;
}

Constant truth(bool value) {
  return {.bits = value ? 1U : 0U};
}

template <typename T>
Constant compare(std::string_view op, T a, T b) {
  if (op == "<") return truth(a < b);
  if (op == ">") return truth(a > b);
  if (op == "<=") return truth(a <= b);
  if (op == ">=") return truth(a >= b);
  if (op == "==") return truth(a == b);
  return truth(a != b);
}

bool is_comparison(std::string_view op) {
  return op == "<" || op == ">" || op == "<=" || op == ">=" || op == "==" || op == "!=";
}

Constant apply_to_floats(ParserState& state, const Token& op, double a, double b) {
  if (is_comparison(op.text)) return compare(op.text, a, b);
  double result = 0;
  if (op.text == "+") {
    result = a + b;
  } else if (op.text == "-") {
    result = a - b;
  } else if (op.text == "*") {
    result = a * b;
  } else if (op.text == "/") {
    result = a / b;
  } else {
    state.tokens.fail(op, "this operator takes integers only");
  }
  return {.kind = Kind::kFloat64, .bits = std::bit_cast<std::uint64_t>(result)};
}

// Quotient and remainder; a signed quotient that does not fit wraps.
std::uint64_t divide(ParserState& state, const Token& op, std::uint64_t a, std::uint64_t b,
                     bool is_unsigned) {
  if (b == 0) state.tokens.fail(op, "a division by zero");
  const bool quotient = op.text == "/";
  if (is_unsigned) return quotient ? a / b : a % b;
  const auto x = static_cast<std::int64_t>(a);
  const auto y = static_cast<std::int64_t>(b);
  if (y == -1) return quotient ? 0 - a : 0;
  return static_cast<std::uint64_t>(quotient ? x / y : x % y);
}

// Shifts as in PTX: an amount over 63 moves every bit out.
std::uint64_t shift(std::string_view op, const Constant& a, std::uint64_t amount) {
  if (op == "<<") return amount > 63 ? 0 : a.bits << amount;
  if (a.is_unsigned) return amount > 63 ? 0 : a.bits >> amount;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(a.bits) >>
                                    (amount > 63 ? 63 : amount));
}

Constant apply(ParserState& state, const Token& op, const Constant& a, const Constant& b) {
  const std::string_view t = op.text;
  if (a.kind != Kind::kInteger || b.kind != Kind::kInteger) {
    return apply_to_floats(state, op, a.as_double(), b.as_double());
  }
  const bool is_unsigned = a.is_unsigned || b.is_unsigned;
  if (is_comparison(t)) {
    if (is_unsigned) return compare(t, a.bits, b.bits);
    return compare(t, static_cast<std::int64_t>(a.bits), static_cast<std::int64_t>(b.bits));
  }
  if (t == "&&") return truth(a.bits != 0 && b.bits != 0);
  if (t == "||") return truth(a.bits != 0 || b.bits != 0);
  if (t == "<<" || t == ">>") return {.bits = shift(t, a, b.bits), .is_unsigned = a.is_unsigned};
  std::uint64_t result = 0;
  switch (t[0]) {
    case '+':
      result = a.bits + b.bits;
      break;
    case '-':
      result = a.bits - b.bits;
      break;
    case '*':
      result = a.bits * b.bits;
      break;
    case '&':
      result = a.bits & b.bits;
      break;
    case '|':
      result = a.bits | b.bits;
      break;
    case '^':
      result = a.bits ^ b.bits;
      break;
    default:
      result = divide(state, op, a.bits, b.bits, is_unsigned);
      break;
  }
  return {.bits = result, .is_unsigned = is_unsigned};
}

Constant negate(Constant a) {
  if (a.kind == Kind::kFloat32) {
    a.bits ^= std::uint64_t{1} << 31;
  } else if (a.kind == Kind::kFloat64) {
    a.bits ^= std::uint64_t{1} << 63;
  } else {
    a.bits = 0 - a.bits;
  }
  return a;
}

Constant read_unary(ParserState& state, int nesting) {
  Tokens& tokens = state.tokens;
  const Token token = tokens.peek();
  if (nesting > 4 * kMostNesting) tokens.fail(token, "a constant expression nested too deeply");
  if (token.kind == Token::Kind::kInteger) {
    tokens.next();
    return {.bits = token.value, .is_unsigned = token.is_unsigned};
  }
  if (token.kind == Token::Kind::kFloat32 || token.kind == Token::Kind::kFloat64) {
    tokens.next();
    const bool single = token.kind == Token::Kind::kFloat32;
    return {.kind = single ? Kind::kFloat32 : Kind::kFloat64, .bits = token.value};
  }
  if (token.kind == Token::Kind::kWord && token.text == "WARP_SZ") {
    tokens.next();
    return {.bits = 32};
  }
  if (tokens.accept("(")) {
    if (tokens.at_dot("s64") || tokens.at_dot("u64")) {
      const bool is_unsigned = tokens.next().text == "u64";
      tokens.expect(")");
      Constant a = read_unary(state, nesting + 1);
      if (a.kind != Kind::kInteger) tokens.fail(token, "a cast of a floating-point constant");
      a.is_unsigned = is_unsigned;
      return a;
    }
    const Constant a = read_conditional(state, nesting + 1);
    tokens.expect(")");
    return a;
  }
  if (tokens.accept("+")) return read_unary(state, nesting + 1);
  if (tokens.accept("-")) return negate(read_unary(state, nesting + 1));
  if (!tokens.at("!") && !tokens.at("~")) tokens.fail_expected("a constant");
  tokens.next();
  Constant a = read_unary(state, nesting + 1);
  if (a.kind != Kind::kInteger) tokens.fail(token, "this operator takes integers only");
  if (token.text == "!") return truth(a.bits == 0);
  a.bits = ~a.bits;
  return a;
}

Constant read_binary(ParserState& state, int least_binding, int nesting) {
  Constant left = read_unary(state, nesting + 1);
  while (true) {
    const Token op = state.tokens.peek();
    const int strength = binding(op);
    if (strength == 0 || strength < least_binding) return left;
    state.tokens.next();
    left = apply(state, op, left, read_binary(state, strength + 1, nesting + 1));
  }
}

Constant read_conditional(ParserState& state, int nesting) {
  const Constant condition = read_binary(state, 1, nesting);
  const Token question = state.tokens.peek();
  if (!state.tokens.accept("?")) return condition;
  if (condition.kind != Kind::kInteger) {
    state.tokens.fail(question, "the condition is no integer");
  }
  const Constant a = read_conditional(state, nesting + 1);
  state.tokens.expect(":");
  const Constant b = read_conditional(state, nesting + 1);
  return condition.bits != 0 ? a : b;
}

}  // namespace

Constant read_constant(ParserState& state) {
  return read_conditional(state, 0);
}

std::int64_t read_integer(ParserState& state) {
  const Token token = state.tokens.peek();
  const Constant constant = read_constant(state);
  if (constant.kind != Kind::kInteger) {
    state.tokens.fail(token, "expected an integer, found a floating-point constant");
  }
  return static_cast<std::int64_t>(constant.bits);
}

bool at_constant(ParserState& state) {
  const Token& token = state.tokens.peek();
  switch (token.kind) {
    case Token::Kind::kInteger:
    case Token::Kind::kFloat32:
    case Token::Kind::kFloat64:
      return true;
    case Token::Kind::kWord:
      return token.text == "WARP_SZ";
    case Token::Kind::kPunctuator:
      return token.text == "-" || token.text == "+" || token.text == "~";
    default:
      return false;
  }
}

}  // namespace ptx_emulator::ptx
