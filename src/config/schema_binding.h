#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "src/config/schema.h"

// Joins a key of the table to its field of RunConfig.
namespace ovid::config {

// The names of an enumeration, in the order of its enumerators.
template <typename E>
inline constexpr std::array<std::string_view, 0> kNames{};
template <>
inline constexpr std::array<std::string_view, 3> kNames<DeviceKindChoice>{"auto", "cpu", "cuda"};
template <>
inline constexpr std::array<std::string_view, 4> kNames<Precision>{"float32", "tfloat32",
                                                                   "bfloat16", "float16"};
template <>
inline constexpr std::array<std::string_view, 4> kNames<AttentionChoice>{"auto", "flash", "cudnn",
                                                                         "naive"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<DataOrder>{"shuffled", "sequential"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<OptimizerState>{"float32", "bfloat16"};
template <>
inline constexpr std::array<std::string_view, 4> kNames<ScheduleKind>{
    "cosine", "linear", "constant", "warmup_stable_decay"};
template <>
inline constexpr std::array<std::string_view, 3> kNames<Recompute>{"none", "cheap", "block"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<ReductionOrder>{"fast", "canonical"};

template <typename T>
Value to_value(const T& field) {
  if constexpr (std::is_enum_v<T>) {
    return std::string(kNames<T>[static_cast<std::size_t>(field)]);
  } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double>) {
    return field;
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<std::int64_t>(field);
  } else {
    return field;
  }
}

inline Value to_value(const std::optional<std::string>& field) {
  if (!field) return std::monostate{};
  return *field;
}

template <typename T>
void from_value(const Value& value, T& field) {
  if constexpr (std::is_enum_v<T>) {
    const std::string& name = std::get<std::string>(value);
    for (std::size_t i = 0; i < kNames<T>.size(); ++i) {
      if (kNames<T>[i] == name) field = static_cast<T>(i);
    }
  } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double>) {
    field = std::get<T>(value);
  } else if constexpr (std::is_integral_v<T>) {
    field = static_cast<T>(std::get<std::int64_t>(value));
  } else if constexpr (std::is_same_v<T, std::optional<std::string>>) {
    field = std::get<std::string>(value);
  } else {
    field = std::get<T>(value);
  }
}

struct Binding {
  Value (*get)(const RunConfig&);
  void (*set)(RunConfig&, const Value&);
};

// A field of RunConfig itself, e.g. bind<&RunConfig::precision>().
template <auto kField>
constexpr Binding bind() {
  return {[](const RunConfig& config) { return to_value(config.*kField); },
          [](RunConfig& config, const Value& value) {
            if (std::holds_alternative<std::monostate>(value)) {
              config.*kField = RunConfig{}.*kField;
            } else {
              from_value(value, config.*kField);
            }
          }};
}

// What a field's 0 stands for: itself, null, or the word "auto".
enum class Zero { kItself, kNull, kAuto };
inline constexpr std::string_view kAutoWord = "auto";

// A field of a section, e.g. bind<&RunConfig::run, &RunSection::seed>().
template <auto kSection, auto kField, Zero kZero = Zero::kItself>
constexpr Binding bind() {
  return {[](const RunConfig& config) -> Value {
            Value value = to_value(config.*kSection.*kField);
            if (kZero == Zero::kItself || value != Value(std::int64_t{0})) return value;
            if (kZero == Zero::kAuto) return std::string(kAutoWord);
            return std::monostate{};
          },
          [](RunConfig& config, const Value& value) {
            if (std::holds_alternative<std::monostate>(value)) {
              config.*kSection.*kField = RunConfig{}.*kSection.*kField;
            } else if (kZero == Zero::kAuto && std::holds_alternative<std::string>(value)) {
              config.*kSection.*kField = {};
            } else {
              from_value(value, config.*kSection.*kField);
            }
          }};
}

}  // namespace ovid::config
