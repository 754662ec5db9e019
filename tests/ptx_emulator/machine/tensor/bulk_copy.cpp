// cp.async.bulk and cp.reduce.async.bulk of bytes that lie one after another, bulk groups,
// prefetches.
#include <string>

#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/tensor/bulk_form.h"
#include "tests/ptx_emulator/machine/tensor/combine.h"
#include "tests/ptx_emulator/machine/tensor/delivery.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"

namespace ptx_emulator::tensor {
namespace {

constexpr std::uint32_t kUnit = 16;  // bytes: of addresses and sizes

struct LinearForm {
  BulkRoute route = BulkRoute::kGlobalToShared;
  Pointer destination, source, barrier;
  Place bytes;
  std::optional<Place> mask;  // .multicast::cluster
  BulkCombine combine = nullptr;
};

void copy_lane(Warp& warp, const Op* op, const LinearForm& form, std::uint32_t lane) {
  const std::uint32_t bytes = read<std::uint32_t>(warp, form.bytes)[lane];
  if (bytes % kUnit != 0) {
    throw DeviceFault(
        FaultKind::kMisaligned,
        "a bulk copy of " + std::to_string(bytes) + " bytes: it must be a multiple of 16", lane);
  }
  BulkCopy copy;
  copy.lane = lane;
  copy.combine = form.combine;
  copy.transaction_bytes = bytes;
  const std::byte* source =
      bytes == 0 ? nullptr
                 : resolve_one(warp, op, form.source, AccessKind::kAsyncRead, lane, bytes, kUnit);
  if (form.route == BulkRoute::kPrefetch) return;
  if (form.route == BulkRoute::kSharedToGlobal) {
    if (bytes != 0) {
      std::byte* destination =
          resolve_one(warp, op, form.destination,
                      form.combine != nullptr ? AccessKind::kAtomic : AccessKind::kAsyncWrite, lane,
                      bytes, kUnit);
      copy.pieces.push_back({destination, source, bytes});
    }
    queue_copy(warp, std::move(copy));
    return;
  }
  const std::uint64_t destination = form.destination.at(warp, lane);
  const SharedPlace barrier = shared_place(warp, form.barrier.at(warp, lane));
  std::optional<std::uint32_t> mask;
  if (form.mask) mask = read<std::uint32_t>(warp, *form.mask)[lane] & 0xFFFFu;
  for_each_target(warp, mask, destination, [&](std::uint32_t rank) {
    BulkCopy one;
    one.lane = lane;
    one.combine = form.combine;
    one.transaction_bytes = bytes;
    const std::uint32_t barrier_rank = mask ? rank : barrier.rank;
    one.barrier = resolve_range(warp, op, AccessSpace::kShared, AccessKind::kAtomic,
                                shared_address(barrier_rank, barrier.offset), 8, 8);
    if (bytes != 0) {
      std::byte* to =
          resolve_range(warp, op, AccessSpace::kShared, AccessKind::kAsyncWrite,
                        shared_address(rank, shared_place(warp, destination).offset), bytes, kUnit);
      one.pieces.push_back({to, source, bytes});
    }
    queue_copy(warp, std::move(one));
  });
}

const Op* execute_linear(Warp& warp, const Op* op) {
  const auto& form = *static_cast<const LinearForm*>(op->extra);
  for (std::uint32_t rest = lanes_of(warp, op); rest != 0; rest &= rest - 1) {
    copy_lane(warp, op, form, static_cast<std::uint32_t>(__builtin_ctz(rest)));
  }
  return op + 1;
}

const Op* execute_commit(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  WarpAsync& async = async_of(warp);
  for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
    async.bulk_committed[lane] += lanes >> lane & 1u;
  }
  return op + 1;
}

template <bool kReadsOnly>
const Op* execute_wait(Warp& warp, const Op* op) {
  deliver_bulk(warp, lanes_of(warp, op), op->small, kReadsOnly);
  return op + 1;
}

}  // namespace

BulkWords bulk_words(const ptx::Instruction& instruction) {
  BulkWords words;
  std::string_view spaces[2];
  std::size_t num_spaces = 0;
  for (const std::string& word : instruction.modifiers) {
    if (word.starts_with("shared") || word == "global") {
      if (num_spaces < 2) spaces[num_spaces++] = word;
    } else if (word == "prefetch") {
      words.route = BulkRoute::kPrefetch;
    } else if (word == "multicast::cluster") {
      words.multicast = true;
    } else if (word == "L2::cache_hint") {
      words.has_hint = true;
    } else if (word == "add" || word == "min" || word == "max" || word == "inc" || word == "dec" ||
               word == "and" || word == "or" || word == "xor") {
      words.operation = word;
    } else if (ptx::type_named(word)) {
      words.type = word;
    } else if (word != "async" && word != "bulk" && word != "reduce" && word != "tensor" &&
               word != "tile" && word != "L2" && word != "bulk_group" && word != "noftz" &&
               word != "mbarrier::complete_tx::bytes" && !(word.size() == 2 && word[1] == 'd')) {
      Assembler::unsupported("modifier ." + word + " of a bulk copy");
    }
  }
  if (words.route == BulkRoute::kPrefetch) return words;
  if (num_spaces != 2) Assembler::unsupported("a bulk copy without two state spaces");
  words.to_cluster = spaces[0] == "shared::cluster";
  if (spaces[0] == "global") {
    words.route = BulkRoute::kSharedToGlobal;
  } else if (spaces[1] != "global") {
    words.route = BulkRoute::kSharedToShared;
  }
  return words;
}

SharedPlace shared_place(const Warp& warp, std::uint64_t address) {
  const auto word = static_cast<std::uint32_t>(address & (kWindowBytes - 1));
  const std::uint32_t rank = word >> kClusterRankShift;
  return {rank == 0 ? warp.block->rank : rank - 1, word & ((1u << kClusterRankShift) - 1)};
}

void queue_copy(Warp& warp, BulkCopy copy) {
  if (copy.barrier == nullptr) {
    WarpAsync& async = async_of(warp);
    copy.group = async.bulk_committed[copy.lane];
    async.bulk.push_back(std::move(copy));
    return;
  }
  for (Block* block : warp.block->cluster->blocks) {
    if (copy.barrier >= block->shared && copy.barrier < block->shared + block->shared_bytes) {
      // Whoever finds the barrier open sees what the copy wrote.
      if (Observer* observer = warp.block->observer) {
        observer->release(warp, 1u << copy.lane, reinterpret_cast<std::uint64_t>(copy.barrier));
      }
      async_of(*block).bulk.push_back(std::move(copy));
      return;
    }
  }
  throw DeviceFault(FaultKind::kInvalidBarrier, "the mbarrier of a bulk copy is not in the cluster",
                    copy.lane);
}

void decode_cp_bulk(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  if (instruction.has("commit_group")) {
    assembler.emit(execute_commit);
    return;
  }
  if (instruction.has("wait_group")) {
    const std::int64_t kept = assembler.integer(0);
    if (kept < 0 || kept > 0x7FFFFFFF) Assembler::unsupported("wait_group of this number");
    assembler.emit(instruction.has("read") ? execute_wait<true> : execute_wait<false>).small =
        static_cast<std::uint32_t>(kept);
    return;
  }
  const BulkWords words = bulk_words(instruction);
  LinearForm form;
  form.route = words.route;
  std::size_t next = 0;
  if (words.route == BulkRoute::kPrefetch) {
    form.source = pointer(assembler, assembler.operand(0), "global");
    form.bytes = assembler.source(1, ptx::Type::kB32);
    assembler.emit(execute_linear).extra = assembler.keep(form);
    return;
  }
  const bool to_global = words.route == BulkRoute::kSharedToGlobal;
  form.destination = pointer(assembler, assembler.operand(next++),
                             to_global          ? "global"
                             : words.to_cluster ? "shared::cluster"
                                                : "shared");
  form.source = pointer(assembler, assembler.operand(next++),
                        words.route == BulkRoute::kGlobalToShared ? "global" : "shared");
  form.bytes = assembler.source(next++, ptx::Type::kB32);
  if (!to_global) form.barrier = pointer(assembler, assembler.operand(next++), "shared::cluster");
  if (words.multicast) form.mask = assembler.source(next++, ptx::Type::kB16);
  if (assembler.num_operands() != next + (words.has_hint ? 1 : 0)) {
    Assembler::unsupported("a bulk copy with so many operands");
  }
  if (!words.operation.empty()) {
    form.combine = combine_for(words.operation, words.type);
    if (form.combine == nullptr) Assembler::unsupported("a bulk reduction of this type");
  }
  assembler.emit(execute_linear).extra = assembler.keep(form);
}

}  // namespace ptx_emulator::tensor
