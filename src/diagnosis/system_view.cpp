#include "src/diagnosis/system_view.h"

#include <unistd.h>

#include "src/memory/system_text.h"

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
  return memory::system_text(system.root / relative_path);
}

std::optional<std::string> variable(const SystemView& system, const std::string& name) {
  const auto found = system.environment.find(name);
  if (found == system.environment.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

}  // namespace ovid::diagnosis
