#include "src/tokenizer/control_words.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/core/error.h"

namespace ovid::tokenizer {
namespace {

constexpr std::uint64_t kMaximumBytes = 64ull << 20;
constexpr ControlKind kKinds[] = {ControlKind::kText, ControlKind::kTokens, ControlKind::kNone};

ControlKind kind_named(const std::string& name, const Path& path) {
  for (const ControlKind kind : kKinds) {
    if (name == name_of(kind)) return kind;
  }
  throw DataError(
      fmt::format("{}: kind is '{}'; it must be text, tokens or none", path.string(), name));
}

}  // namespace

const char* name_of(ControlKind kind) {
  switch (kind) {
    case ControlKind::kTokens:
      return "tokens";
    case ControlKind::kNone:
      return "none";
    case ControlKind::kText:
      break;
  }
  return "text";
}

std::optional<ControlWords> load_control_words(const Path& directory) {
  const Path path = directory / kControlFile;
  if (!std::filesystem::is_regular_file(path)) return std::nullopt;
  try {
    const auto json = nlohmann::json::parse(read_file(path, kMaximumBytes));
    ControlWords control;
    control.kind = kind_named(json.at("kind").get<std::string>(), path);
    control.task = json.at("task").get<std::string>();
    control.words = json.at("words").get<std::vector<std::string>>();
    return control;
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format(
        "{} is not an object of kind, task and words: {}; make the data set again, or remove the "
        "file where the model was trained without control words",
        path.string(), error.what()));
  }
}

void save_control_words(const ControlWords& control, const Path& directory) {
  const nlohmann::ordered_json json{
      {"kind", name_of(control.kind)}, {"task", control.task}, {"words", control.words}};
  replace_file(directory / kControlFile, json.dump(2) + "\n");
}

}  // namespace ovid::tokenizer
