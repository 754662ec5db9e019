#pragma once
// The state of a warp, a block and a launch while kernels run. Nothing of a warp lives on the
// host's stack between two instructions: every warp can be left and taken up again at any
// instruction.

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/ptx_emulator/machine/op.h"

namespace ptx_emulator {

struct Block;
struct Cluster;
struct Grid;
struct Code;
struct WarpAsync;  // machine/async.h: copies and products that are under way
struct BlockAsync;

inline constexpr std::uint32_t kWarpLanes = 32;
inline constexpr std::uint32_t kAllLanes = 0xFFFFFFFFu;

// Generic addresses of the shared and local windows; everything else is global memory. A shared
// address of 32 bits is an offset below 2^24 in the own block's shared memory, or ((rank + 1) << 24
// | offset) in that of the block of this rank in the cluster (what mapa returns); its generic
// address adds kSharedWindow.
inline constexpr std::uint64_t kSharedWindow = 0x0000'7000'0000'0000u;
inline constexpr std::uint64_t kLocalWindow = 0x0000'7100'0000'0000u;
inline constexpr std::uint64_t kWindowBytes = 0x0000'0001'0000'0000u;
inline constexpr std::uint32_t kClusterRankShift = 24;
// The shared memory that the system keeps of each block, behind all that programs can have: of
// cooperative groups, whose tiles of several warps meet there. Zero when the block begins.
inline constexpr std::uint32_t kReservedSharedBytes = 1024;
inline constexpr std::uint32_t kReservedShared = (1u << kClusterRankShift) - kReservedSharedBytes;

// Why a handler left the run loop.
enum class Stop : std::uint8_t {
  kNone,
  // this split changed (diverged, met the others, called, exited): go on with any runnable split
  kSwitch,
  kBarrier,  // waits at a barrier until the block releases it
  kYield,    // may be taken up again at any time: a spin, a failed mbarrier wait, nanosleep
  kLanes,    // waits for the other lanes of its .sync mask
  kCluster,  // waits at the barrier of its cluster
};

// Lanes that wait for each other before they go on together at `at`.
struct Join;

// Lanes of one warp that execute together. A warp without divergence has one.
struct Split {
  const Op* next = nullptr;
  std::uint32_t lanes = 0;
  std::byte* frame = nullptr;  // base of its registers
  Join* join = nullptr;
  Stop waiting = Stop::kNone;
  std::uint32_t call_depth = 0;
  std::uint64_t waits_on = 0;      // of kBarrier: the barrier's id; of kLanes: 1 for bar.warp.sync
  const Code* code = nullptr;      // of the function that runs
  std::uint64_t local_offset = 0;  // of the call's local memory, in each lane's
};

struct Warp {
  Warp();
  ~Warp();
  Warp(Warp&&) noexcept;
  Warp& operator=(Warp&&) noexcept;

  // Read by every handler.
  std::byte* bases[2] = {nullptr, nullptr};  // indexed by Base
  std::uint32_t active = 0;                  // lanes of the split that runs
  std::uint32_t exited = 0;                  // lanes that have ended, or never existed
  Stop stop = Stop::kNone;
  Block* block = nullptr;
  std::uint32_t index = 0;    // in its block
  std::uint32_t current = 0;  // index of the running split
  std::vector<Split> splits;
  std::uint64_t executed = 0;  // instructions, counted per run of the loop
  std::byte* local = nullptr;  // local memory: lane i at local + i * Grid::local_bytes
  std::unique_ptr<WarpAsync> async;
  std::int32_t budget = 0;         // backward branches and calls until others get their turn
  std::uint64_t local_offset = 0;  // of the running split
  std::byte* registers = nullptr;  // the stack of frames
  bool polled =
      // an atomic, a strong load or a test of a barrier since the split began: it may be spinning
      false;
  std::uint32_t spins = 0;                   // turns in a row that ended so
  std::uint64_t cluster_token = 0;           // phase of the cluster's barrier at the last arrival
  std::uint32_t masks[kWarpLanes] = {};      // of the lanes that wait with kLanes
  std::vector<std::unique_ptr<Join>> joins;  // storage: those in use and those to be used again
  std::vector<Join*> free_joins;
  std::byte* returned_frame = nullptr;  // of the call whose lanes met last, until the next op

  // Leaves the run loop after the current op; the split goes on at `resume_at`. Returns nullptr, to
  // be returned by the handler.
  const Op* suspend(Stop why, const Op* resume_at) {
    stop = why;
    splits[current].next = resume_at;
    return nullptr;
  }
  // Thread index in the block of a lane.
  std::uint32_t thread(std::uint32_t lane) const { return index * kWarpLanes + lane; }
};

// Lanes for which `op` has an effect.
inline std::uint32_t lanes_of(const Warp& warp, const Op* op) {
  std::uint32_t lanes = warp.active;
  if (op->guard >= 0) {
    lanes &= *reinterpret_cast<const std::uint32_t*>(warp.bases[0] + op->guard) ^ op->guard_flip;
  }
  return lanes;
}

// The lanes of a register or a broadcast immediate, as 32 values of T (std::uint32_t, float,
// std::uint64_t, ...).
template <typename T>
const T* read(const Warp& warp, Place place) {
  return reinterpret_cast<const T*>(warp.bases[static_cast<std::uint32_t>(place.base)] +
                                    place.offset);
}
template <typename T>
T* write(const Warp& warp, Place place) {
  return reinterpret_cast<T*>(warp.bases[0] + place.offset);
}
inline std::uint32_t read_predicate(const Warp& warp, Place place) {
  return *read<std::uint32_t>(warp, place);
}
// Sets the bits of `lanes` to those of `value`; other lanes keep theirs.
inline void write_predicate(const Warp& warp, Place place, std::uint32_t lanes,
                            std::uint32_t value) {
  std::uint32_t* word = write<std::uint32_t>(warp, place);
  *word = (*word & ~lanes) | (value & lanes);
}

}  // namespace ptx_emulator
