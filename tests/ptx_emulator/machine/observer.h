#pragma once
// What checks and counters are told while a kernel runs. The machine calls an observer only where
// MachineOptions asks for one (Grid::observer is not null): otherwise none of this costs anything.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tests/ptx_emulator/machine/access.h"
#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/launch.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {

// Names of what threads meet at.
inline std::uint64_t barrier_object(std::uint32_t rank, std::uint32_t number) {
  return (std::uint64_t{1} << 60) | (std::uint64_t{rank} << 32) | number;
}
// rank: of the block in whose shared memory the mbarrier lies; phase: how many phases were complete
// before this one.
inline std::uint64_t mbarrier_object(std::uint32_t rank, std::uint32_t offset,
                                     std::uint64_t phase) {
  return (std::uint64_t{2} << 60) | ((phase & 0xFFFFFF) << 32) | (std::uint64_t{rank} << 24) |
         offset;
}
inline std::uint64_t cluster_object(std::uint64_t phase) {
  return (std::uint64_t{3} << 60) | phase;
}

// One observer sees one block (or, where blocks form clusters or global races are looked for,
// several) on one worker thread; calls to it never overlap. The lead of a pair `x_begin`, `x_end`
// brackets what it names.
class Observer {
 public:
  virtual ~Observer() = default;

  // A block becomes resident; its shared memory is [shared, shared + shared_bytes), not
  // initialised.
  virtual void block_begin(Block& block, std::uint64_t linear_index, std::uint32_t num_warps,
                           std::uint32_t shared_bytes) = 0;
  virtual void block_end(Block& block) = 0;

  // Before each op, with the lanes for which it has an effect (guard applied).
  virtual void execute(Warp& warp, const Op* op, std::uint32_t lanes) = 0;
  // A conditional branch: lanes that took it and lanes that did not.
  virtual void branch(Warp& warp, const Op* op, std::uint32_t taken, std::uint32_t not_taken) = 0;

  // By resolve() and resolve_range(), after the checks of bounds and alignment. Addresses of shared
  // memory are offsets as in warp.h; those of generic accesses are already sorted into the space
  // that they hit.
  virtual void access(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lanes,
                      const std::uint64_t* addresses) = 0;
  virtual void access_range(Warp& warp, const Op* op, AccessSpace space, AccessKind kind,
                            std::uint64_t address, std::uint64_t bytes) = 0;

  // A cp.async (told by access() with kAsyncWrite when it was issued) has arrived.
  virtual void async_delivered(Warp& warp, std::uint64_t address, std::uint64_t bytes) = 0;

  // Order between threads. `object` names what the threads meet at (barrier_object and the like
  // below). What a thread did before its release happens before what others do after their acquire
  // of the same object. A barrier calls release for each warp that arrives, and acquire for all
  // that wait at the moment when it completes, before any of them runs on: a late acquire would
  // learn of the next phase too.
  virtual void release(Warp& warp, std::uint32_t lanes, std::uint64_t object) = 0;
  virtual void acquire(Warp& warp, std::uint32_t lanes, std::uint64_t object) = 0;
  // All lanes of one warp met (bar.warp.sync and every .sync exchange with memory order).
  virtual void warp_sync(Warp& warp, std::uint32_t lanes) = 0;
  // fence, membar: orders the accesses around it as in the C++ model.
  virtual void fence(Warp& warp, std::uint32_t lanes) = 0;
  // An atomic or strong access by which threads can synchronise. `acquires` / `releases`: by its
  // own semantics.
  virtual void synchronise(Warp& warp, const Op* op, std::uint64_t address, AccessSpace space,
                           bool reads, bool writes, bool acquires, bool releases) = 0;

  // Floating-point operations of a matrix product (2 m n k), for the counters.
  virtual void matrix_product(Warp& warp, const Op* op, std::uint64_t flops) = 0;
};

// Shared by all observers of one launch; collects what they found.
class Observation {
 public:
  virtual ~Observation() = default;
  virtual std::unique_ptr<Observer> make_observer() = 0;  // for one worker
  // After the last block; adds to result.reports and result.counters.
  virtual void finish(LaunchResult& result) = 0;
};

// nullptr where the options ask for no check or counter that needs to observe.
std::unique_ptr<Observation> observe(const Launch& launch, const MachineOptions& options,
                                     DeviceMemory& memory);
// Whether the checks asked for need all blocks on one worker thread.
bool needs_single_worker(const MachineOptions& options);

// Which bytes of device memory have been written, for the initialisation check. The runtime calls
// watch_initialisation before its first allocation where the check is on, and tells of fresh
// allocations, copies and memsets; without the first call the others do nothing.
void watch_initialisation();
void note_initialised(DeviceMemory& memory, std::uint64_t address, std::uint64_t bytes);
void note_uninitialised(DeviceMemory& memory, std::uint64_t address,
                        std::uint64_t bytes);  // fresh allocations

}  // namespace ptx_emulator
