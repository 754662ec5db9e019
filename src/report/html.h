#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// Text for a page. Everything that came from a file goes through escaped().
namespace ovid::report {

// `text` as the content of an element or of a quoted attribute: & < > " ' replaced, invalid UTF-8
// and control characters (but tab and line end) as U+FFFD.
std::string escaped(std::string_view text);

// `text` as one word of a POSIX shell, quoted where it needs to be.
std::string shell_word(std::string_view text);

std::string readable_bytes(std::uint64_t bytes);       // "1.2 GB", powers of 1000
std::string readable_count(std::int64_t count);        // "12,345,678"
std::string readable_time(double seconds_since_1970);  // "2026-11-22 10:05 UTC"; "" where absurd
std::string readable_loss(double loss);                // four decimals; "nan", "inf"

}  // namespace ovid::report
