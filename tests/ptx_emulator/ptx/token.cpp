#include "tests/ptx_emulator/ptx/token.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "tests/ptx_emulator/ptx/parser.h"

namespace ptx_emulator::ptx {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool begins_word(char c) {
  return is_letter(c) || c == '_' || c == '$' || c == '%';
}
bool continues_word(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '$';
}

// 16 where the character is no digit of any base.
unsigned digit_value(char c) {
  if (is_digit(c)) return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return 16;
}

// What a terminal can show of the text: control characters and bytes beyond ASCII as '?'.
std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c == '\t') c = ' ';
    if (c < ' ' || c > '~') c = '?';
  }
  return result;
}

}  // namespace

Tokens::Tokens(std::string_view text, const std::string& label) : text_(text), label_(label) {}

const Token& Tokens::peek(int ahead) {
  while (num_ahead_ <= ahead) ahead_[num_ahead_++] = read();
  return ahead_[ahead];
}

Token Tokens::next() {
  if (num_ahead_ == 0) return read();
  const Token token = ahead_[0];
  ahead_[0] = ahead_[1];
  --num_ahead_;
  return token;
}

bool Tokens::accept(std::string_view punctuator) {
  if (!at(punctuator)) return false;
  next();
  return true;
}

bool Tokens::accept_dot(std::string_view word) {
  if (!at_dot(word)) return false;
  next();
  return true;
}

void Tokens::expect(std::string_view punctuator) {
  if (!accept(punctuator)) fail_expected("'" + std::string(punctuator) + "'");
}

Token Tokens::expect_word(std::string_view what) {
  if (!at_word()) fail_expected(what);
  return next();
}

Token Tokens::expect_integer(std::string_view what) {
  if (peek().kind != Token::Kind::kInteger) fail_expected(what);
  return next();
}

std::uint32_t Tokens::expect_number(std::string_view what, std::uint32_t most) {
  const Token token = expect_integer(what);
  if (token.value > most) {
    fail(token, std::string(what) + " is " + std::to_string(token.value) + "; the largest is " +
                    std::to_string(most));
  }
  return static_cast<std::uint32_t>(token.value);
}

void Tokens::skip_statement() {
  while (!at(";")) {
    if (at_end()) fail_expected("';'");
    next();
  }
  next();
}

std::string Tokens::shown(const Token& token) {
  if (token.kind == Token::Kind::kEnd) return "the end of the text";
  const std::string dot = token.kind == Token::Kind::kDotWord ? "." : "";
  return "'" + dot + printable(token.text.substr(0, 100)) + "'";
}

void Tokens::fail_expected(std::string_view what) {
  const Token token = peek();
  fail(token, "expected " + std::string(what) + ", found " + shown(token));
}

void Tokens::fail(const Token& token, const std::string& message) const {
  constexpr std::size_t kMostColumns = 100;
  // The token may lie on an earlier line than the reader: lines are found again from the start.
  std::size_t begin = 0;
  for (std::uint32_t line = 1; line < token.line; ++line) {
    const std::size_t end = text_.find('\n', begin);
    if (end == std::string_view::npos) break;
    begin = end + 1;
  }
  std::string_view line = text_.substr(begin, text_.find('\n', begin) - begin);
  std::size_t caret = token.column > 0 ? token.column - 1 : 0;
  if (caret > kMostColumns / 2) {
    const std::size_t cut = std::min(caret - kMostColumns / 2, line.size());
    line.remove_prefix(cut);
    caret -= cut;
  }
  line = line.substr(0, kMostColumns);
  throw ParseError(label_ + ":" + std::to_string(token.line) + ":" + std::to_string(token.column) +
                   ": " + message + "\n  " + printable(line) + "\n  " + std::string(caret, ' ') +
                   "^");
}

void Tokens::skip_blanks() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c == '\n') {
      ++position_;
      ++line_;
      line_begin_ = position_;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
      ++position_;
    } else if ((c == '/' && character(1) == '/') || (c == '#' && position_ == line_begin_)) {
      position_ = std::min(text_.find('\n', position_), text_.size());
    } else if (c == '/' && character(1) == '*') {
      const std::size_t end = std::min(text_.find("*/", position_ + 2), text_.size());
      for (; position_ < end; ++position_) {
        if (text_[position_] != '\n') continue;
        ++line_;
        line_begin_ = position_ + 1;
      }
      position_ = std::min(end + 2, text_.size());
    } else {
      return;
    }
  }
}

Token Tokens::read() {
  skip_blanks();
  Token token;
  token.line = line_;
  token.column = static_cast<std::uint32_t>(position_ - line_begin_ + 1);
  if (position_ >= text_.size()) return token;
  const std::size_t begin = position_;
  const char c = text_[position_];
  if (begins_word(c)) {
    token.kind = Token::Kind::kWord;
    ++position_;
    while (continues_word(character())) ++position_;
  } else if (c == '.' && continues_word(character(1))) {
    token.kind = Token::Kind::kDotWord;
    ++position_;
    while (continues_word(character()) ||
           (character() == ':' && character(1) == ':' && continues_word(character(2)))) {
      position_ += character() == ':' ? 2 : 1;
    }
    token.text = text_.substr(begin + 1, position_ - begin - 1);
    return token;
  } else if (is_digit(c)) {
    read_number(token);
  } else if (c == '"') {
    read_string(token);
    return token;
  } else {
    token.kind = Token::Kind::kPunctuator;
    const std::string_view pair = text_.substr(position_, 2);
    const bool two = pair == "<<" || pair == ">>" || pair == "<=" || pair == ">=" || pair == "==" ||
                     pair == "!=" || pair == "&&" || pair == "||";
    position_ += two ? 2 : 1;
  }
  token.text = text_.substr(begin, position_ - begin);
  return token;
}

void Tokens::read_string(Token& token) {
  const std::size_t begin = ++position_;
  while (position_ < text_.size() && character() != '"' && character() != '\n') ++position_;
  token.kind = Token::Kind::kString;
  token.text = text_.substr(begin, position_ - begin);
  if (character() != '"') fail(token, "a string without its closing quote");
  ++position_;
}

void Tokens::read_bits(Token& token, std::size_t digits, Token::Kind kind) {
  token.kind = kind;
  position_ += 2;
  for (std::size_t i = 0; i < digits; ++i, ++position_) {
    const unsigned digit = digit_value(character());
    if (digit >= 16) {
      fail(token, "a floating-point constant of this form has " + std::to_string(digits) +
                      " hexadecimal digits");
    }
    token.value = token.value << 4 | digit;
  }
}

void Tokens::read_decimal_float(Token& token) {
  const std::size_t begin = position_;
  while (is_digit(character())) ++position_;
  if (character() == '.') {
    ++position_;
    while (is_digit(character())) ++position_;
  }
  if (character() == 'e' || character() == 'E') {
    const std::size_t sign = character(1) == '+' || character(1) == '-' ? 1 : 0;
    if (is_digit(character(1 + sign))) {
      position_ += 1 + sign;
      while (is_digit(character())) ++position_;
    }
  }
  token.kind = Token::Kind::kFloat64;
  // Not strtod: its decimal point follows the locale of the program that is played.
  double value = 0;
  const std::from_chars_result result =
      std::from_chars(text_.data() + begin, text_.data() + position_, value);
  if (result.ec != std::errc()) fail(token, "a floating-point constant that no f64 holds");
  token.value = std::bit_cast<std::uint64_t>(value);
}

void Tokens::read_number(Token& token) {
  const char second = character(1);
  if (character() == '0' && (second == 'f' || second == 'F')) {
    return read_bits(token, 8, Token::Kind::kFloat32);
  }
  if (character() == '0' && (second == 'd' || second == 'D')) {
    return read_bits(token, 16, Token::Kind::kFloat64);
  }
  unsigned base = 10;
  std::size_t prefix = 0;
  if (character() == '0' && (second == 'x' || second == 'X')) base = 16, prefix = 2;
  if (character() == '0' && (second == 'b' || second == 'B')) base = 2, prefix = 2;
  if (base == 10) {
    std::size_t digits = 0;
    while (is_digit(character(digits))) ++digits;
    const bool exponent = character(digits) == 'e' || character(digits) == 'E';
    if (character(digits) == '.' || exponent) return read_decimal_float(token);
    if (character() == '0' && digits > 1) base = 8, prefix = 1;
  }
  token.kind = Token::Kind::kInteger;
  position_ += prefix;
  const std::size_t begin = position_;
  for (; digit_value(character()) < base; ++position_) {
    const unsigned digit = digit_value(character());
    if (token.value > (~std::uint64_t{0} - digit) / base) {
      fail(token, "an integer constant that does not fit into 64 bits");
    }
    token.value = token.value * base + digit;
  }
  if (position_ == begin) fail(token, "an integer constant without digits");
  if (character() == 'U' || character() == 'u') {
    token.is_unsigned = true;
    ++position_;
  }
  if (continues_word(character())) {
    fail(token, "an integer constant followed by '" + printable(text_.substr(position_, 1)) + "'");
  }
  if (token.value >> 63 != 0) token.is_unsigned = true;
}

}  // namespace ptx_emulator::ptx
