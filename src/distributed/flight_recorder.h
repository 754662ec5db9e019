#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "kernels/common/view.h"

namespace ovid::distributed {

enum class CollectiveKind : std::uint8_t {
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kBroadcast,
  kScatter,
  kExchange,
  kBarrier,
};
const char* name_of(CollectiveKind kind);

// What all ranks must agree on before data moves. Plain data: it travels as it is.
struct CollectiveHeader {
  static constexpr int kLabelBytes = 40;

  std::int64_t sequence = 0;  // from 1
  std::uint64_t bytes = 0;    // of the larger operand
  std::int32_t root = -1;     // of those that have one
  CollectiveKind kind = CollectiveKind::kBarrier;
  std::uint8_t dtype = 0;        // of kernels::DType
  char label[kLabelBytes] = {};  // cut where longer; ends with a zero

  bool operator==(const CollectiveHeader&) const = default;
};

// One call as an implementation gets it: operands that its kind does not have are empty.
struct CollectiveCall {
  CollectiveHeader header;
  std::optional<kernels::ConstView> in;
  std::optional<kernels::View> out;
};

// The last 1,024 collectives of one rank, kept in plain memory that a signal handler, a watchdog
// thread or (where `storage` is shared memory) another process may read while they run. Writing
// costs some tens of nanoseconds and takes no lock.
class FlightRecorder {
 public:
  static constexpr std::size_t kEntries = 1024;

  struct Entry {
    CollectiveHeader header;
    // Nanoseconds of the monotonic clock; 0: not yet.
    std::int64_t begun = 0;    // called
    std::int64_t started = 0;  // all ranks were there, or the queue came to it
    std::int64_t ended = 0;
  };

  virtual ~FlightRecorder() = default;
  virtual void begin(const CollectiveHeader& header) = 0;
  virtual void start(std::int64_t sequence) = 0;
  virtual void end(std::int64_t sequence) = 0;
  // Those that are there, oldest first; what is being written at this moment is left out.
  virtual std::size_t read(std::span<Entry> out) const = 0;
};

}  // namespace ovid::distributed
