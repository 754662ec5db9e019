#include "tests/ptx_emulator/machine/simt.h"

#include <algorithm>
#include <bit>

#include "tests/ptx_emulator/machine/barrier.h"
#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/text.h"

namespace ptx_emulator {

Warp::Warp() = default;
Warp::~Warp() = default;
Warp::Warp(Warp&&) noexcept = default;
Warp& Warp::operator=(Warp&&) noexcept = default;

namespace {

Join* new_join(Warp& warp) {
  if (warp.free_joins.empty()) {
    warp.joins.push_back(std::make_unique<Join>());
    return warp.joins.back().get();
  }
  Join* join = warp.free_joins.back();
  warp.free_joins.pop_back();
  *join = Join{};
  return join;
}

// Makes the split at this index the running one.
const Op* run_split(Warp& warp, std::uint32_t index) {
  warp.current = index;
  const Split& split = warp.splits[index];
  warp.bases[0] = split.frame;
  warp.bases[1] = split.code->constants_base();
  warp.local_offset = split.local_offset;
  warp.active = split.lanes;
  warp.stop = Stop::kNone;
  return split.next;
}

const Op* switch_split(Warp& warp) {
  warp.stop = Stop::kSwitch;
  return nullptr;
}

void remove_split(Warp& warp, std::uint32_t index) {
  warp.splits.erase(warp.splits.begin() + index);
  if (warp.current >= index && warp.current > 0) --warp.current;
}

Split split_at(const Join& join, std::uint32_t lanes, const Op* next) {
  Split split;
  split.next = next;
  split.lanes = lanes;
  split.frame = join.frame;
  split.join = join.parent;
  split.call_depth = join.depth;
  split.code = join.code;
  split.local_offset = join.local_offset;
  return split;
}

// Lanes will never come to the join. Those that wait go on where nobody else is left.
void leave_join(Warp& warp, Join* join, std::uint32_t lanes) {
  join->lanes &= ~lanes;
  join->arrived &= ~lanes;
  if (join->arrived != join->lanes) return;
  if (join->arrived != 0) {
    // At the join op itself: an outer join may meet there too.
    warp.splits.push_back(split_at(*join, join->arrived, join->at));
  }
  warp.free_joins.push_back(join);
}

}  // namespace

void start_warp(Warp& warp, const Code& kernel, std::uint32_t lanes) {
  warp.splits.clear();
  warp.joins.clear();
  warp.free_joins.clear();
  warp.async.reset();
  warp.exited = ~lanes;
  warp.executed = 0;
  warp.spins = 0;
  warp.polled = false;
  warp.cluster_token = 0;
  Split split;
  split.next = kernel.ops.data();
  split.lanes = lanes;
  split.frame = warp.registers;
  split.code = &kernel;
  warp.splits.push_back(split);
  warp.current = 0;
}

const Op* diverge(Warp& warp, const Way* ways, std::uint32_t num_ways, const Op* at) {
  Split origin = warp.splits[warp.current];
  if (at != nullptr && (origin.join == nullptr || origin.join->at != at ||
                        origin.join->depth != origin.call_depth || origin.join->is_call)) {
    Join* join = new_join(warp);
    join->at = at;
    join->lanes = origin.lanes;
    join->parent = origin.join;
    join->depth = origin.call_depth;
    join->code = origin.code;
    join->frame = origin.frame;
    join->local_offset = origin.local_offset;
    origin.join = join;
  }
  for (std::uint32_t i = 0; i < num_ways; ++i) {
    origin.lanes = ways[i].lanes;
    origin.next = ways[i].at;
    if (i == 0) {
      warp.splits[warp.current] = origin;
    } else {
      warp.splits.push_back(origin);
    }
  }
  warp.active = ways[0].lanes;
  return ways[0].at;
}

const Op* join_lanes(Warp& warp, const Op* op) {
  Split& split = warp.splits[warp.current];
  while (split.join != nullptr && split.join->at == op && split.join->depth == split.call_depth) {
    Join* join = split.join;
    join->arrived |= split.lanes;
    if (join->arrived != join->lanes) {
      remove_split(warp, warp.current);
      return switch_split(warp);
    }
    split.lanes = join->lanes;
    split.join = join->parent;
    warp.returned_frame = join->callee_frame;
    warp.active = split.lanes;
    warp.free_joins.push_back(join);
  }
  return op + 1;
}

std::byte* next_frame(const Warp& warp) {
  std::byte* end = nullptr;
  for (const Split& split : warp.splits) end = std::max(end, split.frame + split.code->frame_bytes);
  return end;
}

void enter_call(Warp& warp, const Op* at, const Code& callee, std::byte* frame) {
  Split& split = warp.splits[warp.current];
  Join* join = new_join(warp);
  join->at = at;
  join->lanes = split.lanes;
  join->parent = split.join;
  join->depth = split.call_depth;
  join->is_call = true;
  join->code = split.code;
  join->frame = split.frame;
  join->local_offset = split.local_offset;
  join->callee_frame = frame;
  split.join = join;
  split.frame = frame;
  split.local_offset += split.code->local_bytes;
  ++split.call_depth;
  split.code = &callee;
  warp.bases[0] = split.frame;
  warp.bases[1] = callee.constants_base();
  warp.local_offset = split.local_offset;
}

const Op* leave_call(Warp& warp) {
  if (warp.splits[warp.current].call_depth == 0) return exit_lanes(warp, warp.active);
  const std::uint32_t lanes = warp.active;
  // Inner joins of the function: these lanes will not come.
  while (!warp.splits[warp.current].join->is_call ||
         warp.splits[warp.current].join->depth + 1 != warp.splits[warp.current].call_depth) {
    Join* join = warp.splits[warp.current].join;
    warp.splits[warp.current].join = join->parent;
    leave_join(warp, join, lanes);
  }
  Split& split = warp.splits[warp.current];
  const Join& call = *split.join;
  split.frame = call.frame;
  split.code = call.code;
  split.local_offset = call.local_offset;
  split.call_depth = call.depth;
  warp.bases[0] = split.frame;
  warp.bases[1] = split.code->constants_base();
  warp.local_offset = split.local_offset;
  return call.at;
}

const Op* exit_lanes(Warp& warp, std::uint32_t lanes) {
  Join* join = warp.splits[warp.current].join;
  while (join != nullptr) {
    Join* parent = join->parent;
    leave_join(warp, join, lanes);
    join = parent;
  }
  warp.exited |= lanes;
  Split& split = warp.splits[warp.current];
  split.lanes &= ~lanes;
  if (split.lanes == 0) remove_split(warp, warp.current);
  // Joins that these lanes left may be gone: nobody else points at them then.
  threads_exited(*warp.block, static_cast<std::uint32_t>(std::popcount(lanes)),
                 warp.exited == kAllLanes);
  return switch_split(warp);
}

namespace {

bool all_here(const Warp& warp, std::uint32_t lanes, const std::uint32_t* masks,
              std::uint32_t present) {
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    if ((masks[std::countr_zero(rest)] & ~warp.exited & ~present) != 0) return false;
  }
  return true;
}

// Lets lanes go that wait with kLanes and have all come. Those of exchanges execute their
// instruction together as a split of their own; those of bar.warp.sync go on each at its place.
bool release_meetings(Warp& warp) {
  bool released = false;
  std::uint32_t at_barrier = 0;
  for (const Split& split : warp.splits) {
    if (split.waiting == Stop::kLanes && split.waits_on == 1) at_barrier |= split.lanes;
  }
  for (std::uint32_t i = 0; i < warp.splits.size(); ++i) {
    Split& split = warp.splits[i];
    if (split.waiting != Stop::kLanes) continue;
    if (split.waits_on == 1) {
      if (!all_here(warp, split.lanes, warp.masks, at_barrier)) continue;
      split.waiting = Stop::kNone;
      ++split.next;
      released = true;
      continue;
    }
    std::uint32_t present = 0;
    for (const Split& other : warp.splits) {
      if (other.waiting == Stop::kLanes && other.waits_on == 0 && other.next == split.next &&
          other.frame == split.frame) {
        present |= other.lanes;
      }
    }
    if (!all_here(warp, present, warp.masks, present)) continue;
    // One op for all of them, then each goes its own way: their joins may differ.
    const Op* op = split.next;
    run_split(warp, i);
    warp.active = present;
    const Op* after = op->execute(warp, op);
    ++warp.executed;
    for (Split& other : warp.splits) {
      if (other.waiting == Stop::kLanes && other.waits_on == 0 && other.next == op &&
          other.frame == split.frame) {
        other.waiting = Stop::kNone;
        other.next = after;
      }
    }
    released = true;
  }
  return released;
}

// Splits that would do the same become one.
void merge_splits(Warp& warp) {
  for (std::uint32_t i = 0; i + 1 < warp.splits.size(); ++i) {
    for (std::uint32_t j = i + 1; j < warp.splits.size();) {
      Split& a = warp.splits[i];
      const Split& b = warp.splits[j];
      if (a.waiting == Stop::kNone && b.waiting == Stop::kNone && a.next == b.next &&
          a.frame == b.frame && a.join == b.join && a.call_depth == b.call_depth &&
          a.local_offset == b.local_offset) {
        a.lanes |= b.lanes;
        remove_split(warp, j);
      } else {
        ++j;
      }
    }
  }
}

}  // namespace

const Op* choose_split(Warp& warp) {
  if (warp.splits.size() == 1 && warp.splits[0].waiting == Stop::kNone) return run_split(warp, 0);
  if (warp.splits.empty()) return nullptr;
  while (release_meetings(warp)) {
  }
  merge_splits(warp);
  const auto count = static_cast<std::uint32_t>(warp.splits.size());
  // After a yield others come first; otherwise a warp that has split further goes on with the same
  // lanes.
  const std::uint32_t first = warp.stop == Stop::kYield ? 1 : 0;
  for (std::uint32_t step = 0; step < count; ++step) {
    const std::uint32_t index = (warp.current + first + step) % count;
    if (warp.splits[index].waiting == Stop::kNone) return run_split(warp, index);
  }
  return nullptr;
}

void break_joins(Warp& warp) {
  for (Join* join = warp.splits[warp.current].join; join != nullptr && !join->is_call;
       join = join->parent) {
    if (join->arrived == 0) continue;
    warp.splits.push_back(split_at(*join, join->arrived, join->at + 1));
    join->lanes &= ~join->arrived;
    join->arrived = 0;
    return;
  }
}

namespace {

bool meet(Warp& warp, const Op* op, std::uint32_t lanes, const std::uint32_t* masks,
          std::uint64_t kind) {
  bool complete = true;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if ((masks[lane] >> lane & 1) == 0 && warp.block->grid->options->checks.synchronisation) {
      throw DeviceFault(
          FaultKind::kInvalidMask,
          "lane " + std::to_string(lane) + " is not in its own mask " + hexadecimal(masks[lane]),
          lane);
    }
    complete = complete && (masks[lane] & ~warp.exited & ~lanes) == 0;
  }
  if (complete) return true;
  // Lanes of whose mask others are missing wait here; the rest goes on.
  std::uint32_t waiting = 0;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    warp.masks[lane] = masks[lane];
    if ((masks[lane] & ~warp.exited & ~lanes) != 0) waiting |= 1u << lane;
  }
  Split& split = warp.splits[warp.current];
  const std::uint32_t going = split.lanes & ~waiting;
  if (going != 0) {
    Split other = split;
    other.lanes = going;
    other.next = op;
    split.lanes = waiting;
    split.next = op;
    split.waiting = Stop::kLanes;
    split.waits_on = kind;
    warp.splits.push_back(other);
    warp.stop = Stop::kSwitch;
    return false;
  }
  split.waits_on = kind;
  warp.suspend(Stop::kLanes, op);
  return false;
}

}  // namespace

bool meet_lanes(Warp& warp, const Op* op, std::uint32_t lanes, const std::uint32_t* masks) {
  return meet(warp, op, lanes, masks, 0);
}

bool meet_at_warp_barrier(Warp& warp, const Op* op, std::uint32_t lanes,
                          const std::uint32_t* masks) {
  return meet(warp, op, lanes, masks, 1);
}

bool meet_lanes(Warp& warp, const Op* op, std::uint32_t lanes, std::uint32_t mask) {
  const std::uint32_t here = mask & ~warp.exited;
  if ((here & ~lanes) == 0 && (lanes & ~mask) == 0) return true;
  std::uint32_t masks[kWarpLanes];
  std::fill_n(masks, kWarpLanes, mask);
  return meet_lanes(warp, op, lanes, masks);
}

}  // namespace ptx_emulator
