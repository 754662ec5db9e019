#include "tests/ptx_emulator/machine/checks/launch_observation.h"

#include <algorithm>
#include <array>
#include <bit>

namespace ptx_emulator::checks {
namespace {

constexpr std::uint32_t kOffsetMask = (1U << kClusterRankShift) - 1;

}  // namespace

void LaunchObserver::block_begin(Block& block, std::uint64_t, std::uint32_t num_warps,
                                 std::uint32_t shared_bytes) {
  if (!checks_.shared_races && !checks_.uninitialised) return;
  ClusterState& cluster = state(block);
  const std::uint32_t num_blocks = block.grid->cluster_blocks;
  if (cluster.live_blocks++ == 0) {
    cluster.warps_per_block = num_warps;
    if (checks_.shared_races)
      cluster.races = std::make_unique<SharedRaces>(num_blocks, num_warps, shared_bytes);
    cluster.fresh.resize(num_blocks);
  }
  if (checks_.uninitialised)
    cluster.fresh[block.rank] = std::make_unique<UninitialisedShared>(shared_bytes);
}

void LaunchObserver::block_end(Block& block) {
  if (!checks_.shared_races && !checks_.uninitialised) return;
  if (--state(block).live_blocks == 0) {
    clusters_.erase(block.cluster);
    last_cluster_ = nullptr;
  }
}

void LaunchObserver::check_pending(Warp& warp, const Op* op, const AccessForm& form,
                                   std::uint32_t lane, ClusterState& cluster, std::uint32_t rank,
                                   std::uint32_t offset) {
  constexpr std::uint32_t kGranule = 4;  // the smallest cp.async
  const std::uint64_t base = std::uint64_t{rank} << 32;
  if (form.kind == AccessKind::kAsyncWrite) {
    for (std::uint32_t i = 0; i < form.bytes; i += kGranule)
      cluster.pending[base | (offset + i)] = op;
    return;
  }
  if (cluster.pending.empty() || form.kind == AccessKind::kAsyncRead) return;
  for (std::uint32_t i = offset / kGranule * kGranule; i < offset + form.bytes; i += kGranule) {
    const auto found = cluster.pending.find(base | i);
    if (found == cluster.pending.end()) continue;
    owner_.report(FaultKind::kAsyncNotReady, warp, op, lane, found->second,
                  std::string(form.kind == AccessKind::kRead ? "reads" : "writes") +
                      " shared byte " + std::to_string(std::max(i, offset)) + ", to which " +
                      owner_.index().describe(found->second) +
                      " still copies; no cp.async.wait_group by the thread that issued it");
    return;
  }
}

void LaunchObserver::async_delivered(Warp& warp, std::uint64_t address, std::uint64_t bytes) {
  if (!checks_.shared_races && !checks_.uninitialised) return;
  ClusterState& cluster = state(*warp.block);
  const std::uint64_t base =
      (std::uint64_t{rank_of(warp, address)} << 32) | (address & kOffsetMask);
  for (std::uint64_t i = 0; i < bytes; i += 4) cluster.pending.erase(base + i);
}

void LaunchObserver::check_shared(Warp& warp, const Op* op, const AccessForm& form,
                                  std::uint32_t lane, std::uint64_t address) {
  ClusterState& cluster = state(*warp.block);
  const std::uint32_t rank = rank_of(warp, address),
                      offset = static_cast<std::uint32_t>(address) & kOffsetMask;
  const bool writes = form.kind == AccessKind::kWrite || form.kind == AccessKind::kAsyncWrite;
  check_pending(warp, op, form, lane, cluster, rank, offset);
  if (checks_.uninitialised && rank < cluster.fresh.size() && cluster.fresh[rank]) {
    UninitialisedShared& fresh = *cluster.fresh[rank];
    if (!writes) {
      if (const auto byte = fresh.first_fresh(offset, form.bytes)) {
        owner_.report(FaultKind::kUninitialised, warp, op, lane, op,
                      "reads shared memory that nothing has written: byte " +
                          std::to_string(*byte) + " of " +
                          std::to_string(warp.block->shared_bytes));
      }
    }
    fresh.mark_written(offset, form.bytes);
  }
  if (!checks_.shared_races || !cluster.races) return;
  const auto earlier = cluster.races->access({.agent = agent(warp),
                                              .lane = lane,
                                              .op = op,
                                              .kind = form.kind,
                                              .strong = form.volatile_or_strong,
                                              .rank = rank,
                                              .offset = offset,
                                              .bytes = form.bytes});
  if (!earlier) return;
  std::string other =
      earlier->same_warp ? (earlier->lane == kManyLanes ? std::string("several lanes")
                                                        : "lane " + std::to_string(earlier->lane)) +
                               " of the same warp"
                         : "warp " + std::to_string(earlier->agent % cluster.warps_per_block);
  if (!earlier->same_warp && earlier->agent / cluster.warps_per_block != warp.block->rank) {
    other += " of the cluster's block " + std::to_string(earlier->agent / cluster.warps_per_block);
  }
  const char* cure = earlier->same_warp ? "; no __syncwarp() between" : "; no barrier between";
  owner_.report(FaultKind::kSharedRace, warp, op, lane, earlier->op,
                std::string(writes || form.kind == AccessKind::kAtomic ? "writes" : "reads") +
                    " shared byte " + std::to_string(offset) + ", which " + other +
                    (earlier->is_write ? " wrote by " : " read by ") +
                    owner_.index().describe(earlier->op) + cure);
}

void LaunchObserver::check_global(Warp& warp, const Op* op, const AccessForm& form,
                                  std::uint32_t lane, std::uint64_t address) {
  const bool writes = form.kind == AccessKind::kWrite || form.kind == AccessKind::kAsyncWrite;
  UninitialisedBytes* fresh = fresh_bytes();
  if (checks_.uninitialised && fresh != nullptr) {
    if (!writes) {
      if (const auto byte = fresh->first_fresh(address, form.bytes)) {
        const Allocation* allocation = warp.block->grid->memory->find(*byte);
        owner_.report(
            FaultKind::kUninitialised, warp, op, lane, op,
            "reads memory that nothing has written: byte " +
                std::to_string(allocation != nullptr ? *byte - allocation->begin : *byte) + " of " +
                (allocation != nullptr ? allocation->label : std::string("device memory")));
      }
    }
    if (form.kind != AccessKind::kRead && form.kind != AccessKind::kAsyncRead)
      fresh->mark_written(address, form.bytes);
  }
  if (!checks_.global_races) return;
  const auto earlier = owner_.global_races().access({.block = warp.block->linear,
                                                     .op = op,
                                                     .kind = form.kind,
                                                     .strong = form.volatile_or_strong,
                                                     .address = address,
                                                     .bytes = form.bytes});
  if (!earlier) return;
  const Allocation* allocation = warp.block->grid->memory->find(address);
  owner_.report(
      FaultKind::kGlobalRace, warp, op, lane, earlier->op,
      std::string(writes || form.kind == AccessKind::kAtomic ? "writes" : "reads") + " byte " +
          std::to_string(allocation != nullptr ? address - allocation->begin : address) + " of " +
          (allocation != nullptr ? allocation->label : std::string("device memory")) +
          ", which block " + std::to_string(earlier->block) + " of the same launch " +
          (earlier->is_write ? "wrote by " : "read by ") + owner_.index().describe(earlier->op) +
          "; no fence with an atomic between");
}

void LaunchObserver::check_within_block(Warp& warp, const Op* op, const AccessForm& form,
                                        std::uint32_t lanes, const std::uint64_t* addresses) {
  ClusterState& cluster = state(*warp.block);
  if (!cluster.races) return;
  SharedRaces::GlobalAccess run{.agent = agent(warp),
                                .op = op,
                                .kind = form.kind,
                                .strong = form.volatile_or_strong,
                                .address = 0,
                                .bytes = 0,
                                .granule = form.bytes};
  std::uint32_t first = 0;  // lane of the run
  const auto end_run = [&] {
    if (run.bytes == 0) return;
    // Local parameters and odd sizes are not aligned to their size.
    run.granule = granule_of(run.address, form.bytes);
    const auto earlier = cluster.races->access_global(run);
    run.bytes = 0;
    if (!earlier) return;
    std::uint32_t lane = first;
    while (lane + 1 < kWarpLanes &&
           ((lanes >> lane & 1) == 0 || earlier->address - addresses[lane] >= form.bytes)) {
      ++lane;
    }
    const Allocation* allocation = warp.block->grid->memory->find(earlier->address);
    const std::uint32_t rank = earlier->agent / cluster.warps_per_block;
    owner_.report(
        FaultKind::kGlobalRace, warp, op, lane, earlier->op,
        std::string(form.kind == AccessKind::kRead || form.kind == AccessKind::kAsyncRead
                        ? "reads"
                        : "writes") +
            " byte " +
            std::to_string(allocation != nullptr ? earlier->address - allocation->begin
                                                 : earlier->address) +
            " of " + (allocation != nullptr ? allocation->label : std::string("device memory")) +
            ", which warp " + std::to_string(earlier->agent % cluster.warps_per_block) +
            (rank == warp.block->rank ? std::string(" of the same block")
                                      : " of the cluster's block " + std::to_string(rank)) +
            (earlier->is_write ? " wrote by " : " read by ") +
            owner_.index().describe(earlier->op) + "; no barrier between");
  };
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    const std::uint64_t address = addresses[lane];
    if (run.bytes != 0 && address == run.address + run.bytes) {
      run.bytes += form.bytes;
      continue;
    }
    if (run.bytes != 0 && address - run.address < run.bytes &&
        address + form.bytes <= run.address + run.bytes) {
      continue;
    }
    end_run();
    run.address = address;
    run.bytes = form.bytes;
    first = lane;
  }
  end_run();
}

void LaunchObserver::access(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lanes,
                            const std::uint64_t* addresses) {
  if (owner_.options().counters) counts_.access(op, form, form.space, lanes, addresses);
  const bool shared = form.space == AccessSpace::kShared;
  const bool global = form.space == AccessSpace::kGlobal || form.space == AccessSpace::kGeneric;
  if (global && checks_.shared_races) check_within_block(warp, op, form, lanes, addresses);
  if (shared ? !(checks_.shared_races || checks_.uninitialised)
             : !(checks_.global_races || checks_.uninitialised) || !global) {
    return;
  }
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (shared) {
      check_shared(warp, op, form, lane, addresses[lane]);
    } else {
      check_global(warp, op, form, lane, addresses[lane]);
    }
  }
}

void LaunchObserver::access_range(Warp& warp, const Op* op, AccessSpace space, AccessKind kind,
                                  std::uint64_t address, std::uint64_t bytes) {
  if (owner_.options().counters) counts_.access_range(op, space, kind, address, bytes);
  const auto lane =
      static_cast<std::uint32_t>(std::countr_zero(warp.active == 0 ? 1U : warp.active));
  const AccessForm form{
      .space = space, .kind = kind, .bytes = static_cast<std::uint32_t>(bytes), .alignment = 1};
  if (space == AccessSpace::kGlobal || space == AccessSpace::kGeneric) {
    std::array<std::uint64_t, kWarpLanes> addresses{};
    addresses[lane] = address;
    if (checks_.shared_races && state(*warp.block).races) {
      // By the asynchronous proxy, whose order waits of its own give.
      if (kind == AccessKind::kAsyncWrite || kind == AccessKind::kAtomic) {
        state(*warp.block).races->forget_global(address, bytes);
      } else if (kind != AccessKind::kAsyncRead) {
        check_within_block(warp, op, form, 1U << lane, addresses.data());
      }
    }
    if (checks_.global_races || checks_.uninitialised) check_global(warp, op, form, lane, address);
    return;
  }
  if (space != AccessSpace::kShared || !(checks_.shared_races || checks_.uninitialised)) return;
  if (kind == AccessKind::kAsyncWrite) {
    // Ordered by the wait on its completion, which the late delivery tests.
    ClusterState& cluster = state(*warp.block);
    const std::uint32_t rank = rank_of(warp, address),
                        offset = static_cast<std::uint32_t>(address) & kOffsetMask;
    if (cluster.races) cluster.races->forget(rank, offset, form.bytes);
    if (rank < cluster.fresh.size() && cluster.fresh[rank])
      cluster.fresh[rank]->mark_written(offset, form.bytes);
    return;
  }
  if (kind == AccessKind::kAsyncRead)
    return;  // by the asynchronous proxy: ordered by fences and waits of its own
  check_shared(warp, op, form, lane, address);
}

void LaunchObserver::release(Warp& warp, std::uint32_t, std::uint64_t object) {
  if (checks_.shared_races) state(*warp.block).races->release(agent(warp), object);
}

void LaunchObserver::acquire(Warp& warp, std::uint32_t, std::uint64_t object) {
  if (checks_.shared_races) state(*warp.block).races->acquire(agent(warp), object);
}

void LaunchObserver::warp_sync(Warp& warp, std::uint32_t) {
  if (checks_.shared_races) state(*warp.block).races->warp_sync(agent(warp));
}

void LaunchObserver::fence(Warp& warp, std::uint32_t) {
  if (checks_.shared_races) state(*warp.block).races->fence(agent(warp));
  if (checks_.global_races) owner_.global_races().fence(warp.block->linear);
}

void LaunchObserver::synchronise(Warp& warp, const Op*, std::uint64_t address, AccessSpace space,
                                 bool reads, bool writes, bool acquires, bool releases) {
  // Threads of one block may meet through global memory too, so the shared check hears of both.
  if (checks_.shared_races) {
    const std::uint64_t key =
        space == AccessSpace::kShared
            ? mbarrier_object(rank_of(warp, address),
                              static_cast<std::uint32_t>(address) & kOffsetMask, 0)
            : address;
    state(*warp.block).races->synchronise(agent(warp), key, reads, writes, acquires, releases);
  }
  if (checks_.global_races && space != AccessSpace::kShared) {
    owner_.global_races().synchronise(warp.block->linear, address, reads, writes, acquires,
                                      releases);
  }
}

}  // namespace ptx_emulator::checks
