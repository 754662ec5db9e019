#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/model/parameters.h"
#include "src/model/shard_layout.h"
#include "src/simulation/simulated_world.h"
#include "src/training/canonical_tree.h"
#include "src/training/run_plan.h"

namespace ovid::simulation {

// What the ranks of a simulated run have in common.
struct RunShape {
  const training::RunPlan& plan;
  model::ShardLayout layout;
  // Rows for the collectives, of which no byte is ever touched: all ranks have the same ones.
  model::ParameterSet rows;
  bool shards_moments = false;    // ZeRO stage 1
  bool shards_gradients = false;  // ZeRO stage 2: gradients are reduced in every pass
  bool canonical = false;
  std::int64_t pass_sequences = 1;        // of one forward and backward pass
  std::int64_t sequences = 0;             // of a step, all ranks together
  std::vector<training::HeldNode> nodes;  // of the canonical tree; empty for the fast order
  std::size_t norm_nodes = 0;             // partial sums of squares that a rank tells
  // Seconds of one sequence in each group: forward, and twice that backward.
  std::vector<double> forward_seconds;
  double update_seconds_an_element = 0;

  // Sequences of the rank with the most.
  std::int64_t largest_share() const;
  // Of a rank in a step without waiting: passes over `sequences`, and the update.
  double compute_seconds(std::int64_t sequences) const;
  double update_seconds() const;
  // The most numbers that a rank hears from all at once.
  std::size_t heard() const;
};

// Throws UsageError for a batch that the ranks cannot share, and for ZeRO stage 3.
RunShape shape_of(const training::RunPlan& plan, int ranks, double operations_per_second);

// The ids of the sequences of a step, as the ranks read them: -1 where nobody has.
using SequenceLedger = std::vector<std::int64_t>;

// Reads which sequences of step `step` are those of a rank into the ledger, as the loader orders
// them. Throws std::logic_error where another rank had one of them.
void note_sequences(const RunShape& shape, std::int64_t step, int rank, int ranks,
                    SequenceLedger& ledger);

// One step of one rank: it computes, and calls the collectives of the step in the order of a run.
// `heard`, of shape.heard() numbers, takes what ranks tell each other, and may be the same for all
// of them.
void play_step(const RunShape& shape, SimulatedRank& rank, std::span<double> heard);

}  // namespace ovid::simulation
