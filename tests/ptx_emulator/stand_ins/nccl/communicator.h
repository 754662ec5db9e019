#pragma once
// What ncclComm_t points to, and its ways into existence.

#include <nccl.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/ptx_emulator/stand_ins/nccl/clique.h"
#include "tests/ptx_emulator/stand_ins/nccl/stream_order.h"

namespace ptx_emulator::stand_ins {

// A reduction made by ncclRedOpCreatePreMulSum.
struct CreatedReduction {
  bool live = false;
  int type = 0;
  double factor = 1.0;
  const void* device_factor = nullptr;
};

}  // namespace ptx_emulator::stand_ins

struct ncclComm {
  static constexpr unsigned kMagic = 0x6e63636c;
  unsigned magic = kMagic;
  std::shared_ptr<ptx_emulator::stand_ins::RankState> state;
  std::shared_ptr<ptx_emulator::stand_ins::Clique> clique;
  int num_ranks = 0;
  int rank = 0;
  int device = 0;
  bool blocking = true;
  std::string id;
  unsigned long long num_splits = 0;
  std::vector<ptx_emulator::stand_ins::CreatedReduction> reductions;
  std::vector<ptx_emulator::stand_ins::StreamOfDevice> streams;  // used so far
  std::thread
      starting;  // of a communicator that does not block; sets async_error when it is through
};

namespace ptx_emulator::stand_ins {

// The making of one communicator in steps, so that one thread can make several that need each
// other: every member's first step, then every member's second, and so on. Steps throw
// CommunicationError.
struct Construction {
  ncclComm_t comm =
      // made by the first steps; nullptr: this rank takes no part (ncclCommSplit without colour)
      nullptr;
  ncclComm_t* target = nullptr;  // where the program wants it
  std::vector<std::function<void()>> steps;
};

// Refusals that need nobody else throw at once.
Construction construct_rank(ncclComm_t* target, int num_ranks, const std::string& id, int rank,
                            const ncclConfig_t* config);
Construction construct_split(ncclComm_t* target, ncclComm_t parent, int color, int key,
                             const ncclConfig_t* config);
Construction construct_shrunk(ncclComm_t* target, ncclComm_t parent,
                              const std::vector<int>& excluded, const ncclConfig_t* config);

// Runs all constructions side by side; a communicator that does not block is continued on a thread
// of its own. Returns ncclSuccess, ncclInProgress or the error.
ncclResult_t finish_constructions(std::vector<Construction> constructions);

// A fresh id for ncclGetUniqueId: the name of a shared-memory segment.
std::string fresh_id();

// Remembers the message for ncclGetLastError and returns the code.
ncclResult_t failed(ncclComm_t comm, int code, const std::string& message);
const std::string& last_failure();

}  // namespace ptx_emulator::stand_ins
