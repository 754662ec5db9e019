#pragma once
// One host thread's share of a launch: several resident blocks, run in turns.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "tests/ptx_emulator/machine/block.h"

namespace ptx_emulator {

// Hands out the clusters of a grid (single blocks, where it has no clusters), in an order that the
// seed chooses.
class ClusterQueue {
 public:
  ClusterQueue(std::uint64_t count, std::uint64_t seed);
  // The next cluster's number; nullopt where all have been given out.
  std::optional<std::uint64_t> take();
  std::uint64_t count() const { return count_; }

 private:
  std::uint64_t count_;
  std::atomic<std::uint64_t> next_{0};
  std::vector<std::uint32_t>
      order_;  // empty: ascending, or by multiplication where there are very many
  std::uint64_t factor_ = 1, shift_ = 0;
};

// The fault that ends a launch: the first one wins.
class FaultBox {
 public:
  void put(Fault fault, Grid& grid);
  std::optional<Fault> take();

 private:
  std::mutex lock_;
  std::optional<Fault> fault_;
};

class Worker {
 public:
  struct Setup {
    Grid* grid = nullptr;
    ClusterQueue* queue = nullptr;
    FaultBox* faults = nullptr;
    Observer* observer = nullptr;
    std::uint32_t number = 0;
    std::uint32_t num_workers = 1;
    std::chrono::steady_clock::time_point start;
  };
  explicit Worker(const Setup& setup);
  ~Worker();
  // Until the grid has ended, as far as this worker goes, or a fault stops it.
  void run();
  std::uint64_t executed() const { return executed_; }

 private:
  struct Resident;
  enum class Turn : std::uint8_t { kRan, kYielded, kBlocked };

  void run_residents();
  std::unique_ptr<Resident> load(std::uint64_t number);
  void begin_block(Block& block, std::uint64_t linear);
  // True where all blocks of the cluster have ended.
  bool run_slice(Resident& resident, bool& spins);
  Turn run_warp(Warp& warp);
  void run_from(Warp& warp, const Op* op);
  // While matrix products of the warp are under way; what remains to be run after them.
  const Op* run_behind_products(Warp& warp, const Op* op);
  void finish(Resident& resident);
  void check_watchdog(Resident& resident);
  [[noreturn]] void report_deadlock(Resident& resident);
  void shuffle(std::vector<std::uint32_t>& order);
  std::uint64_t random();

  Setup setup_;
  Grid& grid_;
  std::vector<std::unique_ptr<Resident>> residents_, unused_;
  std::uint64_t executed_ = 0;
  std::uint64_t random_;
  Warp* running_ = nullptr;  // for faults
  const Op* running_op_ = nullptr;
};

// Fills in kernel, block, thread, instruction and source line. `op`: nullptr where the warp waits
// at no op.
void locate_fault(Fault& fault, const Warp& warp, const Op* op, std::uint32_t lane);

}  // namespace ptx_emulator
