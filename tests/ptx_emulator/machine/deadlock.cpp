#include "tests/ptx_emulator/machine/deadlock.h"

#include <algorithm>
#include <bit>

#include "tests/ptx_emulator/machine/simt.h"
#include "tests/ptx_emulator/machine/text.h"
#include "tests/ptx_emulator/machine/worker.h"

namespace ptx_emulator {
namespace {

std::uint32_t line_of(const Split& split, bool behind) {
  auto index = static_cast<std::size_t>(split.next - split.code->ops.data());
  if (behind && index > 0) --index;
  return split.code->op_lines[std::min(index, split.code->op_lines.size() - 1)];
}

std::string describe(const Split& split) {
  switch (split.waiting) {
    case Stop::kBarrier:
      return "lanes " + hexadecimal(split.lanes) + " at barrier " + std::to_string(split.waits_on) +
             " (PTX line " + std::to_string(line_of(split, true)) + ")";
    case Stop::kCluster:
      return "lanes " + hexadecimal(split.lanes) + " at the cluster's barrier (PTX line " +
             std::to_string(line_of(split, false)) + ")";
    default:
      return "lanes " + hexadecimal(split.lanes) + " for others of their mask (PTX line " +
             std::to_string(line_of(split, false)) + ")";
  }
}

// What the lanes of one warp wait for.
std::string describe(const Warp& warp) {
  std::string text;
  std::uint32_t known = warp.exited;
  for (const Split& split : warp.splits) {
    text += (text.empty() ? "" : ", ") + describe(split);
    known |= split.lanes;
  }
  if (warp.exited != 0) text += ", lanes " + hexadecimal(warp.exited) + " have ended";
  if (~known != 0) text += ", lanes " + hexadecimal(~known) + " wait to be joined by them";
  return text;
}

}  // namespace

Deadlock describe_deadlock(Cluster& cluster) {
  Deadlock found;
  bool at_barrier = false;
  for (Block* block : cluster.blocks) {
    std::uint32_t waiting = 0;
    for (Warp& warp : block->warps) {
      for (std::uint32_t i = 0; i < warp.splits.size(); ++i) {
        const Split& split = warp.splits[i];
        if (split.waiting == Stop::kBarrier)
          waiting += static_cast<std::uint32_t>(std::popcount(split.lanes));
        const bool is_barrier = split.waiting == Stop::kBarrier;
        const bool is_parted = is_barrier && split.lanes != ~warp.exited;
        // The most telling warp: one whose lanes do not all wait at the barrier.
        if (found.warp != nullptr && (!is_parted || found.kind == FaultKind::kDivergentBarrier))
          continue;
        found.warp = &warp;
        warp.current = i;
        at_barrier = is_barrier;
        found.kind = is_parted                       ? FaultKind::kDivergentBarrier
                     : split.waiting == Stop::kLanes ? FaultKind::kInvalidMask
                                                     : FaultKind::kBarrierDeadlock;
      }
    }
    if (found.warp != nullptr && found.warp->block == block && at_barrier) {
      found.message = std::to_string(waiting) + " of " + std::to_string(block->live_threads) +
                      " threads of the block wait at barriers and nobody can come; ";
    }
  }
  if (found.warp == nullptr) {
    found.message = "no warp can go on";
    return found;
  }
  found.message += "warp " + std::to_string(found.warp->index) + " waits: " + describe(*found.warp);
  return found;
}

void locate_fault(Fault& fault, const Warp& warp, const Op* op, std::uint32_t lane) {
  const Grid& grid = *warp.block->grid;
  const Code* code = grid.launch->kernel;
  fault.kernel = code->demangled;
  std::uint32_t lanes = warp.active;
  if (warp.current < warp.splits.size()) {
    const Split& split = warp.splits[warp.current];
    code = split.code;
    if (op == nullptr) {
      op = split.next;
      if (split.waiting == Stop::kBarrier && op != code->ops.data()) --op;
      lanes = split.lanes;
    }
  }
  if (lane >= kWarpLanes)
    lane = lanes == 0 ? 0 : static_cast<std::uint32_t>(std::countr_zero(lanes));
  const std::uint32_t thread = std::min(warp.thread(lane), grid.threads_per_block - 1);
  for (int axis = 0; axis < 3; ++axis) {
    fault.block[axis] = warp.block->index[axis];
    fault.thread[axis] = grid.thread_index[axis][thread];
  }
  if (op == nullptr || op < code->ops.data() || op >= code->ops.data() + code->ops.size()) return;
  if (op->instruction >= code->function->instructions.size()) return;
  const ptx::Instruction& instruction = code->function->instructions[op->instruction];
  fault.instruction = instruction.full_name();
  fault.ptx_line = instruction.location.line;
  fault.source = ptx::source_text(grid.launch->program->module(), instruction.location);
}

}  // namespace ptx_emulator
