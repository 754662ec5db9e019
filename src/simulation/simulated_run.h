#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/simulation/goodput.h"
#include "src/simulation/simulated_world.h"
#include "src/training/run_plan.h"

namespace ovid::simulation {

struct SimulationOptions {
  int ranks = 1024;
  std::int64_t steps = 3;  // played; the last saves a checkpoint
  NetworkModel network;
  double operations_per_second = 200e12;        // of one rank, by model::training_operations
  double disk_bytes_per_second = 2e9;           // of all ranks together
  double rank_hours_between_failures = 50'700;  // mean, of one rank (Llama 3: 419 in 54 days)
  double repair_hours = 0.25;
  double interval_hours = 0;  // between checkpoints; 0: Young's, at most a quarter of an hour
  std::uint64_t seed = 1;     // of the failures
};

struct SimulationReport {
  int ranks = 0;
  int zero_stage = 0;
  bool canonical = false;
  std::int64_t sequences_a_step = 0;
  std::int64_t most_sequences_of_a_rank = 0;
  std::int64_t passes = 0;  // of the rank with the most
  WorldReport world;        // of the steps, without the checkpoint
  double step_seconds = 0;
  double compute_seconds = 0;  // of a step, of the rank with the most sequences
  double exposed_seconds = 0;  // of a step: in which the mean rank waits for collectives
  double network_seconds = 0;  // of a step
  double tokens_per_second = 0;
  // Found once each, by every rank's own share: or the simulation throws.
  std::int64_t sequences_checked = 0;
  std::uint64_t elements_checked = 0;
  std::int64_t collectives_checked = 0;  // each called by all ranks alike
  std::uint64_t checkpoint_bytes = 0;
  std::uint64_t most_bytes_of_a_rank = 0;  // of a checkpoint, rank 0's model left out
  std::int64_t checkpoint_files = 0;
  double checkpoint_seconds = 0;  // of writing, beside training
  double copy_seconds = 0;        // by which it holds training up
  GoodputOptions failures;
  Goodput goodput;
  double wall_seconds = 0;  // of the simulation itself
};

// Plays some steps and a checkpoint of a run on simulated ranks, without its arithmetic, by the
// functions that a run decides with: shares of the batch, the loader's order, shard layout, order
// of the collectives, parts of a checkpoint. Reads the run's data, writes nothing. Throws
// UsageError for a batch that the ranks cannot share; std::logic_error where a sequence or an
// element is there twice or not at all; CollectiveError as run_world.
SimulationReport simulate_run(const training::RunPlan& plan, const SimulationOptions& options);

std::string to_text(const SimulationReport& report);
std::string to_json(const SimulationReport& report);

}  // namespace ovid::simulation
