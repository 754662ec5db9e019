#include "src/simulation/network_model.h"

#include <algorithm>
#include <bit>

namespace ovid::simulation {

double collective_seconds(const NetworkModel& network, distributed::CollectiveKind kind,
                          std::uint64_t bytes, int ranks) {
  using distributed::CollectiveKind;
  if (ranks <= 1) return 0.0;
  const double alpha = network.latency_seconds;
  const double transfer = static_cast<double>(bytes) / network.bytes_per_second;
  const double R = ranks;
  // Levels of a binary tree over the ranks.
  const auto levels = static_cast<double>(std::bit_width(static_cast<unsigned>(ranks - 1)));
  const double ring_pass = (R - 1) * alpha + (R - 1) / R * transfer;
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return std::min(2 * ring_pass, 2 * (levels * alpha + transfer));
    case CollectiveKind::kReduceScatter:
    case CollectiveKind::kAllGather:
      return ring_pass;
    case CollectiveKind::kBroadcast:
      return levels * alpha + transfer;
    case CollectiveKind::kScatter:
    case CollectiveKind::kExchange:
      return levels * alpha + (R - 1) / R * transfer;
    case CollectiveKind::kBarrier:
      return 2 * levels * alpha;
  }
  return 0.0;
}

}  // namespace ovid::simulation
