// Addresses between spaces, fences and hints.

#include <bit>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/function_decoder.h"
#include "tests/ptx_emulator/machine/lane_memory.h"
#include "tests/ptx_emulator/machine/memory_families.h"
#include "tests/ptx_emulator/machine/memory_record.h"

namespace ptx_emulator {
namespace {

template <typename To, typename From, typename F>
void map_lanes(Warp& warp, const Op* op, F f) {
  const From* from = read<From>(warp, op->a);
  To* to = write<To>(warp, op->d);
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == kAllLanes) {
    for (std::uint32_t i = 0; i < kWarpLanes; ++i) to[i] = static_cast<To>(f(from[i]));
    return;
  }
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    to[lane] = static_cast<To>(f(from[lane]));
  }
}

const Op* add_window(Warp& warp, const Op* op) {
  const std::uint64_t window = *static_cast<const std::uint64_t*>(op->extra);
  map_lanes<std::uint64_t, std::uint64_t>(warp, op, [&](std::uint64_t v) { return v + window; });
  return op + 1;
}

// Of a generic address that is not in the space the result has no meaning: it stays recognisably
// wrong.
const Op* subtract_window(Warp& warp, const Op* op) {
  const std::uint64_t window = *static_cast<const std::uint64_t*>(op->extra);
  map_lanes<std::uint64_t, std::uint64_t>(warp, op, [&](std::uint64_t v) { return v - window; });
  return op + 1;
}

const Op* copy_32(Warp& warp, const Op* op) {
  map_lanes<std::uint32_t, std::uint32_t>(warp, op, [](std::uint32_t v) { return v; });
  return op + 1;
}

enum class Space : std::uint32_t {
  kGlobal,
  kShared,
  kSharedCluster,
  kLocal,
  kParameter,
  kConstant
};

Space space_of(const ptx::Instruction& instruction) {
  if (instruction.has("global")) return Space::kGlobal;
  if (instruction.has("shared") || instruction.has("shared::cta")) return Space::kShared;
  if (instruction.has("shared::cluster")) return Space::kSharedCluster;
  if (instruction.has("local")) return Space::kLocal;
  if (instruction.has("param") || instruction.has("param::entry")) return Space::kParameter;
  if (instruction.has("const")) return Space::kConstant;
  Assembler::unsupported("without a space");
}

std::uint64_t window_of(Space space) {
  switch (space) {
    case Space::kShared:
    case Space::kSharedCluster:
      return kSharedWindow;
    case Space::kLocal:
      return kLocalWindow;
    case Space::kParameter:
      return kParameterWindow;
    default:
      return 0;
  }
}

void decode_cvta(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  const std::uint64_t window = window_of(space_of(instruction));
  if (instruction.has("u32")) {
    if (window != 0) Assembler::unsupported("generic addresses of 32 bits");
    const Place from = assembler.source(1, ptx::Type::kU32);
    const Place to = assembler.destination(0, ptx::Type::kU32);
    Op& op = assembler.emit(copy_32);
    op.a = from;
    op.d = to;
    return;
  }
  const Place from = assembler.source(1, ptx::Type::kU64);
  const Place to = assembler.destination(0, ptx::Type::kU64);
  const auto* kept = assembler.keep(window);
  Op& op = assembler.emit(window == 0             ? copy_addresses
                          : instruction.has("to") ? subtract_window
                                                  : add_window);
  op.a = from;
  op.d = to;
  op.extra = kept;
}

bool is_in(const Warp& warp, std::uint64_t address, Space space) {
  const bool shared = address - kSharedWindow < kWindowBytes;
  const std::uint64_t rank = (address - kSharedWindow) >> kClusterRankShift;
  switch (space) {
    case Space::kShared:
      return shared && (rank == 0 || rank == warp.block->rank + 1);
    case Space::kSharedCluster:
      return shared;
    case Space::kLocal:
      return address - kLocalWindow < kWindowBytes;
    case Space::kParameter:
      return address - kParameterWindow < kWindowBytes;
    case Space::kConstant: {
      const Allocation* allocation = warp.block->grid->memory->find(address);
      return allocation != nullptr && allocation->kind == MemoryKind::kConstant;
    }
    default: {
      if (shared || address - kLocalWindow < kWindowBytes ||
          address - kParameterWindow < kWindowBytes)
        return false;
      const Allocation* allocation = warp.block->grid->memory->find(address);
      return allocation == nullptr || allocation->kind != MemoryKind::kConstant;
    }
  }
}

const Op* test_space(Warp& warp, const Op* op) {
  const std::uint64_t* address = read<std::uint64_t>(warp, op->a);
  const std::uint32_t lanes = lanes_of(warp, op);
  std::uint32_t result = 0;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    result |= static_cast<std::uint32_t>(is_in(warp, address[lane], static_cast<Space>(op->small)))
              << lane;
  }
  write_predicate(warp, op->d, lanes, result);
  return op + 1;
}

void decode_isspacep(Assembler& assembler) {
  const Place address = assembler.source(1, ptx::Type::kU64);
  const Place result = assembler.destination(0, ptx::Type::kPred);
  Op& op = assembler.emit(test_space);
  op.a = address;
  op.d = result;
  op.small = static_cast<std::uint32_t>(space_of(assembler.instruction()));
}

// mapa: the own block's shared address to the same place in the block of a rank.
template <typename Address, bool kGenericAddress>
const Op* map_address(Warp& warp, const Op* op) {
  const Address* address = read<Address>(warp, op->a);
  const std::uint32_t* rank = read<std::uint32_t>(warp, op->b);
  Address* to = write<Address>(warp, op->d);
  const auto count = static_cast<std::uint32_t>(warp.block->cluster->blocks.size());
  for (std::uint32_t rest = lanes_of(warp, op); rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (rank[lane] >= count) {
      throw DeviceFault(FaultKind::kInvalidOperand,
                        "mapa to block " + std::to_string(rank[lane]) + " of a cluster of " +
                            std::to_string(count),
                        lane);
    }
    const std::uint64_t window = kGenericAddress ? kSharedWindow : 0;
    const std::uint64_t offset =
        (static_cast<std::uint64_t>(address[lane]) - window) & ((1u << kClusterRankShift) - 1);
    to[lane] = static_cast<Address>(window + (std::uint64_t{rank[lane] + 1} << kClusterRankShift) +
                                    offset);
  }
  return op + 1;
}

void decode_mapa(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  const bool wide = instruction.has("u64");
  const bool shared = instruction.has("shared::cluster");
  if (!wide && !shared) Assembler::unsupported("generic addresses of 32 bits");
  const ptx::Type type = wide ? ptx::Type::kU64 : ptx::Type::kU32;
  const Place from = assembler.source(1, type);
  const Place rank = assembler.source(2, ptx::Type::kU32);
  const Place to = assembler.destination(0, type);
  Op& op = assembler.emit(!wide    ? map_address<std::uint32_t, false>
                          : shared ? map_address<std::uint64_t, false>
                                   : map_address<std::uint64_t, true>);
  op.a = from;
  op.b = rank;
  op.d = to;
}

template <typename Address, bool kGenericAddress>
const Op* rank_of_address(Warp& warp, const Op* op) {
  const std::uint32_t own = warp.block->rank;
  const Address* address = read<Address>(warp, op->a);
  std::uint32_t* to = write<std::uint32_t>(warp, op->d);
  for (std::uint32_t rest = lanes_of(warp, op); rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const std::uint64_t offset =
        static_cast<std::uint64_t>(address[lane]) - (kGenericAddress ? kSharedWindow : 0);
    const std::uint64_t rank = offset >> kClusterRankShift;
    to[lane] = rank == 0 ? own : static_cast<std::uint32_t>(rank - 1);
  }
  return op + 1;
}

void decode_getctarank(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  const bool wide = instruction.has("u64");
  const bool shared = instruction.has("shared::cluster");
  if (!wide && !shared) Assembler::unsupported("generic addresses of 32 bits");
  const Place from = assembler.source(1, wide ? ptx::Type::kU64 : ptx::Type::kU32);
  const Place to = assembler.destination(0, ptx::Type::kU32);
  Op& op = assembler.emit(!wide    ? rank_of_address<std::uint32_t, false>
                          : shared ? rank_of_address<std::uint64_t, false>
                                   : rank_of_address<std::uint64_t, true>);
  op.a = from;
  op.d = to;
}

const Op* fence(Warp& warp, const Op* op) {
  // Workers share memory: what one wrote before is seen by the others after.
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (warp.block->observer != nullptr) warp.block->observer->fence(warp, lanes_of(warp, op));
  return op + 1;
}

const Op* nothing(Warp& /*warp*/, const Op* op) {
  return op + 1;
}

const Op* zero_policy(Warp& warp, const Op* op) {
  std::uint64_t* to = write<std::uint64_t>(warp, op->d);
  for (std::uint32_t rest = lanes_of(warp, op); rest != 0; rest &= rest - 1)
    to[std::countr_zero(rest)] = 0;
  return op + 1;
}

void decode_fence(Assembler& assembler) {
  assembler.emit(fence);
}
void decode_hint(Assembler& assembler) {
  assembler.emit(nothing);
}
void decode_createpolicy(Assembler& assembler) {
  const Place to = assembler.destination(0, ptx::Type::kB64);
  assembler.emit(zero_policy).d = to;
}

}  // namespace

std::span<const OpcodeEntry> memory_opcodes() {
  static const OpcodeEntry kOpcodes[] = {
      {"ld", decode_ld,
       "ld{.weak,.volatile,.relaxed,.acquire}{.scope}{.global,.shared,.local,.const,.param}{.cache}"
       "{.nc}"
       "{.v2,.v4,.v8}.{b,u,s,f}{8,16,32,64,128}"},
      {"ldu", decode_ld, "ldu.global{.v2,.v4}.type"},
      {"st", decode_st,
       "st{.weak,.volatile,.relaxed,.release}{.scope}{.global,.shared,.local,.param}{.cache}{.v2,."
       "v4,.v8}"
       ".{b,u,s,f}{8,16,32,64,128}\n"
       "st.async{.weak}.shared::cluster.mbarrier::complete_tx::bytes{.v2,.v4}.{b,u,s,f}{32,64}"},
      {"atom", decode_atom,
       "atom{.sem}{.scope}{.global,.shared}.{add,min,max,inc,dec,and,or,xor,exch,cas}{.noftz}{.v2,."
       "v4,.v8}"
       ".{b16,b32,b64,b128,u32,u64,s32,s64,f16,f16x2,bf16,bf16x2,f32,f64}"},
      {"red", decode_red,
       "red: as atom, without a result\n"
       "red.async{.relaxed.cluster}.shared::cluster.mbarrier::complete_tx::bytes."
       "{add,min,max,inc,dec,and,or,xor}.type"},
      {"cvta", decode_cvta, "cvta{.to}.{global,shared,local,const,param}.u64"},
      {"isspacep", decode_isspacep, "isspacep.{global,shared,local,const,param}"},
      {"mapa", decode_mapa, "mapa{.shared::cluster}.{u32,u64}"},
      {"getctarank", decode_getctarank, "getctarank{.shared::cluster}.{u32,u64}"},
      {"fence", decode_fence,
       "fence{.sc,.acq_rel,.acquire,.release,.proxy,.mbarrier_init}{.scope}"},
      {"membar", decode_fence, "membar{.cta,.gl,.sys,.proxy}"},
      {"prefetch", decode_hint, "prefetch (no effect)"},
      {"prefetchu", decode_hint, "prefetchu (no effect)"},
      {"discard", decode_hint, "discard (no effect)"},
      {"applypriority", decode_hint, "applypriority (no effect)"},
      {"createpolicy", decode_createpolicy, "createpolicy (a policy without effect)"},
  };
  return kOpcodes;
}

}  // namespace ptx_emulator
