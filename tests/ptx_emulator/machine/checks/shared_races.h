#pragma once
// Data races on shared memory: two accesses to one byte, at least one a write, by two warps (or two
// lanes of a warp) that no barrier, fence or atomic orders. Vector clocks, so that what is reported
// does not depend on the schedule that happened to run. Cells are two bytes: neighbours of a single
// byte written by different warps may be missed, never falsely accused. Method: Flanagan and
// Freund, FastTrack, 2009; fences as in the C++ memory model.

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "tests/ptx_emulator/machine/access.h"
#include "tests/ptx_emulator/machine/checks/vector_clock.h"
#include "tests/ptx_emulator/machine/op.h"

namespace ptx_emulator::checks {

// The earlier access of a race.
struct EarlierAccess {
  const Op* op = nullptr;
  std::uint32_t agent = 0;  // warp, counted over the cluster's blocks
  std::uint32_t lane = 0;   // kManyLanes: several
  bool is_write = false;
  bool same_warp = false;
};
inline constexpr std::uint8_t kManyLanes = 0xFF;

// The shared memory of the blocks that can reach it: one block, or those of a cluster.
class SharedRaces {
 public:
  SharedRaces(std::uint32_t num_blocks, std::uint32_t warps_per_block, std::uint32_t shared_bytes);

  struct Access {
    std::uint32_t agent;
    std::uint32_t lane;
    const Op* op;
    AccessKind kind;
    bool strong;           // volatile, relaxed and the like: races with weak accesses only
    std::uint32_t rank;    // of the block whose memory it is
    std::uint32_t offset;  // bytes
    std::uint32_t bytes;
  };
  // Notes the access; the earlier one that it races with, if any.
  std::optional<EarlierAccess> access(const Access& access);
  // Written by the asynchronous proxy, whose order the wait on its completion gives: the range's
  // history ends.
  void forget(std::uint32_t rank, std::uint32_t offset, std::uint32_t bytes);

  void release(std::uint32_t agent, std::uint64_t object);
  void acquire(std::uint32_t agent, std::uint64_t object);
  void warp_sync(std::uint32_t agent);
  void fence(std::uint32_t agent);
  void synchronise(std::uint32_t agent, std::uint64_t address, bool reads, bool writes,
                   bool acquires, bool releases);

 private:
  struct Reader {
    std::uint32_t step;
    std::uint16_t agent;
    std::uint8_t lane;
    std::uint8_t mask;
    const Op* op;
  };
  struct Cell {
    const Op* write_op = nullptr;
    const Op* read_op = nullptr;
    std::uint32_t write_step = 0, read_step = 0;
    std::uint16_t write_agent = kNobody, read_agent = kNobody;
    std::uint8_t write_lane = 0, read_lane = 0;
    std::uint8_t write_mask = 0, read_mask = 0;  // which of the two bytes
    bool write_strong = false, write_atomic = false, read_strong = false;
  };
  struct Agent {
    VectorClock now;
    VectorClock at_fence;         // what a relaxed write after the last fence makes known
    VectorClock seen_by_relaxed;  // known from the next fence on
  };
  static constexpr std::uint16_t kNobody = 0xFFFF;
  static constexpr std::uint16_t kSeveral = 0xFFFE;

  bool ordered(const Agent& agent, const Access& access, std::uint16_t other, std::uint32_t step,
               std::uint32_t lane, const Op* op) const;
  std::optional<EarlierAccess> check_write(const Access& access, const Cell& cell,
                                           std::uint8_t mask) const;
  std::optional<EarlierAccess> check_readers(const Access& access, const Cell& cell,
                                             std::uint8_t mask, std::size_t index) const;
  void note_write(const Access& access, Cell& cell, std::uint8_t mask, std::size_t index);
  void note_read(const Access& access, Cell& cell, std::uint8_t mask, std::size_t index);

  std::uint32_t cells_per_block_;
  std::vector<Cell> cells_;
  std::vector<Agent> agents_;
  std::unordered_map<std::size_t, std::vector<Reader>> readers_;  // of cells with several
  std::unordered_map<std::uint64_t, VectorClock> objects_;        // barriers
  std::unordered_map<std::uint64_t, VectorClock> addresses_;      // atomics
};

}  // namespace ptx_emulator::checks
