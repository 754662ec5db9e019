#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "src/config/run_config.h"

// The table of all keys. It drives reading, explaining, showing and the reference page; nothing
// else knows a key's name.
namespace ovid::config {

// A key's value outside RunConfig. monostate is null: the value is left to its rule. Choices are
// their names.
using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string,
                           std::vector<std::string>, std::vector<double>>;

enum class Type {
  kText,
  kPath,
  kFolderName,
  kPathList,
  kFileList,  // paths without patterns
  kNameList,  // names of other things than files
  kInteger,   // a value of this type may also be one of the key's choices
  kNumber,
  kNumberList,
  kBoolean,
  kChoice
};

struct Range {
  double low = 0.0;
  double high = std::numeric_limits<double>::infinity();
  bool without_low = false;  // low itself is outside
  bool without_high = false;
};

struct Key {
  std::string_view path;  // "section.name", or "name" at the top level
  Type type;
  Range range{};  // of integers (their limits are below 2^53, hence exact), numbers, and each
                  // number of a list
  std::vector<std::string_view> choices{};
  bool nullable = false;
  bool required = false;
  std::string_view unit{};
  std::string_view default_rule{};  // where the default is more than the value in RunConfig
  std::string_view documentation{};
  Value (*get)(const RunConfig&) = nullptr;
  // A null sets what a default-constructed RunConfig holds.
  void (*set)(RunConfig&, const Value&) = nullptr;
};

struct Section {
  std::string_view name;  // "" is the top level
  std::string_view documentation;
};

std::span<const Section> sections();  // in the order of the reference page
std::span<const Key> schema();        // in the order of the resolved config

const Section* find_section(std::string_view name);  // null where there is none
const Key* find_key(std::string_view path);

// "optimizer.beta1" is {"optimizer", "beta1"}; "precision" is {"", "precision"}.
std::pair<std::string_view, std::string_view> split_path(std::string_view path);

std::string describe_range(
    const Range& range);  // "0 to 3", "above 0", "at least 0 and below 1", "0 or more"
std::string describe_type(const Key& key);  // "integer, 0 to 3", "auto | cpu | cuda"
std::string describe_default(const Key& key);

// The key that names a file's base files. It is documented like the others, and stands in files
// only: it has no field in RunConfig, and neither get nor set.
const Key& include_key();

}  // namespace ovid::config
