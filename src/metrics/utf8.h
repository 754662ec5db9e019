#pragma once

#include <string>
#include <string_view>

namespace ovid::metrics {

// `text` with U+FFFD for every byte that is not part of valid UTF-8 (RFC 3629: no overlong forms,
// no surrogates, nothing above U+10FFFF). Samples of a young byte-level model need it.
std::string valid_utf8(std::string_view text);

}  // namespace ovid::metrics
