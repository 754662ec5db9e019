#pragma once
// The ranks of one communicator that live in this process, and how their calls become one piece of
// queued work.

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/ptx_emulator/stand_ins/nccl/operation.h"

namespace ptx_emulator::stand_ins {

// Several ranks of one process cannot be several pieces of work, since a runtime may run one at a
// time: their calls are collected until all that depend on each other are there (other threads may
// bring theirs), then queued as one.
class Clique {
 public:
  // That of the segment in this process.
  static std::shared_ptr<Clique> of(const std::shared_ptr<SharedSegment>& segment);

  struct Ticket {
    RankBatch batch;
    bool queued = false;
    int cuda_error = 0;
  };
  // Brings one rank's calls; queues at once what is complete.
  std::shared_ptr<Ticket> bring(RankBatch batch);
  // Waits until the ticket's calls are queued. Throws CommunicationError where other local ranks do
  // not come in time.
  void wait(const std::shared_ptr<Ticket>& ticket);

 private:
  explicit Clique(std::shared_ptr<SharedSegment> segment) : segment_(std::move(segment)) {}
  bool collect(int rank, std::vector<int>& ranks) const;

  std::shared_ptr<SharedSegment> segment_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, std::deque<std::shared_ptr<Ticket>>> waiting_;
};

// Queues the batches as one work: it waits for what all their streams hold, and all their streams
// wait for it. Works of this process are chained in the order of the calls, as ranks that begin two
// operations in different orders would block each other. Returns a cudaError_t.
int queue_batches(std::vector<RankBatch> batches);

}  // namespace ptx_emulator::stand_ins
