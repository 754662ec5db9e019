#pragma once

#include <map>
#include <string>
#include <string_view>

namespace ovid::report {

// The keys and values of a run's config.yaml, keys dotted ("optimizer.learning_rate"), values as
// written. Reads what the program itself writes (sections of `key: value` lines, lists within their
// line or an item a line) and takes any bytes: lines of another form are left out, and what is
// beyond 10,000 keys. Never throws.
std::map<std::string, std::string> flatten_config(std::string_view yaml);

// A value of the above without its quotes, if it has any; escapes stay as they are.
std::string unquoted(const std::string& value);

}  // namespace ovid::report
