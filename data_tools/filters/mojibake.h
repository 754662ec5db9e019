#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ovid::data_tools::filters {

// Puts right one layer of mojibake: a run of characters that are Windows-1252's reading (or
// Latin-1's) of the bytes of one UTF-8 character becomes that character. `text` is UTF-8. Adds to
// `repaired` the number of characters put right. Done only where a real text hardly has the run:
// - two characters for U+0080 to U+00FF ("Ã©"), unless the second is a quotation mark, dash or
//   ellipsis behind a capital ("IRMÃ”" is a word and a closing quotation mark);
// - three for U+2000 to U+2BFF, punctuation and symbols, for U+FEFF and for U+FFFD ("â€™", "ï»¿");
// - four for U+1F000 to U+1FAFF, emoji ("ðŸ˜€").
// Other characters encoded twice stay as they are. Pure.
std::string repair_mojibake(std::string_view text, std::uint64_t& repaired);

}  // namespace ovid::data_tools::filters
