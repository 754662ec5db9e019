#include "tests/ptx_emulator/machine/worker.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <numeric>
#include <string>

#include "tests/ptx_emulator/machine/deadlock.h"
#include "tests/ptx_emulator/machine/simt.h"

namespace ptx_emulator {
namespace {

// Backward branches of a warp in one turn.
constexpr std::int32_t kTurnBudget = 200;
// A warp that ends turns without success, waiting for memory to change, lets go of joins after this
// much: a turn by budget counts 256, one by its own wish 1.
constexpr std::uint32_t kSpinLimit = 4096;
constexpr std::uint64_t kMostShuffled = 1u << 22;
constexpr std::size_t kMostResidents = 2048;

std::uint64_t mixed(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

// Memory that costs nothing until it is touched.
class Pages {
 public:
  Pages() = default;
  ~Pages() { release(); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* get(std::uint64_t bytes) {
    if (bytes > bytes_) {
      release();
      void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory == MAP_FAILED) throw std::bad_alloc();
      memory_ = static_cast<std::byte*>(memory);
      bytes_ = bytes;
    }
    return memory_;
  }

 private:
  void release() {
    if (memory_ != nullptr) munmap(memory_, bytes_);
    memory_ = nullptr;
    bytes_ = 0;
  }
  std::byte* memory_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace

ClusterQueue::ClusterQueue(std::uint64_t count, std::uint64_t seed) : count_(count) {
  if (seed == 0) return;
  if (count > kMostShuffled) {
    factor_ = mixed(seed) % count | 1;
    while (std::gcd(factor_, count) != 1) factor_ += 2;
    factor_ %= count;
    shift_ = mixed(seed + 1) % count;
    return;
  }
  order_.resize(count);
  std::iota(order_.begin(), order_.end(), 0u);
  std::uint64_t state = seed;
  for (std::uint64_t i = count; i > 1; --i) {
    state = mixed(state);
    std::swap(order_[i - 1], order_[state % i]);
  }
}

std::optional<std::uint64_t> ClusterQueue::take() {
  const std::uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
  if (number >= count_) return std::nullopt;
  if (!order_.empty()) return order_[number];
  // Products of two numbers below 2^32 blocks: grids have fewer.
  return count_ > kMostShuffled && factor_ != 1 ? (number * factor_ + shift_) % count_ : number;
}

void FaultBox::put(Fault fault, Grid& grid) {
  const std::lock_guard<std::mutex> hold(lock_);
  if (!fault_) fault_ = std::move(fault);
  grid.stop.store(true);
}

std::optional<Fault> FaultBox::take() {
  const std::lock_guard<std::mutex> hold(lock_);
  return std::move(fault_);
}

struct Worker::Resident {
  Cluster cluster;
  std::vector<std::unique_ptr<Block>> blocks;
  std::vector<std::unique_ptr<Pages>>
      pages;                         // of each block: shared memory, registers, local memory
  std::vector<std::uint32_t> order;  // of warps, all blocks: block * warps + warp
};

Worker::Worker(const Setup& setup)
    : setup_(setup),
      grid_(*setup.grid),
      random_(mixed(setup.grid->options->seed * 64 + setup.number + 1)) {}

Worker::~Worker() = default;

std::uint64_t Worker::random() {
  return random_ = mixed(random_);
}

void Worker::shuffle(std::vector<std::uint32_t>& order) {
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
}

void Worker::begin_block(Block& block, std::uint64_t linear) {
  const Launch& launch = *grid_.launch;
  block.grid = &grid_;
  block.observer = setup_.observer;
  block.linear = linear;
  block.worker = setup_.number;
  block.shared_bytes = grid_.shared_bytes;
  block.live_warps = grid_.warps_per_block;
  block.live_threads = grid_.threads_per_block;
  block.barriers.fill(Barrier{});
  block.async.reset();
  if (grid_.shared_bytes != 0) std::memset(block.shared, 0xFF, grid_.shared_bytes);
  std::memset(block.reserved_shared, 0, kReservedSharedBytes);
  for (std::uint32_t w = 0; w < grid_.warps_per_block; ++w) {
    Warp& warp = block.warps[w];
    const std::uint32_t threads = std::min(kWarpLanes, grid_.threads_per_block - w * kWarpLanes);
    warp.block = &block;
    warp.index = w;
    start_warp(warp, *launch.kernel, threads == kWarpLanes ? kAllLanes : (1u << threads) - 1);
  }
  if (block.observer != nullptr) {
    block.observer->block_begin(block, linear, grid_.warps_per_block, grid_.shared_bytes);
  }
}

std::unique_ptr<Worker::Resident> Worker::load(std::uint64_t number) {
  std::unique_ptr<Resident> resident;
  if (!unused_.empty()) {
    resident = std::move(unused_.back());
    unused_.pop_back();
  } else {
    resident = std::make_unique<Resident>();
    const std::uint64_t page = 4096;
    const std::uint64_t own = (grid_.shared_bytes + 63) / 64 * 64;
    const std::uint64_t shared = (own + kReservedSharedBytes + page) / page * page;
    const std::uint64_t local = (grid_.local_bytes * kWarpLanes + page) / page * page;
    const std::uint64_t warps = grid_.warps_per_block;
    for (std::uint32_t i = 0; i < grid_.cluster_blocks; ++i) {
      auto& block = *resident->blocks.emplace_back(std::make_unique<Block>());
      std::byte* memory = resident->pages.emplace_back(std::make_unique<Pages>())
                              ->get(shared + warps * (grid_.register_bytes + local));
      block.shared = memory;
      block.reserved_shared = memory + own;
      block.cluster = &resident->cluster;
      block.rank = i;
      block.warps.resize(warps);
      for (std::uint64_t w = 0; w < warps; ++w) {
        block.warps[w].registers = memory + shared + w * grid_.register_bytes;
        block.warps[w].local = memory + shared + warps * grid_.register_bytes + w * local;
        resident->order.push_back(static_cast<std::uint32_t>(i * warps + w));
      }
      resident->cluster.blocks.push_back(&block);
    }
  }
  resident->cluster.arrived = 0;
  resident->cluster.phase = 1;
  const Dimensions& c = grid_.launch->cluster;
  const Dimensions& g = grid_.launch->grid;
  const std::uint64_t across = g.x / c.x, down = g.y / c.y;
  const std::uint64_t origin[3] = {number % across * c.x, number / across % down * c.y,
                                   number / across / down * c.z};
  for (std::uint32_t i = 0; i < grid_.cluster_blocks; ++i) {
    Block& block = *resident->blocks[i];
    block.index[0] = static_cast<std::uint32_t>(origin[0] + i % c.x);
    block.index[1] = static_cast<std::uint32_t>(origin[1] + i / c.x % c.y);
    block.index[2] = static_cast<std::uint32_t>(origin[2] + i / c.x / c.y);
    begin_block(block, block.index[0] + std::uint64_t{g.x} *
                                            (block.index[1] + std::uint64_t{g.y} * block.index[2]));
  }
  return resident;
}

const Op* Worker::run_behind_products(Warp& warp, const Op* op) {
  Observer* const observer = setup_.observer;
  while (op != nullptr && has_products(warp)) {
    running_op_ = op;
    check_early_read(warp, op);
    if (observer != nullptr && op->execute != join_lanes)
      observer->execute(warp, op, lanes_of(warp, op));
    op = op->execute(warp, op);
    ++warp.executed;
  }
  return op;
}

void Worker::run_from(Warp& warp, const Op* op) {
  std::uint64_t count = 0;
  if (has_products(warp)) op = run_behind_products(warp, op);
  if (Observer* observer = setup_.observer; observer != nullptr) {
    while (op != nullptr) {
      running_op_ = op;
      if (op->execute != join_lanes) observer->execute(warp, op, lanes_of(warp, op));
      op = op->execute(warp, op);
      ++count;
    }
  } else {
    try {
      while (op != nullptr) {
        running_op_ = op;
        op = op->execute(warp, op);
        ++count;
      }
    } catch (...) {
      warp.executed += count;
      throw;
    }
  }
  warp.executed += count;
}

Worker::Turn Worker::run_warp(Warp& warp) {
  running_ = &warp;
  running_op_ = nullptr;
  const std::uint64_t before = warp.executed;
  warp.budget = grid_.options->seed == 0
                    ? kTurnBudget
                    : static_cast<std::int32_t>(20 + random() % (2 * kTurnBudget));
  Turn turn = Turn::kBlocked;
  while (const Op* op = choose_split(warp)) {
    turn = Turn::kRan;
    run_from(warp, op);
    if (warp.stop == Stop::kYield) {
      warp.spins = warp.polled ? warp.spins + (warp.budget < 0 ? 256 : 1) : 0;
      if (warp.spins >= kSpinLimit) {
        break_joins(warp);
        warp.spins = 0;
      }
      turn = Turn::kYielded;
      break;
    }
    if (warp.stop != Stop::kSwitch && warp.stop != Stop::kNone)
      warp.splits[warp.current].waiting = warp.stop;
  }
  executed_ += warp.executed - before;
  return turn;
}

bool Worker::run_slice(Resident& resident, bool& spins) {
  const std::uint32_t warps = grid_.warps_per_block;
  spins = false;
  while (true) {
    if (grid_.options->seed != 0) shuffle(resident.order);
    bool ran = false, yielded = false;
    for (const std::uint32_t index : resident.order) {
      Warp& warp = resident.blocks[index / warps]->warps[index % warps];
      if (warp.splits.empty()) continue;
      const Turn turn = run_warp(warp);
      ran = ran || turn != Turn::kBlocked;
      yielded = yielded || turn == Turn::kYielded;
      spins = spins || (turn == Turn::kYielded && warp.polled);
      warp.polled = false;
    }
    bool alive = false;
    for (const auto& block : resident.blocks) alive = alive || block->live_warps != 0;
    if (!alive) return true;
    if (!ran) report_deadlock(resident);
    if (yielded || grid_.stop.load(std::memory_order_relaxed)) return false;
  }
}

void Worker::finish(Resident& resident) {
  for (const auto& block : resident.blocks) {
    running_ = &block->warps[0];
    running_op_ = nullptr;
    finish_async(*block);
    if (block->observer != nullptr) block->observer->block_end(*block);
  }
}

void Worker::check_watchdog(Resident& resident) {
  const MachineOptions& options = *grid_.options;
  const bool late =
      options.watchdog_seconds > 0 &&
      std::chrono::duration<double>(std::chrono::steady_clock::now() - setup_.start).count() >
          options.watchdog_seconds;
  if (!late && options.watchdog_instructions == 0) return;
  for (const auto& block : resident.blocks) {
    for (Warp& warp : block->warps) {
      if (warp.splits.empty()) continue;
      if (!late && warp.executed <= options.watchdog_instructions) continue;
      running_ = &warp;
      running_op_ = nullptr;
      if (warp.current >= warp.splits.size()) warp.current = 0;
      throw DeviceFault(
          FaultKind::kEndlessLoop,
          late ? "the launch has run for over " + std::to_string(options.watchdog_seconds) + " s"
               : "a warp has executed over " + std::to_string(options.watchdog_instructions) +
                     " instructions");
    }
  }
}

void Worker::report_deadlock(Resident& resident) {
  Deadlock found = describe_deadlock(resident.cluster);
  running_ = found.warp;
  running_op_ = nullptr;
  throw DeviceFault(found.kind, std::move(found.message));
}

void Worker::run_residents() {
  const bool cooperative = grid_.launch->cooperative;
  std::size_t target = 1;
  if (cooperative) {
    for (std::uint64_t i = setup_.number; i < setup_.queue->count(); i += setup_.num_workers) {
      residents_.push_back(load(i));
    }
  } else if (grid_.options->seed != 0) {
    target = 1 + random() % 4;
  }
  std::uint32_t spinning_rounds = 0;
  bool more = !cooperative;
  while (!grid_.stop.load(std::memory_order_relaxed)) {
    while (more && residents_.size() < target) {
      const std::optional<std::uint64_t> number = setup_.queue->take();
      more = number.has_value();
      if (more) residents_.push_back(load(*number));
    }
    if (residents_.empty()) return;
    bool ended = false, all_spin = true;
    for (std::size_t i = 0; i < residents_.size();) {
      bool spins = false;
      if (run_slice(*residents_[i], spins)) {
        finish(*residents_[i]);
        grid_.progress.fetch_add(1, std::memory_order_relaxed);
        unused_.push_back(std::move(residents_[i]));
        residents_.erase(residents_.begin() + static_cast<std::ptrdiff_t>(i));
        ended = true;
        continue;
      }
      if (grid_.stop.load(std::memory_order_relaxed)) return;
      check_watchdog(*residents_[i]);
      all_spin = all_spin && spins;
      ++i;
    }
    // Blocks that all wait for memory to change may wait for one that has not begun.
    spinning_rounds = ended || !all_spin ? 0 : spinning_rounds + 1;
    if (spinning_rounds >= 4 && target < kMostResidents) {
      target *= 2;
      spinning_rounds = 0;
    }
  }
}

void Worker::run() {
  try {
    run_residents();
  } catch (DeviceFault& fault) {
    if (running_ != nullptr) locate_fault(fault.fault, *running_, running_op_, fault.lane);
    setup_.faults->put(std::move(fault.fault), grid_);
  }
}

}  // namespace ptx_emulator
