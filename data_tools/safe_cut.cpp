#include "data_tools/safe_cut.h"

#include <algorithm>

namespace ovid::data_tools {
namespace {

// Whether a byte surely ends a character that is not white space. Of the characters beyond ASCII,
// Unicode's white space ends in the bytes 80-8A, 9F, A0, A8, A9 and AF only; other characters that
// end so are refused with them.
bool ends_visible_character(unsigned char byte) {
  if (byte < 0x80) return byte > 0x20 && byte < 0x7f;
  const bool may_be_space =
      byte <= 0x8a || byte == 0x9f || byte == 0xa0 || byte == 0xa8 || byte == 0xa9 || byte == 0xaf;
  return !may_be_space;
}

bool is_safe_cut(std::string_view text, std::size_t at) {
  const bool is_space = text[at] == ' ' || text[at] == '\n';
  return is_space && ends_visible_character(static_cast<unsigned char>(text[at - 1]));
}

}  // namespace

std::size_t last_safe_cut(std::string_view text) {
  for (std::size_t i = text.size(); i-- > 1;) {
    if (is_safe_cut(text, i)) return i;
  }
  return 0;
}

std::size_t first_safe_cut(std::string_view text, std::size_t from) {
  for (std::size_t i = std::max<std::size_t>(from, 1); i < text.size(); ++i) {
    if (is_safe_cut(text, i)) return i;
  }
  return 0;
}

}  // namespace ovid::data_tools
