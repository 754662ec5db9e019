#pragma once
// Data races on global memory between blocks of one launch: two accesses to one byte, at least one
// a write, that no fence with an atomic (or a release and an acquire) orders. A block counts as one
// agent: what its own warps do to each other is seen by SharedRaces. All blocks of the launch must
// report from one thread at a time.

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "tests/ptx_emulator/machine/access.h"
#include "tests/ptx_emulator/machine/checks/cell_map.h"
#include "tests/ptx_emulator/machine/checks/vector_clock.h"
#include "tests/ptx_emulator/machine/op.h"

namespace ptx_emulator::checks {

class GlobalRaces {
 public:
  struct Access {
    std::uint64_t block;  // linear index
    const Op* op;
    AccessKind kind;
    bool strong;
    std::uint64_t address;
    std::uint32_t bytes;
  };
  struct Earlier {
    const Op* op = nullptr;
    std::uint64_t block = 0;
    bool is_write = false;
  };
  std::optional<Earlier> access(const Access& access);

  void release(std::uint64_t block, std::uint64_t object);
  void acquire(std::uint64_t block, std::uint64_t object);
  void fence(std::uint64_t block);
  void synchronise(std::uint64_t block, std::uint64_t address, bool reads, bool writes,
                   bool acquires, bool releases);

 private:
  static constexpr std::uint32_t kNobody = 0xFFFFFFFFu;

  struct Cell {
    const Op* write_op = nullptr;
    const Op* read_op = nullptr;
    std::uint32_t write_block = kNobody, write_step = 0;
    // The latest reader, and whether another block has read since the last write: its access is
    // kept as well.
    std::uint32_t read_block = kNobody, read_step = 0;
    std::uint32_t other_block = kNobody, other_step = 0;
    bool write_strong = false, write_atomic = false, read_strong = false;
  };
  struct Agent {
    std::uint32_t step = 1;
    SparseClock known, at_fence, seen_by_relaxed;
    bool fenced = false;
  };

  bool ordered(const Agent& agent, std::uint64_t self, std::uint32_t other,
               std::uint32_t step) const {
    return other == self || agent.known.covers(other, step);
  }
  SparseClock snapshot(std::uint64_t block, Agent& agent);
  std::optional<Earlier> check(const Access& access, const Agent& agent, const Cell& cell) const;
  void note(const Access& access, const Agent& agent, Cell& cell);

  CellMap<Cell> cells_;
  std::unordered_map<std::uint64_t, Agent> agents_;
  std::unordered_map<std::uint64_t, SparseClock> objects_, addresses_;
};

}  // namespace ptx_emulator::checks
