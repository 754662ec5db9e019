#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/config/report.h"
#include "src/config/schema.h"
#include "src/config/yaml_tree.h"

namespace ovid::config {

// The value that `node` gives to `key`. Nothing, and at least one entry more in `report`, where it
// is of the wrong type or out of range. `key_place` is pointed at where the value itself has no
// letters.
std::optional<Value> read_value(const Key& key, const Node& node, const Place& key_place,
                                Report& report);

// A value as YAML on one line that reads back equal. Numbers are the shortest that do.
std::string to_yaml(const Value& value);

}  // namespace ovid::config
