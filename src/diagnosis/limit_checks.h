#pragma once

#include <cstdint>
#include <optional>

#include "src/diagnosis/finding.h"

namespace ovid::diagnosis {

// The soft limits of this process (ulimit); nothing where there is none.
struct Limits {
  std::optional<std::uint64_t> file_bytes;
  std::optional<std::uint64_t> open_files;
  std::optional<std::uint64_t> core_bytes;
  std::optional<std::uint64_t> address_space_bytes;
};
Limits limits_of_this_process();
Findings check_limits(const Limits& limits);

// The wall clock in seconds since 1970 against the year in which this version was written: a clock
// before that is wrong.
Finding check_clock(double now_seconds);

}  // namespace ovid::diagnosis
