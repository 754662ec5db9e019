#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "kernels/common/view.h"
#include "src/distributed/flight_recorder.h"
#include "src/distributed/rank.h"

namespace ovid::distributed {

// One collective that was begun. Waited for at most once.
struct Ticket {
  std::int64_t sequence = 0;  // its number among those of the communicator, from 1
};

// The collectives of the ranks of one run. All ranks call the same ones in the same order, with the
// same sizes, types and labels: what differs is found before any data moves, and every rank then
// throws CollectiveError with the call of each. Operands are flat rows (one dimension) in the
// memory that the communicator was made for (the host's, or one CUDA device's).
//
// Collectives are begun and waited for: between the two they run beside the caller (a thread of the
// communicator, or a queue of the device), one after another in the order in which they were begun,
// and the operands belong to them. Sums are taken in the order of the ranks, in float32 (float64
// where that is the type) and rounded once, so that two runs give the same bits on one kind of
// communicator; every rank receives the same bits on all kinds.
//
// A rank that died, or that another rank's failure ended, makes calls throw RankError, which names
// it; so does abort(). Nothing but destruction may follow.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  const RankInfo& ranks() const { return ranks_; }
  int rank() const { return ranks_.rank; }
  int count() const { return ranks_.count; }

  // data = sum over the ranks.
  Ticket begin_all_reduce(const kernels::View& data, std::string_view label);
  // out of rank r = part r of the sum of `in`, which has count() parts of out's size. `out` may be
  // this rank's own part of `in`.
  Ticket begin_reduce_scatter(const kernels::ConstView& in, const kernels::View& out,
                              std::string_view label);
  // out = the `in` of all ranks, one after another. `in` may be its own part of `out`.
  Ticket begin_all_gather(const kernels::ConstView& in, const kernels::View& out,
                          std::string_view label);
  // data of every rank = data of `root`.
  Ticket begin_broadcast(const kernels::View& data, int root, std::string_view label);
  // out of rank r = part r of the `in` of `root`; `in` is looked at on the root alone, where it has
  // count() parts of out's size.
  Ticket begin_scatter(const kernels::ConstView& in, const kernels::View& out, int root,
                       std::string_view label);
  // Until the operands may be touched: the host waits where they are the host's; where they are a
  // device's, its compute queue waits and the host goes on.
  void wait(Ticket ticket);

  // Small facts of the host: out = the bytes of all ranks, one after another; each gives as many.
  // Waits.
  void exchange(std::span<const std::byte> in, std::span<std::byte> out, std::string_view label);
  // Waits until all ranks are here.
  void barrier(std::string_view label);

  // Makes every waiting and later call of all ranks throw RankError with `reason`, as far as they
  // can be reached. From any thread, also while a collective hangs.
  virtual void abort(std::string_view reason) noexcept = 0;

  // What the last collectives were, for whoever has to explain a hang.
  const FlightRecorder& recorder() const { return *recorder_; }
  FlightRecorder& recorder() { return *recorder_; }
  // The same of another rank, where this process can read it (by shared memory, also of one that
  // hangs or died); null where it cannot. From any thread.
  virtual const FlightRecorder* recorder_of(int rank) const {
    return rank == ranks_.rank ? recorder_.get() : nullptr;
  }

 protected:
  Communicator(RankInfo ranks, std::unique_ptr<FlightRecorder> recorder)
      : ranks_(ranks), recorder_(std::move(recorder)) {}

 private:
  // Numbers the call, records it, hands it on.
  Ticket begin(CollectiveCall call);
  // Operands are checked and the call is recorded; `sequence` is its ticket's. An implementation
  // tells the recorder of start and end.
  virtual void do_begin(const CollectiveCall& call) = 0;
  virtual void do_wait(std::int64_t sequence) = 0;
  virtual void do_exchange(std::span<const std::byte> in, std::span<std::byte> out,
                           const CollectiveHeader& header) = 0;

  RankInfo ranks_;
  std::unique_ptr<FlightRecorder> recorder_;
  std::int64_t sequence_ = 0;
};

}  // namespace ovid::distributed
