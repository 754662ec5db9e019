#pragma once

#include <vector>

#include "src/config/schema.h"

namespace ovid::config {

// The rows of schema(), in their order.
std::vector<Key> make_schema_table();

}  // namespace ovid::config
