#include "src/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "src/tokenizer/unicode.h"
#include "src/tokenizer/utf8.h"
#include "tests/catch.h"

namespace ovid::tokenizer {
namespace {

std::vector<std::string> pieces_of(std::string_view text) {
  std::vector<std::string> pieces;
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    end = piece_end(text, begin);
    REQUIRE(end > begin);
    REQUIRE(end <= text.size());
    pieces.emplace_back(text.substr(begin, end - begin));
  }
  return pieces;
}

// GPT-2's pattern taken literally: alternatives in order, greedy repetitions that give back one by
// one, over a list of characters. Slow, and without any thought of its own.
class Pattern {
 public:
  explicit Pattern(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Step step = utf8_step(text, at);
      characters_.push_back(
          {std::string(text.substr(at, step.length)),
           step.valid ? CharacterClasses::instance().of(step.code_point) : CharacterClass::kOther});
      at += step.length;
    }
  }
  std::vector<std::string> matches() const {
    std::vector<std::string> found;
    for (std::size_t at = 0; at < characters_.size();) {
      const std::size_t end = match(at);
      REQUIRE(end > at);
      std::string piece;
      for (; at < end; ++at) piece += characters_[at].bytes;
      found.push_back(piece);
    }
    return found;
  }

 private:
  struct Item {
    std::string bytes;
    CharacterClass kind;
  };
  bool is(std::size_t at, CharacterClass kind) const {
    return at < characters_.size() && characters_[at].kind == kind;
  }
  std::size_t literal(std::size_t at, std::string_view text) const {
    for (const char c : text) {
      if (at >= characters_.size() || characters_[at].bytes != std::string(1, c)) return 0;
      ++at;
    }
    return at;
  }
  std::size_t repeated(std::size_t at, CharacterClass kind) const {
    const std::size_t begin = at;
    while (is(at, kind)) ++at;
    return at > begin ? at : 0;
  }
  // ` ?` takes a space where it can, and gives it back where the rest then fails.
  std::size_t after_optional_space(std::size_t at, CharacterClass kind) const {
    const std::size_t spaced = characters_[at].bytes == " " ? repeated(at + 1, kind) : 0;
    return spaced > 0 ? spaced : repeated(at, kind);
  }
  std::size_t match(std::size_t at) const {
    for (const char* contraction : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
      if (const std::size_t end = literal(at, contraction)) return end;
    }
    for (const auto kind :
         {CharacterClass::kLetter, CharacterClass::kNumber, CharacterClass::kOther}) {
      if (const std::size_t end = after_optional_space(at, kind)) return end;
    }
    const std::size_t longest = repeated(at, CharacterClass::kSpace);
    for (std::size_t end = longest; end > at; --end) {  // \s+(?!\S)
      if (end == characters_.size() || is(end, CharacterClass::kSpace)) return end;
    }
    return longest;
  }

  std::vector<Item> characters_;
};

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("text is cut where GPT-2's pattern cuts", "[tokenizer]") {
  CHECK(pieces_of("Hello world") == Strings{"Hello", " world"});
  CHECK(pieces_of("I'm we'll they've 'tis") ==
        Strings{"I", "'m", " we", "'ll", " they", "'ve", " '", "tis"});
  CHECK(pieces_of("'S 's") == Strings{"'", "S", " '", "s"});
  CHECK(pieces_of("a  b   ") == Strings{"a", " ", " b", "   "});
  CHECK(pieces_of("a\n\n b\n") == Strings{"a", "\n\n", " b", "\n"});
  CHECK(pieces_of("a\tb 12ab!?") == Strings{"a", "\t", "b", " 12", "ab", "!?"});
  CHECK(pieces_of("x\u00A0\u3000y") == Strings{"x", "\u00A0", "\u3000", "y"});
  CHECK(pieces_of("\u00E9t\u00E9 \u0661\u0662") == Strings{"\u00E9t\u00E9", " \u0661\u0662"});
  CHECK(pieces_of("a\xFF"
                  "b \x80") == Strings{"a", "\xFF", "b", " \x80"});
}

TEST_CASE("the scanner equals a literal matcher of the pattern on random text", "[tokenizer]") {
  const std::vector<std::string> alphabet = {
      " ",        " ",          " ",          "\n",     "\t",         "\r",     "'",
      "'",        "s",          "t",          "re",     "ve",         "m",      "ll",
      "d",        "l",          "S",          "Zz",     "1",          "90",     "!",
      "-.",       "@[`{",       "\u00A0",     "\u2003", "\u3000",     "\u00E9", "\u4E2D",
      "\u0661",   "\u00B2",     "\u0301",     "\u200D", "\xFF",       "\x80",   "\xC3",
      "\xE4\xB8", "\U0001F600", "\U00020000", "word",   "longerword", "\x1C",   "\x7F"};
  std::mt19937 random(20240520);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    const auto length = random() % 24;
    for (std::size_t i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    INFO(text);
    REQUIRE(pieces_of(text) == Pattern(text).matches());
  }
}

TEST_CASE("every byte before and after every length of word is cut right", "[tokenizer]") {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t letters = 0; letters < 20; ++letters) {
      const std::string text =
          std::string(letters, 'q') + static_cast<char>(byte) + std::string(letters, 'Q');
      REQUIRE(pieces_of(text) == Pattern(text).matches());
    }
  }
}

TEST_CASE("the character classes are those of Unicode 16", "[tokenizer]") {
  const CharacterClasses& classes = CharacterClasses::instance();
  int letters = 0, numbers = 0, spaces = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    const CharacterClass kind = classes.of(c);
    letters += kind == CharacterClass::kLetter;
    numbers += kind == CharacterClass::kNumber;
    spaces += kind == CharacterClass::kSpace;
  }
  CHECK(letters == 141'028);
  CHECK(numbers == 1'911);
  CHECK(spaces == 25);
  CHECK(classes.of(U'\u180E') == CharacterClass::kOther);       // a space before Unicode 6.3
  CHECK(classes.of(U'\u001C') == CharacterClass::kOther);       // a space to Python's str.isspace
  CHECK(classes.of(U'\U0001CCF0') == CharacterClass::kNumber);  // new in Unicode 16
  CHECK(classes.of(U'\u0085') == CharacterClass::kSpace);
  CHECK(classes.of(0xFFFFFFFF) == CharacterClass::kOther);
}

TEST_CASE("a long run of white space is scanned once", "[tokenizer]") {
  const std::string text = std::string(1 << 20, ' ') + "x" + std::string(1 << 20, '\n');
  const Strings pieces = pieces_of(text);
  REQUIRE(pieces.size() == 3);
  CHECK(pieces[1] == " x");
}

}  // namespace ovid::tokenizer
