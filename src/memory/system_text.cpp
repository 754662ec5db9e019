#include "src/memory/system_text.h"

#include <algorithm>
#include <charconv>

#include "src/core/error.h"

namespace ovid::memory {

std::string system_text(const Path& path) {
  constexpr std::uint64_t kMostBytes = 8 << 20;  // /proc/cpuinfo of a thousand cores has less
  try {
    std::string text = read_file(path, kMostBytes);
    text.resize(text.find_last_not_of(" \t\r\n") + 1);
    return text;
  } catch (const Error&) {
    return "";
  }
}

std::optional<std::uint64_t> first_number(std::string_view text) {
  const std::size_t digit = text.find_first_of("0123456789");
  if (digit == std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + digit, text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.substr(0, key.size()) == key) return first_number(line.substr(key.size()));
    at = end + 1;
  }
  return std::nullopt;
}

}  // namespace ovid::memory
