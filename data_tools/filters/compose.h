#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ovid::data_tools::filters {

// The text in canonical composition (NFC): "e" and a combining acute accent become "é". `text` is
// UTF-8. Adds to `changed` the number of lines that were not in this form. Lines in which no
// character could change are copied as they are, so English costs next to nothing. Pure.
// Source: Unicode Standard Annex 15 and The Unicode Standard, section 3.11 (Hangul: 3.12); data of
// Unicode 14.
std::string compose(std::string_view text, std::uint64_t& changed);

}  // namespace ovid::data_tools::filters
