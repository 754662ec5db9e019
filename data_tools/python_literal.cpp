#include "data_tools/python_literal.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "src/tokenizer/utf8.h"

namespace ovid::data_tools {
namespace {

constexpr int kDeepest = 64;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_utf8(char32_t code, std::string& out) {
  const auto byte = [&](char32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr char32_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  byte(kLead[more] | (code >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) byte(0x80 | ((code >> (6 * i)) & 0x3F));
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::map<std::string, PythonValue> dict_line() {
    skip_space();
    auto dict = dict_of(0);
    skip_space();
    if (at_ != text_.size()) fail("more text behind the dict");
    return dict;
  }

 private:
  [[noreturn]] void fail(std::string_view reason) const {
    throw PythonSyntaxError(fmt::format("not a Python dict: {} at column {}", reason, at_ + 1));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\r') ++at_;
  }

  bool take(char c) {
    skip_space();
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!take(c)) fail(fmt::format("no {}", c));
  }

  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  std::map<std::string, PythonValue> dict_of(int depth) {
    if (depth == kDeepest) fail("brackets more than 64 deep");
    std::map<std::string, PythonValue> dict;
    expect('{');
    while (!take('}')) {
      PythonValue key = value_of(depth + 1);
      expect(':');
      PythonValue value = value_of(depth + 1);
      if (auto* text = std::get_if<std::string>(&key)) {
        dict.insert_or_assign(std::move(*text), std::move(value));
      } else if (depth == 0) {
        fail("a key that is no text");
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    return dict;
  }

  void list_of(char end, int depth) {
    if (depth == kDeepest) fail("brackets more than 64 deep");
    ++at_;
    while (!take(end)) {
      value_of(depth + 1);
      if (!take(',')) {
        expect(end);
        break;
      }
    }
  }

  PythonValue value_of(int depth) {
    skip_space();
    const char c = peek();
    if (c == '{') {
      dict_of(depth);
      return {};
    }
    if (c == '[' || c == '(') {
      list_of(c == '[' ? ']' : ')', depth);
      return {};
    }
    if (take_word("None") || take_word("True") || take_word("False")) return {};
    if (c == '-' || c == '+' || c == '.' || is_digit(c)) return number();
    const bool unicode = c == 'u' || c == 'U';
    if (unicode) ++at_;
    if (peek() == '\'' || peek() == '"') return string_of(unicode);
    fail("no value");
  }

  double number() {
    if (peek() == '+') ++at_;
    double value = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc() || !std::isfinite(value)) fail("a number that is none");
    at_ = static_cast<std::size_t>(end - text_.data());
    if (peek() == 'L') ++at_;
    return value;
  }

  // The code of a number of exactly `digits` digits.
  char32_t code_of(std::size_t digits) {
    std::uint32_t code = 0;
    const std::string_view part = text_.substr(at_, digits);
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), code, 16);
    if (part.size() != digits || error != std::errc() || end != part.data() + digits) {
      fail("an escape without its digits");
    }
    at_ += digits;
    return code;
  }

  char32_t octal() {
    char32_t code = 0;
    for (int i = 0; i < 3 && peek() >= '0' && peek() <= '7'; ++i) {
      code = code * 8 + static_cast<char32_t>(text_[at_++] - '0');
    }
    return code;
  }

  // Narrow builds of Python 2 write what lies above U+FFFF as two surrogates.
  char32_t joined(char32_t code) {
    if (code < 0xD800 || code > 0xDFFF) return code;
    if (code < 0xDC00 && take_word("\\u")) {
      const char32_t low = code_of(4);
      if (low >= 0xDC00 && low <= 0xDFFF) return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    fail("half a surrogate pair");
  }

  // One text, in both readings of \x80 to \xff.
  struct Readings {
    std::string as_characters;
    std::string as_bytes;
    bool differ = false;
    void add(char c) {
      as_characters += c;
      as_bytes += c;
    }
    void add_code(char32_t code) {
      append_utf8(code, as_characters);
      append_utf8(code, as_bytes);
    }
    void add_byte(char32_t code) {
      append_utf8(code, as_characters);
      as_bytes += static_cast<char>(code);
      differ = differ || code >= 0x80;
    }
  };

  std::string string_of(bool unicode) {
    const char quote = text_[at_++];
    Readings text;
    for (;;) {
      if (at_ == text_.size()) fail("a string without its end");
      const char c = text_[at_++];
      if (c == quote) break;
      if (c == '\\') {
        escape(text);
      } else {
        text.add(c);
      }
    }
    if (text.differ && !unicode && !tokenizer::find_invalid_utf8(text.as_bytes)) {
      return text.as_bytes;
    }
    return text.as_characters;
  }

  void escape(Readings& text) {
    constexpr std::string_view kLetters = "\\'\"abfnrtv";
    constexpr std::string_view kMeant = "\\'\"\a\b\f\n\r\t\v";
    const char c = peek();
    if (c >= '0' && c <= '7') {
      const char32_t code = octal();
      if (code > 0xFF) fail("an octal escape above \\377");
      text.add_byte(code);
      return;
    }
    ++at_;
    if (const std::size_t found = kLetters.find(c); found != std::string_view::npos && c != '\0') {
      text.add(kMeant[found]);
    } else if (c == 'x') {
      text.add_byte(code_of(2));
    } else if (c == 'u') {
      text.add_code(joined(code_of(4)));
    } else if (c == 'U') {
      const char32_t code = joined(code_of(8));
      if (code > 0x10FFFF) fail("a character above U+10FFFF");
      text.add_code(code);
    } else if (c == 'N') {
      fail("\\N{...}, which is not supported,");
    } else {
      // Python keeps the backslash of an escape that it does not know.
      --at_;
      text.add('\\');
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::map<std::string, PythonValue> parse_python_dict(std::string_view line) {
  return Parser(line).dict_line();
}

}  // namespace ovid::data_tools
