// bar and barrier.

#include <bit>

#include "tests/ptx_emulator/machine/barrier.h"
#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/control_families.h"
#include "tests/ptx_emulator/machine/function_decoder.h"
#include "tests/ptx_emulator/machine/simt.h"

namespace ptx_emulator {
namespace {

struct BarrierForm {
  BarrierArrival arrival;
  bool has_threads = false;
  bool reduces = false;
  Place id, threads, predicate;
  bool negated = false;
};

std::uint32_t uniform(const Warp& warp, Place place, std::uint32_t lanes, const char* what) {
  const std::uint32_t* values = read<std::uint32_t>(warp, place);
  const auto first = static_cast<std::uint32_t>(std::countr_zero(lanes));
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    if (values[std::countr_zero(rest)] != values[first]) {
      throw DeviceFault(FaultKind::kInvalidBarrier,
                        std::string("lanes of one warp name different ") + what);
    }
  }
  return values[first];
}

const Op* execute_barrier(Warp& warp, const Op* op) {
  const auto& form = *static_cast<const BarrierForm*>(op->extra);
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  if (lanes != warp.active) {
    const Way ways[2] = {{lanes, op}, {warp.active & ~lanes, op + 1}};
    return diverge(warp, ways, 2, nullptr);
  }
  BarrierArrival arrival = form.arrival;
  arrival.id = uniform(warp, form.id, lanes, "barriers");
  if (form.has_threads) arrival.threads = uniform(warp, form.threads, lanes, "counts of threads");
  if (form.reduces) arrival.predicate = read_predicate(warp, form.predicate);
  return arrive_at_barrier(warp, op, lanes, arrival);
}

enum class Reduction : std::uint32_t { kCount, kAll, kAny };

// What the barrier found, for the lanes that it let go.
const Op* execute_barrier_result(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  const std::uint32_t id = read<std::uint32_t>(warp, op->a)[std::countr_zero(lanes)];
  const Barrier& barrier = warp.block->barriers[id % kNumBarriers];
  const auto reduction = static_cast<Reduction>(op->small);
  if (reduction == Reduction::kCount) {
    std::uint32_t* result = write<std::uint32_t>(warp, op->d);
    for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1)
      result[std::countr_zero(rest)] = barrier.last_count;
  } else {
    const bool value = reduction == Reduction::kAll ? barrier.last_all : barrier.last_any;
    write_predicate(warp, op->d, lanes, value ? kAllLanes : 0);
  }
  return op + 1;
}

const Op* execute_warp_barrier(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  if (!meet_at_warp_barrier(warp, op, lanes, read<std::uint32_t>(warp, op->a))) return nullptr;
  if (warp.block->observer != nullptr) warp.block->observer->warp_sync(warp, lanes);
  return op + 1;
}

const Op* execute_cluster_arrive(Warp& warp, const Op* op) {
  arrive_at_cluster(warp, lanes_of(warp, op));
  return op + 1;
}

const Op* execute_cluster_wait(Warp& warp, const Op* op) {
  return lanes_of(warp, op) == 0 ? op + 1 : wait_for_cluster(warp, op);
}

void decode_reduction(Assembler& assembler, BarrierForm form) {
  const ptx::Instruction& instruction = assembler.instruction();
  // d, a{, b}, p
  const std::size_t count = assembler.num_operands();
  if (count < 3 || count > 4) Assembler::unsupported("a reduction has three or four operands");
  form.id = assembler.source(1, ptx::Type::kU32);
  form.has_threads = count == 4;
  if (form.has_threads) form.threads = assembler.source(2, ptx::Type::kU32);
  form.predicate = assembler.source(count - 1, ptx::Type::kPred);
  form.reduces = true;
  Reduction reduction = Reduction::kCount;
  if (instruction.has("and")) reduction = Reduction::kAll;
  if (instruction.has("or")) reduction = Reduction::kAny;
  if (reduction == Reduction::kCount && !instruction.has("popc"))
    Assembler::unsupported("an unknown reduction");
  const Place result =
      assembler.destination(0, reduction == Reduction::kCount ? ptx::Type::kU32 : ptx::Type::kPred);
  const Place id = form.id;
  const auto* kept = assembler.keep(form);
  assembler.emit(execute_barrier).extra = kept;
  Op& op = assembler.emit(execute_barrier_result);
  op.d = result;
  op.a = id;
  op.small = static_cast<std::uint32_t>(reduction);
}

void decode(Assembler& assembler, bool aligned) {
  const ptx::Instruction& instruction = assembler.instruction();
  BarrierForm form;
  form.arrival.aligned = aligned;
  if (instruction.has("red")) return decode_reduction(assembler, form);
  form.arrival.waits = !instruction.has("arrive");
  if (form.arrival.waits && !instruction.has("sync")) Assembler::unsupported("an unknown form");
  if (assembler.num_operands() == 0 || assembler.num_operands() > 2)
    Assembler::unsupported("one or two operands");
  form.id = assembler.source(0, ptx::Type::kU32);
  form.has_threads = assembler.num_operands() == 2;
  if (form.has_threads) form.threads = assembler.source(1, ptx::Type::kU32);
  const auto* kept = assembler.keep(form);
  assembler.emit(execute_barrier).extra = kept;
}

}  // namespace

void decode_bar(Assembler& assembler) {
  if (assembler.instruction().has("warp")) {
    const Place mask = assembler.source(0, ptx::Type::kU32);
    assembler.emit(execute_warp_barrier).a = mask;
    return;
  }
  decode(assembler, true);
}

void decode_barrier(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  if (!instruction.has("cluster")) return decode(assembler, instruction.has("aligned"));
  if (instruction.has("arrive")) {
    assembler.emit(execute_cluster_arrive);
  } else if (instruction.has("wait")) {
    assembler.emit(execute_cluster_wait);
  } else {
    Assembler::unsupported("an unknown form");
  }
}

}  // namespace ptx_emulator
