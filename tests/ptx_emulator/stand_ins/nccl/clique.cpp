#include "tests/ptx_emulator/stand_ins/nccl/clique.h"

#include <nccl.h>

#include <algorithm>

namespace ptx_emulator::stand_ins {

std::shared_ptr<Clique> Clique::of(const std::shared_ptr<SharedSegment>& segment) {
  static std::mutex mutex;
  static std::map<const SharedSegment*, std::weak_ptr<Clique>> cliques;
  const std::scoped_lock lock(mutex);
  std::weak_ptr<Clique>& known = cliques[segment.get()];
  if (auto clique = known.lock()) return clique;
  std::shared_ptr<Clique> clique(new Clique(segment));
  known = clique;
  return clique;
}

// The local ranks whose first waiting calls depend on each other, beginning with `rank`; false
// while one is missing.
bool Clique::collect(int rank, std::vector<int>& ranks) const {
  const std::vector<int> local = segment_->local_ranks();
  ranks = {rank};
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const auto queue = waiting_.find(ranks[i]);
    if (queue == waiting_.end() || queue->second.empty()) return false;
    const RankBatch& batch = queue->second.front()->batch;
    const auto add = [&](int other) {
      const bool here = std::find(local.begin(), local.end(), other) != local.end();
      if (here && std::find(ranks.begin(), ranks.end(), other) == ranks.end())
        ranks.push_back(other);
    };
    if (!batch.collectives.empty()) std::for_each(local.begin(), local.end(), add);
    for (const NcclCall& message : batch.messages) add(message.root);
  }
  std::sort(ranks.begin(), ranks.end());
  return true;
}

std::shared_ptr<Clique::Ticket> Clique::bring(RankBatch batch) {
  const std::scoped_lock lock(mutex_);
  const int rank = batch.state->rank;
  auto ticket = std::make_shared<Ticket>();
  ticket->batch = std::move(batch);
  waiting_[rank].push_back(ticket);
  std::vector<int> ranks;
  while (!waiting_[rank].empty() && collect(rank, ranks)) {
    std::vector<RankBatch> batches;
    std::vector<std::shared_ptr<Ticket>> tickets;
    for (const int other : ranks) {
      tickets.push_back(waiting_[other].front());
      waiting_[other].pop_front();
      batches.push_back(tickets.back()->batch);
    }
    const bool even = std::all_of(batches.begin(), batches.end(), [&](const RankBatch& b) {
      return b.collectives.size() == batches.front().collectives.size();
    });
    const int error = even ? queue_batches(std::move(batches)) : -1;
    for (const auto& done : tickets) {
      done->queued = true;
      done->cuda_error = error;
    }
  }
  changed_.notify_all();
  return ticket;
}

void Clique::wait(const std::shared_ptr<Ticket>& ticket) {
  std::unique_lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + communication_timeout();
  while (!ticket->queued) {
    changed_.wait_for(lock, std::chrono::milliseconds(50));
    if (ticket->queued) break;
    segment_->check_peers();
    if (std::chrono::steady_clock::now() > deadline) {
      throw CommunicationError(ncclInvalidUsage,
                               "other ranks of this process did not make their calls; one thread "
                               "with several ranks needs "
                               "ncclGroupStart and ncclGroupEnd");
    }
  }
  if (ticket->cuda_error == -1) {
    throw CommunicationError(
        ncclInvalidUsage,
        "ranks of this process made different numbers of collective calls in one group");
  }
}

}  // namespace ptx_emulator::stand_ins
