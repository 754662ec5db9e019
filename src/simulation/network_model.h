#pragma once

#include <cstdint>

#include "src/distributed/flight_recorder.h"

namespace ovid::simulation {

// A network as two numbers: what a message costs however small (alpha), and how fast its bytes go
// (beta) out of each rank. The slowest link of a ring is what counts: between machines, one rank's
// share of a machine's network card.
struct NetworkModel {
  double latency_seconds = 10e-6;
  double bytes_per_second = 50e9;
};

// Seconds of a collective over `ranks` ranks whose larger operand has `bytes`, from when all are
// there. Sums and gathers of rows by a ring (Patarasu and Yuan 2009), an all-reduce by the better
// of ring and binary tree, everything else by a tree. Source of the model: Hockney 1994.
double collective_seconds(const NetworkModel& network, distributed::CollectiveKind kind,
                          std::uint64_t bytes, int ranks);

}  // namespace ovid::simulation
