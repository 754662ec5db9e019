#pragma once
// Collective and point-to-point operations, and their execution over shared memory.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/ptx_emulator/stand_ins/nccl/reduction.h"
#include "tests/ptx_emulator/stand_ins/nccl/shared_segment.h"

struct CUstream_st;

namespace ptx_emulator::stand_ins {

enum class Kind : std::int32_t {
  kAllReduce,
  kReduce,
  kReduceScatter,
  kAllGather,
  kBroadcast,
  kGather,
  kScatter,
  kAllToAll,
  kSend,
  kReceive,
};
const char* name_of(Kind kind);

// One call of a program. `count` is that of the call (per rank for gathers and scatters).
struct NcclCall {
  Kind kind = Kind::kAllReduce;
  const void* send = nullptr;
  void* receive = nullptr;
  std::uint64_t count = 0;
  int type = 0;
  int reduction_number = 0;  // as the program named it
  Reduction reduction;
  const void* device_factor = nullptr;  // read when the operation runs
  int root = 0;                         // root or peer
  CUstream_st* stream = nullptr;
  int device = 0;
};
std::string describe(const NcclCall& call);

// What outlives the program's handle, because queued work still needs it. Leaves the segment at its
// end.
struct RankState {
  std::shared_ptr<SharedSegment> segment;
  int rank = 0;
  int device = 0;
  std::atomic<int> async_error{0};
  std::atomic<int> outstanding{0};
  std::mutex mutex;
  std::string last_error;

  ~RankState();
  void set_error(int code, const std::string& message);
};

// The calls of one local rank in one group.
struct RankBatch {
  std::shared_ptr<RankState> state;
  std::vector<NcclCall> collectives;
  std::vector<NcclCall> messages;  // sends and receives
};

// What the ranks of this process do together, as one piece of work: collectives in order, then all
// messages at once. Never throws: a failure becomes the ranks' asynchronous error, results are
// overwritten with NaN, and calls that do not match make the device unusable.
void run_batches(const std::vector<RankBatch>& batches);

}  // namespace ptx_emulator::stand_ins
