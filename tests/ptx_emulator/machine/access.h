#pragma once
// The one way by which instructions reach memory: bounds, alignment, races, first reads and
// counters are seen here.

#include <cstddef>
#include <cstdint>

#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {

enum class AccessSpace : std::uint8_t { kGeneric, kGlobal, kConstant, kShared, kLocal };
enum class AccessKind : std::uint8_t { kRead, kWrite, kAtomic, kAsyncRead, kAsyncWrite };

// What one instruction does to memory, fixed at decoding.
struct AccessForm {
  AccessSpace space = AccessSpace::kGeneric;
  AccessKind kind = AccessKind::kRead;
  std::uint32_t bytes = 4;      // a lane, all vector elements together
  std::uint32_t alignment = 4;  // required of the address
  bool cluster = false;         // .shared::cluster: addresses may name another block's memory
  bool volatile_or_strong =
      false;  // .volatile, .relaxed, .acquire, .release: ordered accesses, no data race
};

// Host addresses of what the lanes of `lanes` access: addresses[i] + [0, form.bytes), of lane i.
// Throws DeviceFault. Counts the access where counters are on, and tells the race and
// initialisation checks.
//   addresses  32 device addresses, 64 bits (for kShared: offsets as warp.h defines them), offset
//              already added
//   pointers   32 host addresses, written for the lanes of `lanes`
void resolve(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lanes,
             const std::uint64_t* addresses, std::byte** pointers);

// A whole range that no single lane owns (bulk copies, tensor copies, matrix operands in shared
// memory): host address of [address, address + bytes).
std::byte* resolve_range(Warp& warp, const Op* op, AccessSpace space, AccessKind kind,
                         std::uint64_t address, std::uint64_t bytes, std::uint32_t alignment);

}  // namespace ptx_emulator
