#pragma once
// Copies and matrix products that are under way. They are carried out as late as the memory model
// allows: when somebody waits for them. A kernel that forgets to wait reads what was there before,
// or (of cp.async and wgmma) a NaN.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/ptx_emulator/machine/op.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {

// One cp.async (not bulk) of a warp: for each of its lanes at most 16 bytes into shared memory.
struct LaneCopies {
  std::uint32_t lanes = 0;  // those not yet delivered
  std::uint32_t bytes = 0;  // of the destination, a lane
  std::byte* destination[kWarpLanes];
  const std::byte* source[kWarpLanes];    // unused where source_bytes is 0
  std::uint8_t source_bytes[kWarpLanes];  // the rest of the destination becomes zero
  std::uint32_t group[kWarpLanes];        // number of the lane's commit group
  std::uint64_t address[kWarpLanes];      // of the destination, for messages
};

// Data that a bulk or tensor copy moves: pieces of it, in order.
struct BulkPiece {
  std::byte* destination = nullptr;
  const std::byte* source = nullptr;  // nullptr: `fill` repeated
  std::uint64_t bytes = 0;
};

// How a bulk copy combines with what is there.
using BulkCombine = void (*)(std::byte* destination, const std::byte* source, std::uint64_t bytes);

struct BulkCopy {
  std::vector<BulkPiece> pieces;
  std::unique_ptr<std::byte[]> kept;  // sources that were read before their time to be written
  BulkCombine combine = nullptr;      // nullptr: overwrites
  std::uint32_t fill = 0;             // four bytes, repeated into pieces without source
  std::uint64_t transaction_bytes = 0;
  std::byte* barrier = nullptr;  // mbarrier told at the end; nullptr: a bulk group counts it
  std::uint32_t lane = 0;        // that issued it
  std::uint32_t group = 0;       // number of that lane's bulk group
};

// The accumulators of one or several wgmma of a warp, in order, that share their registers.
struct PendingProduct;

struct WarpAsync {
  WarpAsync();
  ~WarpAsync();

  std::vector<LaneCopies> copies;
  std::uint32_t committed[kWarpLanes] = {};  // cp.async groups closed so far, each lane

  std::vector<BulkCopy> bulk;  // those that complete by bulk groups
  std::uint32_t bulk_committed[kWarpLanes] = {};

  std::vector<std::unique_ptr<PendingProduct>> products;
  std::uint64_t products_committed = 0;  // wgmma groups closed so far
  std::uint64_t products_started = 0;    // wgmma issued so far
  bool ever_fenced = false;              // by wgmma.fence
  bool fenced = false;                   // since results last came
  // What the last wait gave: registers that still hold it need no fence.
  std::vector<std::unique_ptr<PendingProduct>> delivered;
};

struct BlockAsync {
  BlockAsync();
  ~BlockAsync();

  // Copies that complete on an mbarrier of this block, whoever issued them, in the order of issue.
  std::vector<BulkCopy> bulk;
  // Arrivals on mbarriers of this block that follow the copies of a lane
  // (cp.async.mbarrier.arrive).
  struct Arrival {
    std::byte* barrier;
    Warp* warp;
    std::uint32_t lane;
  };
  std::vector<Arrival> arrivals;
};

// The warp's record, made on first use.
inline WarpAsync& async_of(Warp& warp) {
  if (!warp.async) warp.async = std::make_unique<WarpAsync>();
  return *warp.async;
}

// Whether products of the warp are under way, and its instructions must be looked at before they
// run.
inline bool has_products(const Warp& warp) {
  return warp.async && !warp.async->products.empty();
}
// Throws DeviceFault where `op` reads an accumulator of a product that is under way.
void check_early_read(const Warp& warp, const Op* op);

// Called by the block scheduler when the last warp of a block (of a cluster: of all its blocks) has
// ended, and before its shared memory is given away: carries out what writes global memory, forgets
// the rest. Does nothing for warps without asynchronous work. Throws DeviceFault where a matrix
// product was never waited for.
void finish_async(Block& block);

}  // namespace ptx_emulator
