#include <string>
#include <vector>

#include "src/config/config.h"
#include "tests/fuzz/fuzz_target.h"

// A config with the files that it includes, and overrides, one a line.
namespace ovid::fuzz {
namespace {

// All mistakes of a file are told at once, each with its line.
constexpr std::size_t kMostMessageBytes = kMiB;

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// What was taken must come back the same from the file that a run keeps, and from what is shown.
void check_round_trip(const config::LoadedConfig& loaded) {
  if (config::load_text(loaded.resolved_yaml, "resolved").values != loaded.values)
    fail("the resolved config loads to other values:\n" + loaded.resolved_yaml);
  const std::string shown = config::show(loaded);
  if (config::load_text(shown, "shown").values != loaded.values)
    fail("the shown config loads to other values:\n" + shown);
}

}  // namespace

const AllowedBytes kAllowedBytes = kStrict;

void try_input(std::string_view input) {
  const auto sections = split_sections(input);
  write_sections(sections, {"run.yaml", "base.yaml", "other.yaml"});
  const std::vector<std::string> overrides = lines_of(section(sections, "overrides"));
  config::LoadedConfig loaded;
  const bool refused =
      refuses([&] { loaded = config::load(folder() / "run.yaml", overrides); }, kMostMessageBytes);
  if (!refused) check_round_trip(loaded);
}

}  // namespace ovid::fuzz
