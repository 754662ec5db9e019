#include "src/checkpoint/checkpoint_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <random>

#include "src/core/error.h"

namespace ovid::checkpoint {

Path checkpoints_directory(const Path& run_directory) {
  return run_directory / "checkpoints";
}

std::string step_name(std::int64_t step) {
  return fmt::format("step-{:08}", step);
}

std::optional<std::int64_t> parse_step_name(std::string_view name) {
  constexpr std::string_view kPrefix = "step-";
  if (name.substr(0, kPrefix.size()) != kPrefix) return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size());
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  // Only the canonical spelling: step-7 beside step-00000007 would be two checkpoints of one step.
  if (error != std::errc() || end != digits.data() + digits.size() || step < 0 ||
      step_name(step) != name) {
    return std::nullopt;
  }
  return step;
}

std::string pin_name(std::int64_t step) {
  return step_name(step) + kPinExtension;
}

std::string unique_name(const char* prefix, std::int64_t step) {
  std::random_device random;
  return fmt::format("{}{}-{:08x}{:08x}", prefix, step_name(step), random(), random());
}

std::string shared_name(const char* prefix, std::int64_t step, std::uint64_t attempt) {
  return fmt::format("{}{}-{:016x}", prefix, step_name(step), attempt);
}

std::vector<std::int64_t> list_steps(const Path& run_directory) {
  const Path directory = checkpoints_directory(run_directory);
  std::vector<std::int64_t> steps;
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) return steps;
  for (auto entry = std::filesystem::directory_iterator(directory, error);
       !error && entry != end(entry); entry.increment(error)) {
    const std::optional<std::int64_t> step = parse_step_name(entry->path().filename().string());
    std::error_code ignored;
    if (step && entry->is_directory(ignored)) steps.push_back(*step);
  }
  if (error)
    throw ResourceError(fmt::format("cannot list {}: {}", directory.string(), error.message()));
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace ovid::checkpoint
