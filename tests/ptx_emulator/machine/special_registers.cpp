// Special registers: %tid, %ctaid, %laneid and the like.

#include <chrono>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/function_decoder.h"
#include "tests/ptx_emulator/machine/occupancy.h"

namespace ptx_emulator {
namespace {

using Value = std::uint64_t (*)(const Warp& warp, std::uint32_t lane);

std::uint64_t nanoseconds() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}
// A cycle is a nanosecond: differences of clocks are plausible times, and loops that wait for a
// clock end.
std::uint64_t cycles() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

const Grid& grid(const Warp& warp) {
  return *warp.block->grid;
}
const Launch& launch(const Warp& warp) {
  return *warp.block->grid->launch;
}

template <std::uint32_t kAxis>
std::uint64_t component(const Dimensions& dimensions) {
  return kAxis == 0 ? dimensions.x : kAxis == 1 ? dimensions.y : dimensions.z;
}
template <std::uint32_t kAxis>
std::uint64_t thread_index(const Warp& warp, std::uint32_t lane) {
  return grid(warp).thread_index[kAxis][warp.thread(lane)];
}
template <std::uint32_t kAxis>
std::uint64_t block_size(const Warp& warp, std::uint32_t) {
  return component<kAxis>(launch(warp).block);
}
template <std::uint32_t kAxis>
std::uint64_t block_index(const Warp& warp, std::uint32_t) {
  return warp.block->index[kAxis];
}
template <std::uint32_t kAxis>
std::uint64_t grid_size(const Warp& warp, std::uint32_t) {
  return component<kAxis>(launch(warp).grid);
}
template <std::uint32_t kAxis>
std::uint64_t cluster_size(const Warp& warp, std::uint32_t) {
  return component<kAxis>(launch(warp).cluster);
}
template <std::uint32_t kAxis>
std::uint64_t index_in_cluster(const Warp& warp, std::uint32_t) {
  return warp.block->index[kAxis] % component<kAxis>(launch(warp).cluster);
}
template <std::uint32_t kAxis>
std::uint64_t cluster_index(const Warp& warp, std::uint32_t) {
  return warp.block->index[kAxis] / component<kAxis>(launch(warp).cluster);
}
template <std::uint32_t kAxis>
std::uint64_t number_of_clusters(const Warp& warp, std::uint32_t) {
  return component<kAxis>(launch(warp).grid) / component<kAxis>(launch(warp).cluster);
}

std::uint64_t zero(const Warp&, std::uint32_t) {
  return 0;
}
// The second half of the system's shared memory is what cooperative groups take.
template <std::uint32_t kOffset>
std::uint64_t reserved_shared(const Warp&, std::uint32_t) {
  return kReservedShared + kOffset;
}

struct Special {
  Value value;
  std::uint32_t bits;
  bool varies = false;  // between the lanes of a warp
};

const std::unordered_map<std::string_view, Special>& specials() {
  static const std::unordered_map<std::string_view, Special> all = {
      {"%tid.x", {thread_index<0>, 32, true}},
      {"%tid.y", {thread_index<1>, 32, true}},
      {"%tid.z", {thread_index<2>, 32, true}},
      {"%ntid.x", {block_size<0>, 32}},
      {"%ntid.y", {block_size<1>, 32}},
      {"%ntid.z", {block_size<2>, 32}},
      {"%ctaid.x", {block_index<0>, 32}},
      {"%ctaid.y", {block_index<1>, 32}},
      {"%ctaid.z", {block_index<2>, 32}},
      {"%nctaid.x", {grid_size<0>, 32}},
      {"%nctaid.y", {grid_size<1>, 32}},
      {"%nctaid.z", {grid_size<2>, 32}},
      {"%cluster_nctaid.x", {cluster_size<0>, 32}},
      {"%cluster_nctaid.y", {cluster_size<1>, 32}},
      {"%cluster_nctaid.z", {cluster_size<2>, 32}},
      {"%cluster_ctaid.x", {index_in_cluster<0>, 32}},
      {"%cluster_ctaid.y", {index_in_cluster<1>, 32}},
      {"%cluster_ctaid.z", {index_in_cluster<2>, 32}},
      {"%clusterid.x", {cluster_index<0>, 32}},
      {"%clusterid.y", {cluster_index<1>, 32}},
      {"%clusterid.z", {cluster_index<2>, 32}},
      {"%nclusterid.x", {number_of_clusters<0>, 32}},
      {"%nclusterid.y", {number_of_clusters<1>, 32}},
      {"%nclusterid.z", {number_of_clusters<2>, 32}},
      {"%cluster_ctarank",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t { return w.block->rank; }, 32}},
      {"%cluster_nctarank",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t { return grid(w).cluster_blocks; }, 32}},
      {"%is_explicit_cluster",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t {
          return grid(w).cluster_blocks > 1 ? 1 : 0;
        },
        1}},
      {"%laneid",
       {[](const Warp&, std::uint32_t lane) -> std::uint64_t { return lane; }, 32, true}},
      {"%warpid", {[](const Warp& w, std::uint32_t) -> std::uint64_t { return w.index; }, 32}},
      {"%nwarpid", {[](const Warp&, std::uint32_t) -> std::uint64_t { return 64; }, 32}},
      {"%lanemask_eq",
       {[](const Warp&, std::uint32_t lane) -> std::uint64_t { return 1u << lane; }, 32, true}},
      {"%lanemask_lt",
       {[](const Warp&, std::uint32_t lane) -> std::uint64_t { return (1u << lane) - 1; }, 32,
        true}},
      {"%lanemask_le",
       {[](const Warp&, std::uint32_t lane) -> std::uint64_t { return (2u << lane) - 1; }, 32,
        true}},
      {"%lanemask_gt",
       {[](const Warp&, std::uint32_t lane) -> std::uint64_t { return ~((2u << lane) - 1); }, 32,
        true}},
      {"%lanemask_ge",
       {[](const Warp&, std::uint32_t lane) -> std::uint64_t { return ~((1u << lane) - 1); }, 32,
        true}},
      {"%smid",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t { return w.block->worker; }, 32}},
      {"%nsmid",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t {
          return device_limits(grid(w).options->architecture).multiprocessors;
        },
        32}},
      {"%gridid",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t { return launch(w).number; }, 64}},
      {"%clock", {[](const Warp&, std::uint32_t) { return cycles(); }, 32}},
      {"%clock_hi", {[](const Warp&, std::uint32_t) { return cycles() >> 32; }, 32}},
      {"%clock64", {[](const Warp&, std::uint32_t) { return cycles(); }, 64}},
      {"%globaltimer", {[](const Warp&, std::uint32_t) { return nanoseconds(); }, 64}},
      {"%globaltimer_lo", {[](const Warp&, std::uint32_t) { return nanoseconds(); }, 32}},
      {"%globaltimer_hi", {[](const Warp&, std::uint32_t) { return nanoseconds() >> 32; }, 32}},
      {"%dynamic_smem_size",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t {
          return launch(w).dynamic_shared_bytes;
        },
        32}},
      {"%total_smem_size",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t { return grid(w).shared_bytes; }, 32}},
      {"%aggr_smem_size",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t { return grid(w).shared_bytes; }, 32}},
      {"%envreg1",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t { return grid(w).grid_workspace >> 32; },
        32}},
      {"%envreg2",
       {[](const Warp& w, std::uint32_t) -> std::uint64_t { return grid(w).grid_workspace; }, 32}},
      {"%current_graph_exec", {zero, 64}},
      {"%reserved_smem_offset_begin", {reserved_shared<0>, 32}},
      {"%reserved_smem_offset_end", {reserved_shared<kReservedSharedBytes>, 32}},
      {"%reserved_smem_offset_cap",
       {[](const Warp&, std::uint32_t) -> std::uint64_t { return kReservedSharedBytes; }, 32}},
      {"%reserved_smem_offset_0", {reserved_shared<0>, 32}},
      {"%reserved_smem_offset_1", {reserved_shared<kReservedSharedBytes / 2>, 32}},
      {"%tid.w", {zero, 32}},
      {"%ntid.w", {zero, 32}},
      {"%ctaid.w", {zero, 32}},
      {"%nctaid.w", {zero, 32}},
  };
  return all;
}

// Written for all lanes: the place is a scratch slot.
template <typename Lane>
const Op* read_special(Warp& warp, const Op* op) {
  const auto& special = *static_cast<const Special*>(op->extra);
  Lane* to = write<Lane>(warp, op->d);
  if (!special.varies) {
    const auto value = static_cast<Lane>(special.value(warp, 0));
    if (warp.active == kAllLanes) {
      for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) to[lane] = value;
      return op + 1;
    }
  }
  const Value value = special.value;
  for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
    if ((warp.active >> lane & 1) != 0) to[lane] = static_cast<Lane>(value(warp, lane));
  }
  return op + 1;
}

template <std::uint32_t kAxis>
const Op* read_thread_index(Warp& warp, const Op* op) {
  const std::uint32_t* from = grid(warp).thread_index[kAxis].data() + warp.index * kWarpLanes;
  std::uint32_t* to = write<std::uint32_t>(warp, op->d);
  if (warp.active == kAllLanes) {
    std::memcpy(to, from, 4 * kWarpLanes);
    return op + 1;
  }
  for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
    if ((warp.active >> lane & 1) != 0) to[lane] = from[lane];
  }
  return op + 1;
}

const Op* read_predicate_special(Warp& warp, const Op* op) {
  const std::uint64_t value = static_cast<const Special*>(op->extra)->value(warp, 0);
  write_predicate(warp, op->d, warp.active, value != 0 ? kAllLanes : 0);
  return op + 1;
}

}  // namespace

void emit_special_register(FunctionDecoder& decoder, const std::string& name, Place place,
                           ptx::Type type) {
  // %tid alone is the vector of its components; nvcc never writes it.
  const auto found = specials().find(name);
  if (found == specials().end()) Assembler::unsupported("the special register " + name);
  const std::uint32_t bits = ptx::bits_of(type);
  if ((found->second.bits == 1) != (bits == 1))
    Assembler::unsupported(name + " as " + std::string(ptx::name_of(type)));
  Handler handler = bits == 64 ? read_special<std::uint64_t> : read_special<std::uint32_t>;
  if (bits == 1) handler = read_predicate_special;
  if (bits == 32 && found->second.value == thread_index<0>) handler = read_thread_index<0>;
  if (bits == 32 && found->second.value == thread_index<1>) handler = read_thread_index<1>;
  if (bits == 32 && found->second.value == thread_index<2>) handler = read_thread_index<2>;
  if (bits < 32 && bits != 1)
    Assembler::unsupported(name + " as " + std::string(ptx::name_of(type)));
  Op& op = decoder.emit_unguarded(handler);
  op.d = place;
  op.extra = &found->second;
}

const Op* execute_unsupported(Warp& warp, const Op* op) {
  if (lanes_of(warp, op) == 0) return op + 1;
  throw DeviceFault(FaultKind::kUnknownInstruction,
                    "not supported: " + *static_cast<const std::string*>(op->extra));
}

const Op* execute_not(Warp& warp, const Op* op) {
  write_predicate(warp, op->d, warp.active, ~read_predicate(warp, op->a));
  return op + 1;
}

const Op* execute_local_address(Warp& warp, const Op* op) {
  const std::uint64_t address = warp.local_offset + *static_cast<const std::uint64_t*>(op->extra);
  std::uint64_t* to = write<std::uint64_t>(warp, op->d);
  for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
    if ((warp.active >> lane & 1) != 0) to[lane] = address;
  }
  return op + 1;
}

const Op* execute_local_address_32(Warp& warp, const Op* op) {
  const std::uint64_t address = warp.local_offset + *static_cast<const std::uint64_t*>(op->extra);
  std::uint32_t* to = write<std::uint32_t>(warp, op->d);
  for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
    if ((warp.active >> lane & 1) != 0) to[lane] = static_cast<std::uint32_t>(address);
  }
  return op + 1;
}

namespace {

template <typename Lane>
const Op* dynamic_shared(Warp& warp, const Op* op) {
  const std::uint32_t address = launch(warp).kernel->dynamic_shared_offset + op->small;
  Lane* to = write<Lane>(warp, op->d);
  for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
    if ((warp.active >> lane & 1) != 0) to[lane] = address;
  }
  return op + 1;
}

}  // namespace

const Op* execute_dynamic_shared(Warp& warp, const Op* op) {
  return dynamic_shared<std::uint32_t>(warp, op);
}
const Op* execute_dynamic_shared_64(Warp& warp, const Op* op) {
  return dynamic_shared<std::uint64_t>(warp, op);
}

}  // namespace ptx_emulator
