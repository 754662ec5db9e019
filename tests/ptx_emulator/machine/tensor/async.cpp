#include "tests/ptx_emulator/machine/async.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/tensor/delivery.h"
#include "tests/ptx_emulator/machine/tensor/pending_product.h"

namespace ptx_emulator {

WarpAsync::WarpAsync() = default;
WarpAsync::~WarpAsync() = default;
BlockAsync::BlockAsync() = default;
BlockAsync::~BlockAsync() = default;

void finish_async(Block& block) {
  for (Warp& warp : block.warps) {
    if (!warp.async) continue;
    const bool unfinished = !warp.async->products.empty();
    for (BulkCopy& copy : warp.async->bulk) tensor::carry_out(copy);
    warp.async.reset();
    if (unfinished) {
      throw DeviceFault(FaultKind::kAsyncNotReady,
                        "warp " + std::to_string(warp.index) +
                            " ended before it waited for its wgmma.mma_async "
                            "(wgmma.wait_group is missing)");
    }
  }
  block.async.reset();
}

void check_early_read(const Warp& warp, const Op* op) {
  const Code* code = warp.splits[warp.current].code;
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0 || op->instruction >= code->reads.size()) return;
  for (const std::int32_t offset : code->reads[op->instruction]) {
    for (const auto& pending : warp.async->products) {
      if (pending->frame != warp.bases[0]) continue;
      const std::vector<Place>& accumulators = pending->form->d;
      const auto found = std::find_if(accumulators.begin(), accumulators.end(),
                                      [&](Place place) { return place.offset == offset; });
      if (found == accumulators.end()) continue;
      throw DeviceFault(FaultKind::kAsyncNotReady,
                        "reads accumulator " + std::to_string(found - accumulators.begin()) +
                            " of a wgmma.mma_async before wgmma.wait_group",
                        static_cast<std::uint32_t>(std::countr_zero(lanes)));
    }
  }
}

namespace tensor {

void deliver_bulk(Warp& warp, std::uint32_t lanes, std::uint32_t kept, bool reads_only) {
  if (!warp.async || warp.async->bulk.empty()) return;
  WarpAsync& async = *warp.async;
  std::vector<BulkCopy> remaining;
  for (BulkCopy& copy : async.bulk) {
    const bool is_due = (lanes >> copy.lane & 1u) != 0 &&
                        copy.group + std::uint64_t{kept} < async.bulk_committed[copy.lane];
    if (!is_due) {
      remaining.push_back(std::move(copy));
    } else if (reads_only) {
      read_now(copy);
      remaining.push_back(std::move(copy));
    } else {
      carry_out(copy);
    }
  }
  async.bulk = std::move(remaining);
}

void read_now(BulkCopy& copy) {
  if (copy.kept) return;
  std::uint64_t total = 0;
  for (const BulkPiece& piece : copy.pieces) total += piece.source != nullptr ? piece.bytes : 0;
  copy.kept = std::make_unique<std::byte[]>(total);
  std::byte* next = copy.kept.get();
  for (BulkPiece& piece : copy.pieces) {
    if (piece.source == nullptr) continue;
    std::memcpy(next, piece.source, piece.bytes);
    piece.source = next;
    next += piece.bytes;
  }
}

void carry_out(BulkCopy& copy) {
  for (const BulkPiece& piece : copy.pieces) {
    if (piece.source == nullptr) {
      for (std::uint64_t i = 0; i < piece.bytes; ++i) {
        piece.destination[i] = static_cast<std::byte>(copy.fill >> 8 * (i % 4) & 0xFFu);
      }
    } else if (copy.combine != nullptr) {
      copy.combine(piece.destination, piece.source, piece.bytes);
    } else {
      std::memcpy(piece.destination, piece.source, piece.bytes);
    }
  }
  if (copy.barrier != nullptr) complete_transactions(copy.barrier, copy.transaction_bytes);
}

void deliver_on(Block& block, std::byte* barrier) {
  if (!block.async) return;
  BlockAsync& async = *block.async;
  // Taken out first: each is carried out once, whatever happens on the way.
  std::vector<BulkCopy> due;
  std::vector<BulkCopy> others;
  for (BulkCopy& copy : async.bulk) {
    (copy.barrier == barrier ? due : others).push_back(std::move(copy));
  }
  async.bulk = std::move(others);
  for (BulkCopy& copy : due) carry_out(copy);
  std::vector<BlockAsync::Arrival> arrivals;
  std::vector<BlockAsync::Arrival> later;
  for (const BlockAsync::Arrival& arrival : async.arrivals) {
    (arrival.barrier == barrier ? arrivals : later).push_back(arrival);
  }
  async.arrivals = std::move(later);
  for (const BlockAsync::Arrival& arrival : arrivals) {
    // Copies issued after the arrival may come along: early, but legal.
    deliver_copies(*arrival.warp, 1u << arrival.lane, 0, true);
    arrive_asynchronously(arrival.barrier);
  }
}

}  // namespace tensor
}  // namespace ptx_emulator
