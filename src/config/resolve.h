#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "src/config/report.h"
#include "src/config/schema.h"

namespace ovid::config {

// What the files and the command line say, key by key, before defaults.
struct Given {
  struct Entry {
    Value value;
    Place place;  // of the key
    std::string origin;
    std::size_t layer;  // what is read later has a higher number, and wins
  };
  std::map<std::string, Entry, std::less<>> values;
  std::set<std::string, std::less<>> failed;           // written, but reported already
  std::map<std::string, Place, std::less<>> sections;  // written sections
  Place whole;

  bool has(std::string_view path) const;  // a value that is not null
  Place place_of(std::string_view path) const;
};

struct Resolved {
  RunConfig values;
  std::map<std::string, std::string> origins;
};

// Fills in defaults and presets, and reports required keys that are missing and values that
// contradict one another. A rule over a key that has failed is not checked: its message would name
// what nobody wrote.
Resolved resolve(const Given& given, Report& report);

}  // namespace ovid::config
