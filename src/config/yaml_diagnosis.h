#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "src/config/report.h"

namespace ovid::config {

struct Diagnosis {
  Place place;
  std::string message;
  std::string label;
  std::string help;
};

// What is wrong with the YAML of `source` (from byte `begin` on), for a person: the YAML library
// stopped at `stopped` and says `reason`, which is often lines behind the slip and in the words of
// its grammar. Looks for the slip itself: a bracket or quote that is never closed, a colon without
// a space, two keys in one line, a wrong indentation.
Diagnosis diagnose(const Source& source, std::size_t begin, const Place& stopped,
                   std::string_view reason);

// Whether the quoted text that begins at `place` ends in a quote; the YAML library takes the end of
// the file for one.
bool quote_is_closed(const Source& source, const Place& place);

}  // namespace ovid::config
