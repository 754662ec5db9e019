#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "src/distributed/communicator.h"
#include "src/simulation/network_model.h"

namespace ovid::simulation {

// One rank of a simulated run, for the body that plays it.
class SimulatedRank {
 public:
  virtual ~SimulatedRank() = default;
  // A communicator whose collectives move no data: rows may have any address that is not null.
  // Small facts (exchange) do arrive.
  virtual distributed::Communicator& communicator() = 0;
  // The rank works for so long.
  virtual void compute(double seconds) = 0;
  // Seconds since the start, of this rank's own clock.
  virtual double now() const = 0;
};

struct CollectiveTotals {
  std::int64_t calls = 0;
  std::uint64_t bytes = 0;  // of the larger operand
  double seconds = 0;       // on the network
};

struct WorldReport {
  double seconds = 0;          // until the last rank ended
  double network_seconds = 0;  // in which a collective ran
  double waited_seconds = 0;   // of the mean rank, for collectives that had not ended
  std::map<distributed::CollectiveKind, CollectiveTotals> collectives;
};

// Runs `body` on `ranks` simulated ranks to its end, all on the caller's thread. A collective takes
// place when all ranks have begun it, and one after another, as a NCCL communicator does; it takes
// the time of the model. Throws CollectiveError where the ranks' calls differ, and where ranks wait
// for others that ended or wait for something else, with what each waits for; and what a body
// throws.
WorldReport run_world(int ranks, const NetworkModel& network,
                      const std::function<void(SimulatedRank&)>& body);

}  // namespace ovid::simulation
