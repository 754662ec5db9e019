#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ovid::data_tools {

// Base64 with the standard alphabet, padded. Source: RFC 4648, section 4.
std::string encode_base64(std::string_view bytes);

// Nothing where `text` is not exactly what encode_base64 gives for some bytes (unused bits must be
// zero).
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace ovid::data_tools
