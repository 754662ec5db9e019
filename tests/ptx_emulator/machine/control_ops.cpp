// Branches, calls and ends of functions.

#include <algorithm>
#include <bit>
#include <memory>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/builtins.h"
#include "tests/ptx_emulator/machine/control_families.h"
#include "tests/ptx_emulator/machine/function_decoder.h"
#include "tests/ptx_emulator/machine/simt.h"
#include "tests/ptx_emulator/machine/text.h"

namespace ptx_emulator {
namespace {

const Op* distant(const Op* op, std::int32_t distance) {
  return op + distance;
}
const Op* join_of(const Op* op) {
  return op->d.offset == 0 ? nullptr : op + op->d.offset;
}

// A jump backwards is where a warp gives others their turn.
const Op* jump(Warp& warp, const Op* op, const Op* target) {
  if (target <= op && --warp.budget < 0) return warp.suspend(Stop::kYield, target);
  return target;
}

const Op* branch(Warp& warp, const Op* op) {
  return jump(warp, op, distant(op, static_cast<std::int32_t>(op->small)));
}

const Op* branch_if(Warp& warp, const Op* op) {
  const std::uint32_t taken = lanes_of(warp, op);
  const Op* target = distant(op, static_cast<std::int32_t>(op->small));
  if (Observer* observer = warp.block->observer; observer != nullptr) {
    observer->branch(warp, op, taken, warp.active & ~taken);
  }
  if (taken == warp.active) return jump(warp, op, target);
  if (taken == 0) return op + 1;
  const Way ways[2] = {{warp.active & ~taken, op + 1}, {taken, target}};
  const Op* next = diverge(warp, ways, 2, join_of(op));
  // A loop that only some lanes leave must give others their turn too.
  return target <= op && --warp.budget < 0 ? warp.suspend(Stop::kYield, next) : next;
}

// The lanes whose guard does not hold go on; the others execute the op, now all of them.
const Op* divide_by_guard(Warp& warp, const Op* op, std::uint32_t lanes, const Op* at) {
  const Way ways[2] = {{lanes, op}, {warp.active & ~lanes, op + 1}};
  return diverge(warp, ways, 2, at);
}

struct IndexedBranch {
  std::unique_ptr<std::int32_t[]> distances;
  std::uint32_t count = 0;
  std::unique_ptr<std::int32_t> join;
};

const Op* branch_indexed(Warp& warp, const Op* op) {
  const auto& record = *static_cast<const IndexedBranch*>(op->extra);
  const Op* at = *record.join == 0 ? nullptr : op + *record.join;
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  if (lanes != warp.active) return divide_by_guard(warp, op, lanes, at);
  const std::uint32_t* index = read<std::uint32_t>(warp, op->a);
  Way ways[kWarpLanes];
  std::uint32_t num_ways = 0;
  for (std::uint32_t rest = lanes; rest != 0;) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (index[lane] >= record.count) {
      throw DeviceFault(FaultKind::kInvalidOperand,
                        "index " + std::to_string(index[lane]) + " of a branch with " +
                            std::to_string(record.count) + " targets",
                        lane);
    }
    std::uint32_t same = 0;
    for (std::uint32_t i = lane; i < kWarpLanes; ++i)
      same |= static_cast<std::uint32_t>(index[i] == index[lane]) << i;
    ways[num_ways++] = {same & rest, op + record.distances[index[lane]]};
    rest &= ~same;
  }
  if (num_ways == 1) return jump(warp, op, ways[0].at);
  const Op* next = diverge(warp, ways, num_ways, at);
  return --warp.budget < 0 ? warp.suspend(Stop::kYield, next) : next;
}

const Op* return_from(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  if (lanes != warp.active) {
    if (warp.splits[warp.current].call_depth != 0) return divide_by_guard(warp, op, lanes, nullptr);
    warp.splits[warp.current].next = op + 1;
    return exit_lanes(warp, lanes);
  }
  return leave_call(warp);
}

const Op* exit_thread(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  warp.splits[warp.current].next = op + 1;
  return exit_lanes(warp, lanes);
}

const Op* trap(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  throw DeviceFault(FaultKind::kTrap, "the kernel executed trap",
                    static_cast<std::uint32_t>(std::countr_zero(lanes)));
}

const Op* go_on(Warp& /*warp*/, const Op* op) {
  return op + 1;
}

const Op* sleep(Warp& warp, const Op* op) {
  if (lanes_of(warp, op) == 0) return op + 1;
  warp.polled = true;
  return warp.suspend(Stop::kYield, op + 1);
}

void decode_bra(Assembler& assembler) {
  auto& decoder = static_cast<FunctionDecoder&>(assembler);
  const bool conditional = !assembler.instruction().guard.empty();
  decoder.emit_branch(conditional ? branch_if : branch, assembler.operand(0).name);
}

void decode_brx(Assembler& assembler) {
  auto& decoder = static_cast<FunctionDecoder&>(assembler);
  if (!assembler.instruction().has("idx")) Assembler::unsupported("only brx.idx is known");
  const ptx::TargetList* list = targets_of(decoder.function(), assembler.instruction());
  if (list == nullptr) Assembler::unsupported("its list of targets is missing");
  const Place index = assembler.source(0, ptx::Type::kU32);
  IndexedBranch record;
  record.count = static_cast<std::uint32_t>(list->targets.size());
  record.distances = std::make_unique<std::int32_t[]>(list->targets.size());
  record.join = std::make_unique<std::int32_t>(0);
  const auto* kept = assembler.keep(std::move(record));
  const std::size_t at = decoder.num_ops();
  Op& op = assembler.emit(branch_indexed);
  op.a = index;
  op.extra = kept;
  for (std::size_t i = 0; i < list->targets.size(); ++i)
    decoder.later(at, list->targets[i], &kept->distances[i]);
  decoder.later_join(at, kept->join.get());
}

void decode_ret(Assembler& assembler) {
  assembler.emit(return_from);
}
void decode_exit(Assembler& assembler) {
  assembler.emit(exit_thread);
}
void decode_trap(Assembler& assembler) {
  assembler.emit(trap);
}
void decode_nothing(Assembler& assembler) {
  assembler.emit(go_on);
}
void decode_nanosleep(Assembler& assembler) {
  assembler.emit(sleep);
}

}  // namespace

std::span<const OpcodeEntry> control_opcodes() {
  static const OpcodeEntry kOpcodes[] = {
      {"bra", decode_bra, "bra{.uni}"},
      {"brx", decode_brx, "brx.idx{.uni}"},
      {"call", decode_call, "call{.uni} (direct, indirect, recursive)"},
      {"ret", decode_ret, "ret{.uni}"},
      {"exit", decode_exit, "exit"},
      {"trap", decode_trap, "trap"},
      {"brkpt", decode_nothing, "brkpt"},
      {"pmevent", decode_nothing, "pmevent{.mask}"},
      {"nanosleep", decode_nanosleep, "nanosleep.u32"},
      {"bar", decode_bar,
       "bar{.cta}.{sync,arrive}, bar{.cta}.red.{popc.u32,and.pred,or.pred}, bar.warp.sync"},
      {"barrier", decode_barrier,
       "barrier{.cta}.{sync,arrive}{.aligned}, "
       "barrier{.cta}.red.{popc.u32,and.pred,or.pred}{.aligned}, "
       "barrier.cluster.{arrive,wait}{.release,.relaxed,.acquire}{.aligned}"},
  };
  return kOpcodes;
}

}  // namespace ptx_emulator
