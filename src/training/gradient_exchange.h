#pragma once

#include <cstdint>
#include <vector>

#include "src/distributed/communicator.h"
#include "src/model/parameters.h"
#include "src/model/shard_layout.h"

namespace ovid::training {

// How long the sums of gradients took on this rank, and how much of it no computing hid; seconds.
struct ExchangeTime {
  double transfer = 0;  // from when all ranks were there until the sum was
  double exposed = 0;   // what of it lies behind the end of the backward pass
  double waiting = 0;   // of the step for the sums: `exposed`, and for ranks that came later
  std::int64_t steps = 0;
};

// Sums the gradients of all ranks, group by group, while the backward pass goes on
// (Li et al. 2020, section 3.2.3): a group's sum is begun as soon as the pass has left it. The
// order is the pass's, so the same on all ranks; the embeddings, which a tied head writes first and
// the first layer last, come last.
class GradientExchange {
 public:
  // What each rank has in the end: the sums of everything, or those of its own part of each group's
  // row.
  enum class Result { kEverywhere, kOwnPart };

  // `gradients` is a set of several shards; all three must outlive this.
  GradientExchange(distributed::Communicator& communicator, const model::ShardLayout& layout,
                   const model::ParameterSet& gradients, Result result);

  // Told by the backward pass of a step's last micro-batch (model::GradientReady).
  void note_ready(std::int64_t block);
  // For a rank without a sequence in this step, whose gradients are zero.
  void note_all_ready();
  // Until the sums may be read.
  void finish();

  // Of all steps so far, by the communicator's flight records. Of a communicator in the host's
  // memory: a device's queue waits where the host does not see it.
  const ExchangeTime& time() const { return time_; }

 private:
  void begin(std::size_t group);
  // Of the collectives of this step, which are done; it came to finish() at `asked` (nanoseconds
  // of the monotonic clock).
  void count_time(std::int64_t asked);

  distributed::Communicator& communicator_;
  const model::ShardLayout& layout_;
  const model::ParameterSet& gradients_;
  Result result_;
  std::vector<distributed::Ticket> tickets_;
  ExchangeTime time_;
};

// The part of a group's row that rank `rank` owns.
model::View own_part(const model::ShardLayout& layout, const model::ParameterSet& set,
                     std::size_t group, int rank);
// Those of all groups.
std::vector<model::View> own_parts(const model::ShardLayout& layout, const model::ParameterSet& set,
                                   int rank);

// Every rank's own part of each group's row to all ranks: after an update of own parts.
void gather_parts(distributed::Communicator& communicator, const model::ShardLayout& layout,
                  const model::ParameterSet& set);

}  // namespace ovid::training
