#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// Text that came from outside, for messages.
namespace ovid::config {

// Bytes of the UTF-8 character at the front of `text`; 0 where no valid one stands there (or
// nothing).
std::size_t utf8_length(std::string_view text);

// Characters in text; each byte that is not UTF-8 counts as one.
std::size_t count_characters(std::string_view text);

// A control character (C0, DEL, C1): it would move the cursor of whoever reads the message.
bool is_control(std::string_view character);

// `text` with control characters and invalid bytes as "?" and tabs as one space: as many characters
// as before.
std::string printable(std::string_view text);

// printable text in backquotes, cut after 60 characters.
std::string in_backquotes(std::string_view text);

}  // namespace ovid::config
