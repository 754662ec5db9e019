#include "tests/ptx_emulator/machine/barrier.h"

#include <bit>
#include <string>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/fault.h"

namespace ptx_emulator {
namespace {

void open_barrier(Block& block, std::uint32_t id) {
  Barrier& barrier = block.barriers[id];
  barrier.last_count = barrier.count;
  barrier.last_all = barrier.all;
  barrier.last_any = barrier.any;
  barrier.expected = barrier.arrived = barrier.warps = barrier.count = 0;
  barrier.all = true;
  barrier.any = barrier.in_use = false;
  for (Warp& warp : block.warps) {
    for (Split& split : warp.splits) {
      if (split.waiting != Stop::kBarrier || split.waits_on != id) continue;
      split.waiting = Stop::kNone;
      if (block.observer != nullptr) block.observer->acquire(warp, split.lanes, id);
    }
  }
}

bool is_complete(const Block& block, const Barrier& barrier) {
  const std::uint32_t needed = barrier.expected == 0 ? block.live_threads : barrier.expected;
  return barrier.in_use && barrier.arrived >= needed;
}

void check_arrival(const Warp& warp, const BarrierArrival& arrival) {
  const Barrier& barrier = warp.block->barriers[arrival.id];
  if (barrier.in_use && barrier.expected != arrival.threads) {
    throw DeviceFault(FaultKind::kInvalidBarrier,
                      "barrier " + std::to_string(arrival.id) + " is in use for " +
                          std::to_string(barrier.expected) + " threads; this one names " +
                          std::to_string(arrival.threads));
  }
}

// Lanes of an aligned barrier may come in parts where divergent branches lead to the same
// instruction, but not to two.
void check_alignment(const Warp& warp, const Op* op, const BarrierArrival& arrival) {
  for (const Split& split : warp.splits) {
    if (split.waiting != Stop::kBarrier || split.next == op + 1) continue;
    throw DeviceFault(FaultKind::kDivergentBarrier,
                      "lanes of one warp wait at different barriers: barrier " +
                          std::to_string(split.waits_on) + " at PTX line " +
                          std::to_string(split.code->op_lines[static_cast<std::size_t>(
                              split.next - 1 - split.code->ops.data())]) +
                          ", and barrier " + std::to_string(arrival.id) + " here");
  }
}

constexpr std::uint64_t kClusterBarrier = std::uint64_t{1} << 62;

void open_cluster_barrier(Cluster& cluster) {
  std::uint32_t live = 0;
  for (const Block* block : cluster.blocks) live += block->live_threads;
  if (cluster.arrived == 0 || cluster.arrived < live) return;
  cluster.arrived = 0;
  ++cluster.phase;
  for (Block* block : cluster.blocks) {
    for (Warp& warp : block->warps) {
      for (Split& split : warp.splits) {
        if (split.waiting == Stop::kCluster) split.waiting = Stop::kNone;
      }
    }
  }
}

}  // namespace

const Op* arrive_at_barrier(Warp& warp, const Op* op, std::uint32_t lanes,
                            const BarrierArrival& arrival) {
  Block& block = *warp.block;
  if (arrival.id >= kNumBarriers) {
    throw DeviceFault(FaultKind::kInvalidBarrier,
                      "barrier " + std::to_string(arrival.id) + "; a block has 16, 0 to 15");
  }
  if (arrival.threads % kWarpLanes != 0 || arrival.threads > 1024 ||
      (!arrival.waits && arrival.threads == 0)) {
    throw DeviceFault(FaultKind::kInvalidBarrier,
                      "barrier for " + std::to_string(arrival.threads) +
                          " threads; the count is a multiple of 32 up to 1024");
  }
  const bool checks = block.grid->options->checks.synchronisation;
  if (checks) check_arrival(warp, arrival);
  if (checks && arrival.aligned && warp.splits.size() > 1) check_alignment(warp, op, arrival);
  Barrier& barrier = block.barriers[arrival.id];
  barrier.in_use = true;
  barrier.expected = arrival.threads;
  barrier.arrived += static_cast<std::uint32_t>(std::popcount(lanes));
  // A count of threads includes whole warps: lanes that never were or have ended count with the
  // first that come.
  if (arrival.threads != 0 && (barrier.warps >> warp.index & 1) == 0) {
    barrier.arrived += static_cast<std::uint32_t>(std::popcount(warp.exited));
  }
  barrier.warps |= 1u << warp.index;
  barrier.count += static_cast<std::uint32_t>(std::popcount(arrival.predicate & lanes));
  barrier.all = barrier.all && (arrival.predicate & lanes) == lanes;
  barrier.any = barrier.any || (arrival.predicate & lanes) != 0;
  if (block.observer != nullptr) block.observer->release(warp, lanes, arrival.id);
  if (barrier.expected != 0 && barrier.arrived > barrier.expected && checks) {
    throw DeviceFault(FaultKind::kInvalidBarrier,
                      std::to_string(barrier.arrived) + " threads arrived at barrier " +
                          std::to_string(arrival.id) + ", which is for " +
                          std::to_string(barrier.expected));
  }
  if (is_complete(block, barrier)) {
    open_barrier(block, arrival.id);
    if (block.observer != nullptr && arrival.waits)
      block.observer->acquire(warp, lanes, arrival.id);
    return op + 1;
  }
  if (!arrival.waits) return op + 1;
  warp.splits[warp.current].waits_on = arrival.id;
  return warp.suspend(Stop::kBarrier, op + 1);
}

void threads_exited(Block& block, std::uint32_t count, bool warp_ended) {
  block.live_threads -= count;
  if (warp_ended) --block.live_warps;
  for (std::uint32_t id = 0; id < kNumBarriers; ++id) {
    const Barrier& barrier = block.barriers[id];
    if (barrier.in_use && barrier.expected == 0 && is_complete(block, barrier))
      open_barrier(block, id);
  }
  open_cluster_barrier(*block.cluster);
}

void arrive_at_cluster(Warp& warp, std::uint32_t lanes) {
  Cluster& cluster = *warp.block->cluster;
  warp.cluster_token = cluster.phase;
  cluster.arrived += static_cast<std::uint32_t>(std::popcount(lanes));
  if (warp.block->observer != nullptr) warp.block->observer->release(warp, lanes, kClusterBarrier);
  open_cluster_barrier(cluster);
}

const Op* wait_for_cluster(Warp& warp, const Op* op) {
  if (warp.block->cluster->phase <= warp.cluster_token) return warp.suspend(Stop::kCluster, op);
  if (warp.block->observer != nullptr)
    warp.block->observer->acquire(warp, warp.active, kClusterBarrier);
  return op + 1;
}

}  // namespace ptx_emulator
