#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/report/run_summary.h"

namespace ovid::report {

// A key of the configs whose values are not the same; nothing where a run lacks it.
struct ConfigDifference {
  std::string key;
  std::vector<std::optional<std::string>> values;  // of each run
};

// The values of all runs at one step.
struct AlignedRow {
  std::int64_t step = 0;
  std::vector<double> values;  // of each run
};

struct Comparison {
  std::vector<ConfigDifference> config;  // without run.name and run.directory
  std::int64_t common_steps = 0;         // steps that all runs have a loss of
  std::vector<AlignedRow> losses;        // at `rows` of them: the first, the last, evenly between
  std::vector<AlignedRow> validation_losses;  // the same
  // The first common step at which the losses are not all the same double (two NaN are the same).
  std::optional<AlignedRow> first_difference;
};

// Compares two runs or more.
Comparison compare_runs(const std::vector<Run>& runs, std::size_t rows = 12);

}  // namespace ovid::report
