#pragma once
// PTX text to tokens.

#include <cstdint>
#include <string>
#include <string_view>

namespace ptx_emulator::ptx {

struct Token {
  enum class Kind : std::uint8_t {
    kEnd,
    kWord,       // identifier or register: ld, %r1, $L__BB0_1, _
    kDotWord,    // .global, .L1::no_allocate; text without the first dot
    kInteger,    // value
    kFloat32,    // 0f3f800000: value holds the bits
    kFloat64,    // 0d3ff0000000000000 and 1.5: value holds the bits
    kString,     // text without its quotes
    kPunctuator  // one character, or << >> <= >= == != && ||
  };
  Kind kind = Kind::kEnd;
  std::string_view text;
  std::uint64_t value = 0;
  bool is_unsigned = false;  // of kInteger: written with U, or too large for 64 bits with a sign
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

// Reads tokens one after the other and looks at most two ahead. Tokens refer to the text.
class Tokens {
 public:
  // `label` names the text in messages; both outlive this.
  Tokens(std::string_view text, const std::string& label);

  const Token& peek(int ahead = 0);  // 0 or 1
  Token next();

  // Whether the next token is this punctuator or dot-word.
  bool at(std::string_view punctuator) { return is(peek(), Token::Kind::kPunctuator, punctuator); }
  bool at_dot(std::string_view word) { return is(peek(), Token::Kind::kDotWord, word); }
  bool at_word() { return peek().kind == Token::Kind::kWord; }
  bool at_end() { return peek().kind == Token::Kind::kEnd; }
  // Takes the next token if it is that; says whether it was.
  bool accept(std::string_view punctuator);
  bool accept_dot(std::string_view word);
  // Takes the next token, which must be that. Throws ParseError otherwise.
  void expect(std::string_view punctuator);
  Token expect_word(std::string_view what);
  Token expect_integer(std::string_view what);
  // An integer from 0 to `most`.
  std::uint32_t expect_number(std::string_view what, std::uint32_t most = 0xFFFFFFFF);
  // Skips everything up to and with the next ';'.
  void skip_statement();

  // Throws ParseError at the token, with its line and a caret.
  [[noreturn]] void fail(const Token& token, const std::string& message) const;
  [[noreturn]] void fail_expected(std::string_view what);
  static std::string shown(const Token& token);

 private:
  static bool is(const Token& token, Token::Kind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }
  Token read();
  void skip_blanks();
  void read_number(Token& token);
  void read_bits(Token& token, std::size_t digits, Token::Kind kind);
  void read_decimal_float(Token& token);
  void read_string(Token& token);
  char character(std::size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }

  std::string_view text_;
  const std::string& label_;
  std::size_t position_ = 0;
  std::size_t line_begin_ = 0;
  std::uint32_t line_ = 1;
  Token ahead_[2];
  int num_ahead_ = 0;
};

}  // namespace ptx_emulator::ptx
