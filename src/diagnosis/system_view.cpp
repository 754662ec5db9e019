#include "src/diagnosis/system_view.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "src/core/error.h"

namespace ovid::diagnosis {

SystemView this_machine() {
  SystemView system;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t sign = text.find('=');
    if (sign != std::string_view::npos)
      system.environment.emplace(text.substr(0, sign), text.substr(sign + 1));
  }
  return system;
}

std::string text_of(const SystemView& system, std::string_view relative_path) {
  constexpr std::uint64_t kMostBytes = 8 << 20;  // /proc/cpuinfo of a thousand cores has less
  try {
    std::string text = read_file(system.root / relative_path, kMostBytes);
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

std::optional<std::string> variable(const SystemView& system, const std::string& name) {
  const auto found = system.environment.find(name);
  if (found == system.environment.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

}  // namespace ovid::diagnosis
