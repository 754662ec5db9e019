#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/error.h"
#include "src/distributed/communicator.h"
#include "src/training/run_plan.h"

// What the ranks of a run tell each other beside gradients. All members are collective.
namespace ovid::training {

struct AgreedStart {
  std::optional<std::int64_t> step;  // of the checkpoint that the run continues; nothing: a new run
  // Random, of this start: by it the ranks' files of one checkpoint are told from those of an
  // earlier try.
  std::uint64_t number = 0;
};

// What rank 0 found, on all ranks; the others' `found` is not looked at.
AgreedStart agree_on_start(distributed::Communicator& communicator,
                           std::optional<std::int64_t> found);

// The smallest micro-batch that a rank chose, on all ranks. Where the config leaves it open, ranks
// with more free memory than others would choose larger ones, and the run would not know which.
void agree_on_micro_batch(distributed::Communicator& communicator, RunPlan& plan);

// Which signal told the run to stop, and where there are several the rank that got it: "SIGTERM to
// rank 1"; empty: none did. All stop at the same place.
std::string who_stops(distributed::Communicator& communicator);

// To be told what became of each rank's preparations: kDone, or the exit code of what went wrong.
// The lowest rank where something did, which alone needs to say so; nothing where all went well.
struct RankFailure {
  int rank = 0;
  ExitCode exit_code = ExitCode::kBug;
};
std::optional<RankFailure> first_failure(distributed::Communicator& communicator, ExitCode own);

// One number of each rank, in their order.
std::vector<double> numbers_of_ranks(distributed::Communicator& communicator, double own,
                                     std::string_view label);

}  // namespace ovid::training
