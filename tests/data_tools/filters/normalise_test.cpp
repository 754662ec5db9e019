#include "data_tools/filters/normalise.h"

#include <random>

#include "data_tools/filters/compose.h"
#include "data_tools/filters/mojibake.h"
#include "src/tokenizer/utf8.h"
#include "tests/catch.h"

namespace ovid::data_tools::filters {

namespace {

// Read as Latin-1 and encoded again.
std::string encoded_again(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0 | (byte >> 6));
      out += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return out;
}

std::string normalised(std::string_view text) {
  return normalise(text).text;
}

}  // namespace

TEST_CASE("normalising tidies line ends, blank lines and spaces at the ends of lines",
          "[data_tools]") {
  CHECK(normalised("\r\n\n one\r\ntwo \t\rthree\n\n\n \n\nfour\f\n\n") ==
        " one\ntwo\nthree\n\nfour");
  CHECK(normalised("a\xc2\x85"
                   "b\xe2\x80\xa8"
                   "c\xe2\x80\xa9"
                   "d") == "a\nb\nc\nd");
  const NormaliseCounts counts = normalise("a \r\n\n\n\nb\n").counts;
  CHECK(counts.line_ends == 1);
  CHECK(counts.trailing_spaces == 1);
  CHECK(counts.blank_lines == 2);
  CHECK(normalised("").empty());
  CHECK(normalised(" \n\t\n").empty());
}

TEST_CASE("controls and zero-width characters go, fixed spaces become plain ones", "[data_tools]") {
  CHECK(normalised(std::string("a\0b\x07"
                               "c\x7f"
                               "d\te",
                               9)) == "abcd\te");
  CHECK(normalised("\xef\xbb\xbf"
                   "co\xc2\xad"
                   "op\xe2\x80\x8b"
                   "er\xe2\x81\xa0"
                   "ate") == "cooperate");
  CHECK(normalised("a\xc2\xa0"
                   "b\xe2\x80\x89"
                   "c\xe3\x80\x80"
                   "d\xe2\x80\xaf"
                   "e") == "a b c d e");
  CHECK(normalised("\xe2\x80\x8d") == "\xe2\x80\x8d");  // emoji are joined by it
  const NormaliseCounts counts = normalise(
                                     "a\x01\xc2\xa0\xe2\x80\x8b"
                                     "b")
                                     .counts;
  CHECK(counts.control == 1);
  CHECK(counts.spaces == 1);
  CHECK(counts.zero_width == 1);
}

TEST_CASE("bytes that are not UTF-8 become U+FFFD and are counted", "[data_tools]") {
  const NormalisedText result = normalise(
      "a\xff"
      "b\xe2\x82"
      "c\xed\xa0\x80");
  CHECK(result.text ==
        "a\xef\xbf\xbd"
        "b\xef\xbf\xbd"
        "c\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(result.counts.invalid_utf8 == 5);
}

TEST_CASE("text that was encoded twice is put right, and real text is not touched",
          "[data_tools]") {
  // é, ’ (by Windows-1252 and by Latin-1), “ ”, an emoji, a byte-order mark.
  CHECK(normalised("caf\xc3\x83\xc2\xa9") == "caf\xc3\xa9");
  CHECK(normalised("don\xc3\xa2\xe2\x82\xac\xe2\x84\xa2t") == "don\xe2\x80\x99t");
  CHECK(normalised(encoded_again("don\xe2\x80\x99t")) == "don\xe2\x80\x99t");
  CHECK(normalised(encoded_again("\xe2\x80\x9cyes\xe2\x80\x9d \xf0\x9f\x98\x80")) ==
        "\xe2\x80\x9cyes\xe2\x80\x9d \xf0\x9f\x98\x80");
  CHECK(normalised("\xc3\xaf\xc2\xbb\xc2\xbftext") == "text");
  CHECK(normalised("5\xc3\x82\xc2\xa0km \xc3\x82\xc2\xa3"
                   "5") ==
        "5 km \xc2\xa3"
        "5");
  std::uint64_t repaired = 0;
  const std::string twice = encoded_again(encoded_again("na\xc3\xafve \xe2\x80\x94 ok"));
  CHECK(repair_mojibake(twice, repaired) == encoded_again("na\xc3\xafve \xe2\x80\x94 ok"));
  CHECK(normalised(twice) == "na\xc3\xafve \xe2\x80\x94 ok");
  // A French, a Portuguese, a German and an Icelandic text, and a word in capitals in quotes.
  for (const std::string real : {"\xc3\xa2ge, \xc3\x80 la fa\xc3\xa7"
                                 "on de Mo\xc3\xafse",
                                 "S\xc3\xa3o Jo\xc3\xa3o, IRM\xc3\x83",
                                 "\xc3\x84rger \xc3\xbc"
                                 "ber \xc3\x96l\xe2\x80\x9c",
                                 "\xc3\xb0"
                                 "a\xc3\xb0 er",
                                 "\xe2\x80\x9c"
                                 "A IRM\xc3\x83\xe2\x80\x9d"}) {
    CHECK(normalised(real) == real);
    CHECK(normalise(real).counts.mojibake == 0);
  }
}

TEST_CASE("accents are composed as Unicode's canonical composition has it", "[data_tools]") {
  std::uint64_t changed = 0;
  // Values of Python's unicodedata.normalize("NFC", ...).
  CHECK(compose("e\xcc\x81t\xc3\xa9", changed) == "\xc3\xa9t\xc3\xa9");
  CHECK(changed == 1);
  CHECK(compose("a\xcc\xa3\xcc\x82", changed) == "\xe1\xba\xad");  // two marks
  CHECK(compose("a\xcc\x82\xcc\xa3", changed) == "\xe1\xba\xad");  // in the other order
  CHECK(compose("q\xcc\x87\xcc\xa3", changed) == "q\xcc\xa3\xcc\x87");
  CHECK(compose("a\xcc\x95\xcc\x80\xd6\xae\xcc\x81"
                "b",
                changed) ==
        "\xc3\xa0\xd6\xae\xcc\x81\xcc\x95"
        "b");
  CHECK(compose("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", changed) == "\xed\x95\x9c");  // Hangul
  CHECK(compose("e\xcc\x85\xcc\x81", changed) == "e\xcc\x85\xcc\x81");  // blocked by an equal class
  CHECK(compose("\xe2\x84\xab", changed) == "\xc3\x85");                // the sign of the angstrom
  CHECK(compose("\xe0\xa5\x98", changed) == "\xe0\xa4\x95\xe0\xa4\xbc");  // stays apart
  CHECK(compose("\xef\xa4\x80", changed) == "\xe8\xb1\x88");
  CHECK(compose("\xcc\x81"
                "a\n\xcc\x81",
                changed) ==
        "\xcc\x81"
        "a\n\xcc\x81");
  std::uint64_t none = 0;
  const std::string english =
      "na\xc3\xafve \xe2\x80\x9cquotes\xe2\x80\x9d \xe2\x80\x94 \xf0\x9f\x98\x80\n";
  CHECK(compose(english, none) == english);
  CHECK(none == 0);
}

TEST_CASE("what has been normalised is UTF-8 and stays as it is", "[data_tools]") {
  // Pieces that interact, strung together at random.
  const std::string pieces[] = {"a",
                                "E",
                                " ",
                                "\n",
                                "\r",
                                "\t",
                                "\xc3\x83",
                                "\xc2\xa9",
                                "\xc3\xa2",
                                "\xe2\x82\xac",
                                "\xe2\x84\xa2",
                                "\xe2\x80\x8b",
                                "\xcc\x81",
                                "\xcc\xa3",
                                "\xff",
                                "\xc2\xa0",
                                "\x01",
                                "\xc3",
                                "\xe1\x84\x92",
                                "\xe1\x85\xa1",
                                "\xc2\xad",
                                "\xc3\xaf",
                                "\xc2\xbb",
                                "\xc2\xbf",
                                "A\xcc\x83"};
  std::mt19937_64 random(20);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (std::size_t length = random() % 12; length > 0; --length) {
      text += pieces[random() % std::size(pieces)];
    }
    const std::string once = normalised(text);
    INFO(i);
    REQUIRE_FALSE(tokenizer::find_invalid_utf8(once).has_value());
    REQUIRE(normalised(once) == once);
  }
}

}  // namespace ovid::data_tools::filters
