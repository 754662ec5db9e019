#include "src/config/config.h"

#include "src/config/pages.h"
#include "src/config/reader.h"
#include "src/config/report.h"
#include "src/config/resolve.h"

namespace ovid::config {

LoadedConfig load_text(std::string_view text, std::string_view name,
                       std::span<const std::string> overrides) {
  Report report;
  Reader reader(report);
  reader.read_file_text(name, text);
  for (const std::string& override_text : overrides) reader.read_override(override_text);
  Resolved resolved;
  if (reader.readable()) resolved = resolve(reader.given(), report);
  if (!report.empty()) report.fail();
  LoadedConfig loaded{std::move(resolved.values), std::move(resolved.origins), {}};
  loaded.resolved_yaml = write_yaml(loaded.values, loaded.origins, Comments::kNone);
  return loaded;
}

LoadedConfig load(const Path& file, std::span<const std::string> overrides) {
  std::string text;
  try {
    text = read_file(file, kLargestFile + 3);
  } catch (const DataError& e) {
    throw ConfigError(e.what(), {{file.string(), 0, 0, e.what(), {}, {}}});
  }
  return load_text(text, file.string(), overrides);
}

}  // namespace ovid::config
