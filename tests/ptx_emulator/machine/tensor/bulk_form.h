#pragma once
// What linear and tensor bulk copies have in common.

#include <cstdint>
#include <optional>
#include <string_view>

#include "tests/ptx_emulator/machine/async.h"
#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/tensor/addresses.h"

namespace ptx_emulator::tensor {

enum class BulkRoute : std::uint8_t {
  kGlobalToShared,
  kSharedToShared,
  kSharedToGlobal,
  kPrefetch
};

// The words that every bulk copy may carry.
struct BulkWords {
  BulkRoute route = BulkRoute::kGlobalToShared;
  bool to_cluster = false;  // destination is .shared::cluster
  bool multicast = false;
  bool has_hint = false;
  std::string_view operation;  // of cp.reduce, "" for plain copies
  std::string_view type;       // of cp.reduce of linear copies
};
// Throws UnsupportedInstruction where a modifier is not known. The views point into the
// instruction.
BulkWords bulk_words(const ptx::Instruction& instruction);

// Rank in the cluster and offset of a shared address, of 32 bits or generic.
struct SharedPlace {
  std::uint32_t rank;
  std::uint32_t offset;
};
SharedPlace shared_place(const Warp& warp, std::uint64_t address);
// The 32-bit address of `offset` in the block of this rank.
inline std::uint64_t shared_address(std::uint32_t rank, std::uint32_t offset) {
  return (std::uint64_t{rank} + 1) << kClusterRankShift | offset;
}

// Queues the copy: on the mbarrier's block where it has one, else on the warp's open bulk group.
void queue_copy(Warp& warp, BulkCopy copy);

// Blocks of the cluster that receive a copy: those of the mask, or the one that `destination`
// names.
template <typename Each>
void for_each_target(Warp& warp, std::optional<std::uint32_t> mask, std::uint64_t destination,
                     Each each) {
  const SharedPlace place = shared_place(warp, destination);
  if (!mask) {
    each(place.rank);
    return;
  }
  for (std::uint32_t rank = 0; rank < 16; ++rank) {
    if ((*mask >> rank & 1u) != 0) each(rank);
  }
}

}  // namespace ptx_emulator::tensor
