#pragma once
// Lanes that go separate ways and meet again: what handlers of control flow and of `.sync`
// instructions use.

#include <cstdint>

#include "tests/ptx_emulator/machine/op.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {

// Makes the lanes of a `.sync` instruction (shfl, vote, match, redux, elect) meet the others of
// their masks, whichever way those come. Returns true where every lane of `lanes` finds all lanes
// of its mask (but those that have exited) in `lanes`: the handler then does its work for them all
// and returns op + 1. Returns false where some are missing: the handler must have changed nothing
// and must `return nullptr`; it is called again, with the lanes that have come.
//   lanes  lanes_of(warp, op)
//   masks  32 values; those of `lanes` are read. A lane that is not in its own mask is a fault
//          (kInvalidMask).
bool meet_lanes(Warp& warp, const Op* op, std::uint32_t lanes, const std::uint32_t* masks);
// The same where one mask holds for all lanes.
bool meet_lanes(Warp& warp, const Op* op, std::uint32_t lanes, std::uint32_t mask);

// For bar.warp.sync: lanes may wait for each other at different instructions. false: they wait, and
// go on behind `op`.
bool meet_at_warp_barrier(Warp& warp, const Op* op, std::uint32_t lanes,
                          const std::uint32_t* masks);

// The rest is for the control-flow handlers and the scheduler.

// Lanes that wait for each other before they go on together at `at`, in the function and the frame
// of the branch or call that made it.
struct Join {
  const Op* at = nullptr;
  std::uint32_t lanes = 0;    // all that will come
  std::uint32_t arrived = 0;  // those that wait
  Join* parent = nullptr;
  std::uint32_t depth = 0;  // call depth of the branch or call
  bool is_call = false;     // lanes come back to it by ret
  const Code* code = nullptr;
  std::byte* frame = nullptr;
  std::uint64_t local_offset = 0;
  std::byte* callee_frame = nullptr;  // of a call
};

// Where some of the running lanes go.
struct Way {
  std::uint32_t lanes = 0;
  const Op* at = nullptr;
};
// The running split divides into `ways`, which partition its lanes; they meet at `at` (a join op of
// this function; nullptr: nowhere). The first of them runs next. Returns what a handler returns.
const Op* diverge(Warp& warp, const Way* ways, std::uint32_t num_ways, const Op* at);

// The handler of join ops.
const Op* join_lanes(Warp& warp, const Op* op);
// Where the registers of a function that the running split calls now may begin: behind those of
// every split of the warp, as functions that diverged lanes execute at once lay out their frames
// differently.
std::byte* next_frame(const Warp& warp);
// The running split enters a function, whose registers are at `frame`: its lanes will come back to
// `at`, a join op, with the present frame.
void enter_call(Warp& warp, const Op* at, const Code& callee, std::byte* frame);
// The lanes of the running split return to where they were called from. At call depth 0 they end.
const Op* leave_call(Warp& warp);
// Lanes of the running split end.
const Op* exit_lanes(Warp& warp, std::uint32_t lanes);

// Chooses a split that can run and makes it the running one; nullptr where all wait (or none is
// left). Lanes that wait for each other and have all come are let go.
const Op* choose_split(Warp& warp);
// The running split has used up its turn, perhaps waiting for a lane that waits at a join: lets
// lanes go that would otherwise wait for it.
void break_joins(Warp& warp);

// A warp begins its kernel.
void start_warp(Warp& warp, const Code& kernel, std::uint32_t lanes);

}  // namespace ptx_emulator
