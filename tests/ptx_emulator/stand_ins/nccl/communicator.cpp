#include "tests/ptx_emulator/stand_ins/nccl/communicator.h"

#include <algorithm>
#include <random>

#include "tests/ptx_emulator/stand_ins/support/explain.h"

namespace ptx_emulator::stand_ins {
namespace {

// The last failure of a thread, for calls without a communicator (the library's interface has such
// a global).
std::string& failure_of_thread() {
  thread_local std::string message;
  return message;
}

bool blocks(const ncclConfig_t* config) {
  // Older programs carry a shorter structure; `blocking` is in all of them.
  return config == nullptr || config->blocking == NCCL_CONFIG_UNDEF_INT || config->blocking != 0;
}

ncclComm_t make(int num_ranks, const std::string& id, int rank, int device, bool blocking) {
  auto* const comm = new ncclComm;
  comm->num_ranks = num_ranks;
  comm->rank = rank;
  comm->device = device;
  comm->blocking = blocking;
  comm->id = id;
  comm->state = std::make_shared<RankState>();
  comm->state->rank = rank;
  comm->state->device = device;
  return comm;
}

void join(ncclComm_t comm) {
  auto segment = SharedSegment::open(comm->id, comm->num_ranks);
  segment->join(comm->rank, comm->device);
  comm->state->segment = segment;
  comm->clique = Clique::of(segment);
}

struct Colour {
  int rank, color, key;
};

// Second half of a split: everybody's colour is known.
void join_split(ncclComm_t comm, ncclComm_t parent, int color, unsigned long long number) {
  SharedSegment& segment = *parent->state->segment;
  segment.wait({parent->rank}, "ncclCommSplit", [&] {
    for (int rank = 0; rank < parent->num_ranks; ++rank) {
      if (segment.slot(rank).split_arrived.load() < number) return false;
    }
    return true;
  });
  if (comm == nullptr) return;
  std::vector<Colour> members;
  for (int rank = 0; rank < parent->num_ranks; ++rank) {
    const RankSlot& slot = segment.slot(rank);
    if (slot.split_color[number % 2] == color)
      members.push_back({rank, color, slot.split_key[number % 2]});
  }
  std::stable_sort(members.begin(), members.end(),
                   [](const Colour& a, const Colour& b) { return a.key < b.key; });
  comm->num_ranks = static_cast<int>(members.size());
  const auto own = std::find_if(members.begin(), members.end(),
                                [&](const Colour& m) { return m.rank == parent->rank; });
  comm->rank = static_cast<int>(own - members.begin());
  comm->state->rank = comm->rank;
  comm->id = parent->id + text("-%llu.%d", number, color);
  join(comm);
}

void wait_for_others(ncclComm_t comm) {
  if (comm != nullptr) comm->state->segment->wait_for_all_joined();
}

ncclResult_t run_steps(std::vector<Construction>& constructions) {
  std::size_t most = 0;
  for (const Construction& construction : constructions)
    most = std::max(most, construction.steps.size());
  for (std::size_t step = 0; step < most; ++step) {
    for (Construction& construction : constructions) {
      if (step >= construction.steps.size()) continue;
      try {
        construction.steps[step]();
      } catch (const CommunicationError& error) {
        return failed(construction.comm, error.code(), error.what());
      } catch (const std::exception& error) {
        return failed(construction.comm, ncclSystemError, error.what());
      }
    }
  }
  return ncclSuccess;
}

}  // namespace

Construction construct_rank(ncclComm_t* target, int num_ranks, const std::string& id, int rank,
                            const ncclConfig_t* config) {
  if (num_ranks < 1 || num_ranks > kMaxRanks) {
    throw CommunicationError(ncclInvalidArgument,
                             text("%d ranks; 1 to %d are possible", num_ranks, kMaxRanks));
  }
  if (rank < 0 || rank >= num_ranks)
    throw CommunicationError(ncclInvalidArgument,
                             text("rank %d of %d does not exist", rank, num_ranks));
  Construction construction;
  construction.target = target;
  construction.comm = make(num_ranks, id, rank, current_cuda_device(), blocks(config));
  ncclComm_t const comm = construction.comm;
  construction.steps = {[comm] { join(comm); }, [comm] { wait_for_others(comm); }};
  return construction;
}

Construction construct_split(ncclComm_t* target, ncclComm_t parent, int color, int key,
                             const ncclConfig_t* config) {
  if (color < 0 && color != NCCL_SPLIT_NOCOLOR)
    throw CommunicationError(ncclInvalidArgument, text("colour %d is negative", color));
  Construction construction;
  construction.target = target;
  const bool blocking = config != nullptr && config->blocking != NCCL_CONFIG_UNDEF_INT
                            ? blocks(config)
                            : parent->blocking;
  if (color != NCCL_SPLIT_NOCOLOR) construction.comm = make(0, "", 0, parent->device, blocking);
  ncclComm_t const comm = construction.comm;
  const unsigned long long number = ++parent->num_splits;
  construction.steps = {[=] {
                          RankSlot& slot = parent->state->segment->slot(parent->rank);
                          slot.split_color[number % 2] = color;
                          slot.split_key[number % 2] = key;
                          slot.split_arrived.store(number);
                          parent->state->segment->wake();
                        },
                        [=] { join_split(comm, parent, color, number); },
                        [=] { wait_for_others(comm); }};
  return construction;
}

Construction construct_shrunk(ncclComm_t* target, ncclComm_t parent,
                              const std::vector<int>& excluded, const ncclConfig_t* config) {
  std::string id = parent->id + "-s";
  int rank = 0;
  int num_ranks = 0;
  for (int old = 0; old < parent->num_ranks; ++old) {
    if (std::find(excluded.begin(), excluded.end(), old) != excluded.end()) {
      if (old == parent->rank)
        throw CommunicationError(ncclInvalidArgument,
                                 "an excluded rank must not call ncclCommShrink");
      id += text(".%d", old);
      continue;
    }
    if (old < parent->rank) ++rank;
    ++num_ranks;
  }
  return construct_rank(target, num_ranks, id, rank, config);
}

ncclResult_t finish_constructions(std::vector<Construction> constructions) {
  bool blocking = true;
  for (Construction& construction : constructions) {
    if (construction.comm != nullptr) blocking = blocking && construction.comm->blocking;
  }
  if (blocking) {
    const ncclResult_t result = run_steps(constructions);
    for (Construction& construction : constructions) {
      if (result != ncclSuccess) delete construction.comm;
      *construction.target = result == ncclSuccess ? construction.comm : nullptr;
    }
    return result;
  }
  ncclComm_t owner = nullptr;
  for (Construction& construction : constructions) {
    *construction.target = construction.comm;
    if (construction.comm == nullptr) continue;
    construction.comm->state->async_error.store(ncclInProgress);
    owner = construction.comm;
  }
  if (owner == nullptr) return run_steps(constructions);
  owner->starting = std::thread([work = std::move(constructions)]() mutable {
    const ncclResult_t result = run_steps(work);
    for (Construction& construction : work) {
      if (construction.comm == nullptr) continue;
      int in_progress = ncclInProgress;
      construction.comm->state->async_error.compare_exchange_strong(in_progress, result);
    }
  });
  return ncclInProgress;
}

std::string fresh_id() {
  std::random_device random;
  return text("/ptx-emulator-nccl-%08x%08x%08x", random(), random(), random());
}

ncclResult_t failed(ncclComm_t comm, int code, const std::string& message) {
  failure_of_thread() = message;
  if (comm != nullptr && comm->state != nullptr) {
    const std::scoped_lock lock(comm->state->mutex);
    comm->state->last_error = message;
  }
  explain("NCCL", message);
  return static_cast<ncclResult_t>(code);
}

const std::string& last_failure() {
  return failure_of_thread();
}

}  // namespace ptx_emulator::stand_ins
