#include "src/distributed/world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "kernels/cpu/parallel_for.h"
#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/distributed/mpi_module.h"
#include "src/distributed/segment_rendezvous.h"
#include "src/distributed/shared_memory_communicator.h"
#include "src/distributed/single_rank_communicator.h"

namespace ovid::distributed {
namespace {

std::unique_ptr<Communicator> join_by_shared_memory(const WorldOptions& options) {
  const DiscoveredRanks& place = options.place;
  if (place.segment_descriptor) {
    // Not for programs that this one may start.
    ::fcntl(*place.segment_descriptor, F_SETFD, FD_CLOEXEC);
    return std::make_unique<SharedMemoryCommunicator>(
        place.ranks, RankSegment::open(*place.segment_descriptor, place.ranks.count),
        options.join_seconds);
  }
  return std::make_unique<SharedMemoryCommunicator>(
      place.ranks, meet_ranks(place.ranks, place.run_token, options.join_seconds),
      options.join_seconds);
}

std::unique_ptr<Communicator> join_by_mpi(const DiscoveredRanks& place) {
  std::unique_ptr<Communicator> communicator = open_mpi_world();
  if (communicator->rank() == place.ranks.rank && communicator->count() == place.ranks.count) {
    return communicator;
  }
  throw UsageError(fmt::format(
      "{} says that this is rank {} of {}, the MPI library says {} of {}: the library is not the "
      "launcher's; load the one that mpirun or srun belongs to",
      place.source, place.ranks.rank, place.ranks.count, communicator->rank(),
      communicator->count()));
}

// Ranks with the same name of machine and set of cores share them.
std::uint64_t hash_of_cores() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  cpu_set_t cores;
  CPU_ZERO(&cores);
  ::sched_getaffinity(0, sizeof cores, &cores);
  return hash64(std::as_bytes(std::span(&cores, 1)), hash64(std::as_bytes(std::span(host))));
}

int threads_of_rank(Communicator& communicator) {
  const std::uint64_t own = hash_of_cores();
  std::vector<std::uint64_t> all(static_cast<std::size_t>(communicator.count()));
  communicator.exchange(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all)),
                        "cores of the ranks");
  const auto sharing = static_cast<int>(std::count(all.begin(), all.end(), own));
  return std::max(1, kernels::cpu::available_threads() / sharing);
}

}  // namespace

World join_world(const WorldOptions& options) {
  const DiscoveredRanks& place = options.place;
  World world;
  const char* by = "alone";
  if (place.ranks.count == 1) {
    world.communicator = std::make_unique<SingleRankCommunicator>();
  } else if (place.one_machine) {
    by = "by shared memory";
    world.communicator = join_by_shared_memory(options);
  } else if (place.started_by_mpi) {
    by = "by MPI";
    world.communicator = join_by_mpi(place);
  } else {
    throw UsageError(fmt::format(
        "{} ranks on several machines, by {}: these are joined by MPI; start them with mpirun, or "
        "with srun --mpi=pmix",
        place.ranks.count, place.source));
  }
  world.ranks = world.communicator->ranks();
  world.threads = threads_of_rank(*world.communicator);
  world.description = fmt::format("rank {} of {}, {}, started by {}", world.ranks.rank,
                                  world.ranks.count, by, place.source);
  return world;
}

}  // namespace ovid::distributed
