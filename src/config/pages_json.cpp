#include <nlohmann/json.hpp>

#include "src/config/config.h"
#include "src/config/pages.h"
#include "src/config/schema.h"

namespace ovid::config {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Value& value) {
  return std::visit(
      [](const auto& held) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          return nullptr;
        } else {
          return held;
        }
      },
      value);
}

// null for an open end: JSON has no infinity.
Json bound(const Key& key, double value) {
  if (value == std::numeric_limits<double>::infinity()) return nullptr;
  if (key.type == Type::kInteger) return static_cast<std::int64_t>(value);
  return value;
}

Json range_json(const Key& key) {
  if (key.type != Type::kInteger && key.type != Type::kNumber && key.type != Type::kNumberList)
    return nullptr;
  return {{"low", bound(key, key.range.low)},
          {"low_included", !key.range.without_low},
          {"high", bound(key, key.range.high)},
          {"high_included", !key.range.without_high}};
}

Json key_json(const Key& key) {
  const bool by_rule = key.required || !key.default_rule.empty() || key.get == nullptr;
  return {{"key", key.path},
          {"type", describe_type(key)},
          {"documentation", key.documentation},
          {"default", by_rule ? Json(nullptr) : to_json(key.get(RunConfig{}))},
          {"default_rule", by_rule ? Json(describe_default(key)) : Json(nullptr)},
          {"unit", key.unit},
          {"choices", key.choices},
          {"range", range_json(key)},
          {"nullable", key.nullable},
          {"required", key.required}};
}

}  // namespace

std::string show_json(const LoadedConfig& config) {
  Json values = Json::object();
  for (const Key& key : schema()) {
    const auto [section, name] = split_path(key.path);
    Json& home = section.empty() ? values : values[std::string(section)];
    home[std::string(name)] = to_json(shown_value(key, config.values, config.origins));
  }
  return Json{{"config", values}, {"origins", config.origins}}.dump();
}

std::string explain_json(std::string_view key) {
  const Explained found = find_explained(key);
  Json sections = Json::array();
  for (const Section* section : found.sections) {
    sections.push_back({{"name", section->name}, {"documentation", section->documentation}});
  }
  Json keys = Json::array();
  for (const Key* each : found.keys) keys.push_back(key_json(*each));
  return Json{{"sections", sections}, {"keys", keys}}.dump();
}

}  // namespace ovid::config
