#pragma once

#include <map>
#include <string>

#include "src/config/run_config.h"

namespace ovid::config {

enum class Comments { kNone, kOrigins };

// All keys with their values, in the order of the schema, as YAML that loads to the same values.
// With kOrigins each line ends in a comment that says where the value came from.
std::string write_yaml(const RunConfig& values, const std::map<std::string, std::string>& origins,
                       Comments comments);

}  // namespace ovid::config
