#include "src/report/compare.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>

namespace ovid::report {
namespace {

std::vector<ConfigDifference> config_differences(const std::vector<Run>& runs) {
  std::set<std::string> keys;
  for (const Run& run : runs) {
    for (const auto& [key, value] : run.summary.config) keys.insert(key);
  }
  keys.erase("run.name");
  keys.erase("run.directory");
  std::vector<ConfigDifference> out;
  for (const std::string& key : keys) {
    ConfigDifference difference{key, {}};
    for (const Run& run : runs) {
      const auto found = run.summary.config.find(key);
      difference.values.push_back(found == run.summary.config.end() ? std::nullopt
                                                                    : std::optional(found->second));
    }
    const bool same = std::all_of(difference.values.begin(), difference.values.end(),
                                  [&](const auto& v) { return v == difference.values.front(); });
    if (!same) out.push_back(std::move(difference));
  }
  return out;
}

bool all_same(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [&](double value) {
    return value == values.front() || (std::isnan(value) && std::isnan(values.front()));
  });
}

// Visits the steps that stand in every run's list, ascending. `rows(run)` is ascending in step.
template <class Rows, class Value, class Visit>
void for_each_common_step(const std::vector<Run>& runs, Rows rows, Value value, Visit visit) {
  if (runs.empty()) return;
  std::vector<std::size_t> at(runs.size(), 0);
  for (const auto& row : rows(runs.front())) {
    AlignedRow aligned{row.step, {}};
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const auto& list = rows(runs[i]);
      while (at[i] < list.size() && list[at[i]].step < row.step) ++at[i];
      if (at[i] < list.size() && list[at[i]].step == row.step)
        aligned.values.push_back(value(list[at[i]]));
    }
    if (aligned.values.size() == runs.size()) visit(aligned);
  }
}

// Of `count` places, those that are shown.
bool is_shown(std::int64_t place, std::int64_t count, std::size_t rows) {
  const auto wanted = static_cast<std::int64_t>(std::max<std::size_t>(2, rows));
  if (count <= wanted) return true;
  // The places i (count - 1) / (wanted - 1), rounded down.
  const auto slot = [&](std::int64_t p) {
    return static_cast<std::int64_t>(static_cast<double>(p) * static_cast<double>(wanted - 1) /
                                     static_cast<double>(count - 1));
  };
  return place == 0 || slot(place) != slot(place - 1);
}

}  // namespace

Comparison compare_runs(const std::vector<Run>& runs, std::size_t rows) {
  Comparison out;
  out.config = config_differences(runs);
  const auto steps = [](const Run& run) -> const auto& {
    return run.history.steps;
  };
  const auto loss = [](const metrics::StepRow& row) { return row.loss; };
  for_each_common_step(runs, steps, loss, [&](const AlignedRow& row) {
    ++out.common_steps;
    if (!out.first_difference && !all_same(row.values)) out.first_difference = row;
  });
  std::int64_t place = 0;
  for_each_common_step(runs, steps, loss, [&](const AlignedRow& row) {
    if (is_shown(place++, out.common_steps, rows)) out.losses.push_back(row);
  });

  const auto validations = [](const Run& run) -> const auto& {
    return run.history.validations;
  };
  const auto validation_loss = [](const metrics::ValidationRow& row) {
    return row.validation_loss;
  };
  std::int64_t count = 0;
  for_each_common_step(runs, validations, validation_loss, [&](const AlignedRow&) { ++count; });
  place = 0;
  for_each_common_step(runs, validations, validation_loss, [&](const AlignedRow& row) {
    if (is_shown(place++, count, rows)) out.validation_losses.push_back(row);
  });
  return out;
}

}  // namespace ovid::report
