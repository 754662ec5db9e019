#pragma once
// Data races between the warps of a block or cluster, on shared memory (there between lanes of one
// warp too) and on global memory: two accesses to one byte, at least one a write, that no barrier,
// fence or atomic orders. Vector clocks, so that what is reported does not depend on the schedule
// that happened to run. Method: Flanagan and Freund, FastTrack, 2009; fences as in the C++ memory
// model.

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "tests/ptx_emulator/machine/access.h"
#include "tests/ptx_emulator/machine/checks/cell_map.h"
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
  std::uint64_t address = 0;  // the first byte that both touch: of global memory, or an offset
};
inline constexpr std::uint8_t kManyLanes = 0xFF;

// One block, or those of a cluster, which reach each other's shared memory.
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
  // The same for global memory, between warps only. `granule`: bytes of one lane, a power of two of
  // which address and bytes are multiples. Where a block touches very much memory between two of
  // its barriers, the oldest accesses are forgotten.
  struct GlobalAccess {
    std::uint32_t agent;
    const Op* op;
    AccessKind kind;
    bool strong;
    std::uint64_t address;
    std::uint64_t bytes;
    std::uint32_t granule;
  };
  std::optional<EarlierAccess> access_global(const GlobalAccess& access);
  void forget_global(std::uint64_t address, std::uint64_t bytes) { global_.forget(address, bytes); }
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
    const Op* op;
  };
  struct Cell {
    const Op* write_op = nullptr;
    const Op* read_op = nullptr;
    std::uint32_t write_step = 0, read_step = 0;
    std::uint16_t write_agent = kNobody, read_agent = kNobody;
    std::uint8_t write_lane = 0, read_lane = 0;
    bool write_strong = false, write_atomic = false, read_strong = false;
    std::unique_ptr<std::vector<Reader>> readers;  // where there are several

    Cell() = default;
    Cell(Cell&&) = default;
    Cell& operator=(Cell&&) = default;
    Cell(const Cell& other) { *this = other; }
    Cell& operator=(const Cell& other);
  };
  struct Agent {
    VectorClock now;
    VectorClock at_fence;         // what a relaxed write after the last fence makes known
    VectorClock seen_by_relaxed;  // known from the next fence on
  };
  static constexpr std::uint16_t kNobody = 0xFFFF;
  static constexpr std::uint16_t kSeveral = 0xFFFE;

  // One access as the cells see it.
  struct Part {
    std::uint32_t agent, lane;
    const Op* op;
    AccessKind kind;
    bool strong;
    bool judge_lanes;  // between lanes of one warp
  };
  bool ordered(const Agent& agent, const Part& part, std::uint16_t other, std::uint32_t step,
               std::uint32_t lane, const Op* op) const;
  std::optional<EarlierAccess> check_write(const Part& part, const Cell& cell) const;
  std::optional<EarlierAccess> check_readers(const Part& part, const Cell& cell) const;
  void note_write(const Part& part, Cell& cell);
  void note_read(const Part& part, Cell& cell);
  std::optional<EarlierAccess> touch(CellMap<Cell>& cells, const Part& part, std::uint64_t address,
                                     std::uint64_t bytes, std::uint32_t granule);

  std::uint32_t shared_bytes_;
  CellMap<Cell> shared_;  // by rank << 32 | offset
  CellMap<Cell> global_;
  std::vector<Agent> agents_;
  std::unordered_map<std::uint64_t, VectorClock> objects_;    // barriers
  std::unordered_map<std::uint64_t, VectorClock> addresses_;  // atomics
};

}  // namespace ptx_emulator::checks
