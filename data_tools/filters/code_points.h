#pragma once

#include <string>

namespace ovid::data_tools::filters {

// Appends the UTF-8 of a code point up to U+10FFFF.
void append_utf8(char32_t code_point, std::string& out);

}  // namespace ovid::data_tools::filters
