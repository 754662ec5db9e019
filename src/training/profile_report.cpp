#include "src/training/profile_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "kernels/cpu/machine_peak.h"
#include "src/core/log.h"
#include "src/training/run_directory.h"

namespace ovid::training {
namespace {

using Entry = kernels::OpProfile::Entry;

// The least time that the machine could take: whichever of arithmetic and memory takes longer.
double limit_seconds(const Entry& entry, const kernels::cpu::MachinePeak& peak) {
  const double compute = peak.flops_per_second > 0 ? entry.cost.flops / peak.flops_per_second : 0.0;
  const double memory = peak.bytes_per_second > 0 ? entry.cost.bytes / peak.bytes_per_second : 0.0;
  return std::max(compute, memory);
}

std::string line_of(const Entry& entry, double total, const kernels::cpu::MachinePeak& peak) {
  const double calls = static_cast<double>(entry.calls);
  return fmt::format("{:<28}{:<20}{:>8}{:>11.3f}{:>8.1f}{:>10.1f}{:>9.1f}{:>9.0f}\n", entry.name,
                     entry.shape, entry.calls, 1e3 * entry.seconds / calls,
                     100 * entry.seconds / total, entry.cost.flops / entry.seconds * 1e-9,
                     entry.cost.bytes / entry.seconds * 1e-9,
                     100 * limit_seconds(entry, peak) / entry.seconds);
}

nlohmann::json json_of(const Entry& entry, const kernels::cpu::MachinePeak& peak) {
  return {{"op", entry.name},
          {"shape", entry.shape},
          {"calls", entry.calls},
          {"seconds", entry.seconds},
          {"flops", entry.cost.flops},
          {"bytes", entry.cost.bytes},
          {"share_of_limit", limit_seconds(entry, peak) / entry.seconds}};
}

}  // namespace

void report_profile(const RunPlan& plan, const kernels::OpProfile& profile) {
  std::vector<Entry> entries = profile.entries();
  std::erase_if(entries, [](const Entry& e) { return e.calls == 0 || e.seconds <= 0; });
  if (entries.empty()) {
    log::info("no step was taken, so there is no profile");
    return;
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.seconds > b.seconds; });
  double total = 0;
  for (const Entry& entry : entries) total += entry.seconds;
  const auto peak = kernels::cpu::measure_machine_peak(plan.target().threads);
  std::string table = fmt::format(
      "time by op, {:.2f} s in all; the machine's limit with {} threads: {:.0f} GFLOP/s, {:.0f} "
      "GB/s\n{:<28}{:<20}{:>8}{:>11}{:>8}{:>10}{:>9}{:>9}\n",
      total, plan.target().threads, peak.flops_per_second * 1e-9, peak.bytes_per_second * 1e-9,
      "op", "shape", "calls", "ms a call", "% time", "GFLOP/s", "GB/s", "% limit");
  nlohmann::json ops = nlohmann::json::array();
  for (const Entry& entry : entries) {
    table += line_of(entry, total, peak);
    ops.push_back(json_of(entry, peak));
  }
  log::info(table);
  const nlohmann::json json = {{"threads", plan.target().threads},
                               {"peak_flops_per_second", peak.flops_per_second},
                               {"peak_bytes_per_second", peak.bytes_per_second},
                               {"seconds", total},
                               {"ops", ops}};
  replace_file(RunDirectory{plan.directory}.profile(), json.dump(2) + "\n");
}

}  // namespace ovid::training
