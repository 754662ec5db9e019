#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/distributed/flight_recorder.h"
#include "src/memory/arena.h"
#include "src/simulation/simulated_run.h"

namespace ovid::simulation {
namespace {

using memory::readable_bytes;

std::string percent(double share) {
  return fmt::format("{:.2f} %", 100 * share);
}

}  // namespace

std::string to_text(const SimulationReport& r) {
  std::string text = fmt::format(
      "simulated, not measured: {} ranks, ZeRO stage {}, {} order\n"
      "work\n  {} sequences a step, at most {} of a rank in {} passes\n",
      r.ranks, r.zero_stage, r.canonical ? "canonical" : "fast", r.sequences_a_step,
      r.most_sequences_of_a_rank, r.passes);
  text += fmt::format(
      "checked\n  {} sequences, each read by one rank, in the order of a run of one rank\n"
      "  {} elements, each stored by one rank\n"
      "  {} collectives, each called by all ranks alike; no deadlock\n",
      r.sequences_checked, r.elements_checked, r.collectives_checked);
  text += fmt::format(
      "time of a step\n  {:.4g} s: {:.4g} s of computing, {:.4g} s of waiting for the network, "
      "which is busy for {:.4g} s\n  {:.4g} tokens/s\n",
      r.step_seconds, r.compute_seconds, r.exposed_seconds, r.network_seconds, r.tokens_per_second);
  text += "collectives of all steps\n";
  for (const auto& [kind, totals] : r.world.collectives) {
    text += fmt::format("  {:<16}{:>8} calls {:>14} {:>10.4g} s\n", distributed::name_of(kind),
                        totals.calls, readable_bytes(totals.bytes), totals.seconds);
  }
  text += fmt::format(
      "checkpoint\n  {} in {} files, {} of moments a rank at most; written in {:.3g} s, holds "
      "training up for {:.3g} s\n",
      readable_bytes(r.checkpoint_bytes), r.checkpoint_files,
      readable_bytes(r.most_bytes_of_a_rank), r.checkpoint_seconds, r.copy_seconds);
  text += fmt::format(
      "failures\n  one in {:.4g} h, repaired in {:.3g} h; a checkpoint every {:.3g} h\n"
      "  useful time: {} +- {} (95 %), closed form {}, to first order {}\n",
      r.failures.hours_between_failures, r.failures.repair_hours, r.failures.interval_hours,
      percent(r.goodput.simulated), percent(r.goodput.half_interval), percent(r.goodput.exact),
      percent(r.goodput.young));
  return text + fmt::format("simulated in {:.3g} s\n", r.wall_seconds);
}

std::string to_json(const SimulationReport& r) {
  nlohmann::ordered_json collectives = nlohmann::ordered_json::object();
  for (const auto& [kind, totals] : r.world.collectives) {
    collectives[distributed::name_of(kind)] = {
        {"calls", totals.calls}, {"bytes", totals.bytes}, {"seconds", totals.seconds}};
  }
  const nlohmann::ordered_json json = {
      {"ranks", r.ranks},
      {"zero_stage", r.zero_stage},
      {"reduction", r.canonical ? "canonical" : "fast"},
      {"sequences_per_step", r.sequences_a_step},
      {"most_sequences_of_a_rank", r.most_sequences_of_a_rank},
      {"passes", r.passes},
      {"sequences_checked", r.sequences_checked},
      {"elements_checked", r.elements_checked},
      {"collectives_checked", r.collectives_checked},
      {"step_seconds", r.step_seconds},
      {"compute_seconds", r.compute_seconds},
      {"exposed_seconds", r.exposed_seconds},
      {"network_seconds", r.network_seconds},
      {"tokens_per_second", r.tokens_per_second},
      {"collectives", collectives},
      {"checkpoint_bytes", r.checkpoint_bytes},
      {"checkpoint_files", r.checkpoint_files},
      {"most_moment_bytes_of_a_rank", r.most_bytes_of_a_rank},
      {"checkpoint_seconds", r.checkpoint_seconds},
      {"copy_seconds", r.copy_seconds},
      {"hours_between_failures", r.failures.hours_between_failures},
      {"repair_hours", r.failures.repair_hours},
      {"interval_hours", r.failures.interval_hours},
      {"goodput", r.goodput.simulated},
      {"goodput_half_interval", r.goodput.half_interval},
      {"goodput_exact", r.goodput.exact},
      {"goodput_young", r.goodput.young},
      {"wall_seconds", r.wall_seconds}};
  return json.dump(2);
}

}  // namespace ovid::simulation
