#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ovid::data_tools::filters {

// What normalise() changed, as numbers of characters (of lines for blank_lines).
struct NormaliseCounts {
  std::uint64_t invalid_utf8 = 0;     // maximal bad subparts, each now U+FFFD
  std::uint64_t mojibake = 0;         // characters put right
  std::uint64_t line_ends = 0;        // CR LF, CR, U+0085, U+2028, U+2029
  std::uint64_t control = 0;          // dropped
  std::uint64_t zero_width = 0;       // dropped
  std::uint64_t spaces = 0;           // other spaces, made plain
  std::uint64_t trailing_spaces = 0;  // at the ends of lines, dropped
  std::uint64_t blank_lines = 0;      // beyond one between paragraphs, and at both ends, dropped
  std::uint64_t composed = 0;         // lines that canonical composition writes otherwise

  void add(const NormaliseCounts& other);
};

struct NormalisedText {
  std::string text;
  NormaliseCounts counts;
};

// The text as a model should see it. In this order:
// - bytes that are not UTF-8 become U+FFFD (one for each maximal bad subpart);
// - mojibake is put right (mojibake.h), one layer after the other where it has several;
// - line ends, and what parts pages, become LF; controls but LF and tab go; zero-width characters
//   go (U+FEFF, U+200B, U+2060 and the soft hyphen; the joiners U+200C and U+200D stay: scripts and
//   emoji need them);
// - no-break and other fixed-width spaces become a plain space;
// - canonical composition, NFC (compose.h);
// - spaces and tabs at the ends of lines go, two and more blank lines become one, blank lines at
//   both ends go.
// The result is UTF-8, ends without a line end, and normalise() leaves it as it is. Pure; throws
// std::bad_alloc alone.
NormalisedText normalise(std::string_view text);

}  // namespace ovid::data_tools::filters
