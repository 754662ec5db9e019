#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/run_config.h"
#include "src/config/schema.h"

namespace ovid::config {

enum class Comments { kNone, kOrigins };

// All keys with their values, in the order of the schema, as YAML that loads to the same values.
// With kOrigins each line ends in a comment that says where the value came from.
std::string write_yaml(const RunConfig& values, const std::map<std::string, std::string>& origins,
                       Comments comments);

// The value of `key` as a resolved config writes it: null where the key leaves it to the model
// directory, which must not read back as if the user had written the default.
Value shown_value(const Key& key, const RunConfig& values,
                  const std::map<std::string, std::string>& origins);

struct Explained {
  std::vector<const Section*> sections;  // empty where one key is explained
  std::vector<const Key*> keys;          // of the sections, or the one
};

// What explain(key) is about: a key, a section, or all ("" stands for all). Throws UsageError with
// the nearest name where there is none.
Explained find_explained(std::string_view key_or_section);

// Ten configs with a typical mistake each, and the whole message of each, made by loading them.
std::string typical_mistakes_markdown();

}  // namespace ovid::config
