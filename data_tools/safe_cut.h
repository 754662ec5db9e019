#pragma once

#include <cstddef>
#include <string_view>

namespace ovid::data_tools {

// The largest offset in (0, text.size()) where `text` may be cut so that the tokens of both parts,
// laid end to end, are the tokens of the whole; 0 where there is none. It lies before a space or
// line feed that follows a character that is no white space.
//
// Why this is safe: in GPT-2's pattern white space stands only at the front of a piece or fills it,
// so a piece ends before each such place; the pattern looks ahead only inside runs of white space,
// and never back. No UTF-8 character or bad subpart goes across an ASCII byte, so the replacement
// of invalid UTF-8 commutes with the cut too.
std::size_t last_safe_cut(std::string_view text);

// The smallest such offset that is at least `from`; 0 where there is none.
std::size_t first_safe_cut(std::string_view text, std::size_t from);

}  // namespace ovid::data_tools
