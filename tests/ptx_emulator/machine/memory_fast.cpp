// Loads and stores of whole warps. Compiled for AVX2: nothing of the standard library is
// instantiated here.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/lane_addresses.h"
#include "tests/ptx_emulator/machine/memory_record.h"

namespace ptx_emulator {
namespace {

template <typename T>
T peek(const std::byte* at) {
  T value;
  __builtin_memcpy(&value, at, sizeof value);
  return value;
}
template <typename T>
void poke(std::byte* at, T value) {
  __builtin_memcpy(at, &value, sizeof value);
}

// Memory of 32 lanes side by side, kCount elements each, to one register for each element.
template <typename Stored, typename Lane, u32 kCount>
[[gnu::always_inline]] inline void spread(Warp& warp, const MemoryRecord& record,
                                          const std::byte* from) {
  if constexpr (kCount == 1) {
    Lane* to = write<Lane>(warp, record.values[0]);
    for (u32 i = 0; i < kWarpLanes; ++i)
      to[i] = static_cast<Lane>(peek<Stored>(from + i * sizeof(Stored)));
  } else if constexpr (kCount == 4 && sizeof(Stored) == 4) {
    float* to[4];
    for (u32 e = 0; e < 4; ++e) to[e] = write<float>(warp, record.values[e]);
    for (u32 i = 0; i < kWarpLanes; i += 4) {
      const auto* row = reinterpret_cast<const float*>(from + i * 16);
      __m128 a = _mm_loadu_ps(row), b = _mm_loadu_ps(row + 4), c = _mm_loadu_ps(row + 8),
             d = _mm_loadu_ps(row + 12);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      _mm_store_ps(to[0] + i, a);
      _mm_store_ps(to[1] + i, b);
      _mm_store_ps(to[2] + i, c);
      _mm_store_ps(to[3] + i, d);
    }
  } else {
    for (u32 e = 0; e < kCount; ++e) {
      Lane* to = write<Lane>(warp, record.values[e]);
      for (u32 i = 0; i < kWarpLanes; ++i) {
        to[i] = static_cast<Lane>(peek<Stored>(from + (i * kCount + e) * sizeof(Stored)));
      }
    }
  }
}

template <typename Stored, typename Lane, u32 kCount>
[[gnu::always_inline]] inline void collect(const Warp& warp, const MemoryRecord& record,
                                           std::byte* to) {
  if constexpr (kCount == 4 && sizeof(Stored) == 4) {
    const float* from[4];
    for (u32 e = 0; e < 4; ++e) from[e] = read<float>(warp, record.values[e]);
    for (u32 i = 0; i < kWarpLanes; i += 4) {
      __m128 a = _mm_load_ps(from[0] + i), b = _mm_load_ps(from[1] + i),
             c = _mm_load_ps(from[2] + i), d = _mm_load_ps(from[3] + i);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      auto* row = reinterpret_cast<float*>(to + i * 16);
      _mm_storeu_ps(row, a);
      _mm_storeu_ps(row + 4, b);
      _mm_storeu_ps(row + 8, c);
      _mm_storeu_ps(row + 12, d);
    }
  } else {
    for (u32 e = 0; e < kCount; ++e) {
      const Lane* from = read<Lane>(warp, record.values[e]);
      for (u32 i = 0; i < kWarpLanes; ++i) {
        poke(to + (i * kCount + e) * sizeof(Stored), static_cast<Stored>(from[i]));
      }
    }
  }
}

// Lanes anywhere in one allocation.
template <typename Memory, typename Stored, typename Lane, u32 kCount>
const Op* load_scattered(Warp& warp, const Op* op, u32 lanes) {
  using Address = typename Memory::Address;
  const auto& record = *static_cast<const MemoryRecord*>(op->extra);
  const Address* base = read<Address>(warp, op->a);
  u64 displacement = 0;
  if (!Memory::displacement(warp, base, static_cast<Address>(record.offset),
                            sizeof(Stored) * kCount, false, lanes, displacement))
    return load_general(warp, op);
  if (kCount == 1 && lanes == kAllLanes) {
    Lane* to = write<Lane>(warp, record.values[0]);
    for (u32 i = 0; i < kWarpLanes; ++i)
      to[i] = static_cast<Lane>(
          peek<Stored>(reinterpret_cast<const std::byte*>(base[i] + displacement)));
    return op + 1;
  }
  // Elements may land in the register of the addresses: all lanes' addresses are taken before.
  const std::byte* from[kWarpLanes];
  for (u32 i = 0; i < kWarpLanes; ++i)
    from[i] = reinterpret_cast<const std::byte*>(base[i] + displacement);
  for (u32 e = 0; e < kCount; ++e) {
    Lane* to = write<Lane>(warp, record.values[e]);
    if (lanes == kAllLanes) {
      for (u32 i = 0; i < kWarpLanes; ++i)
        to[i] = static_cast<Lane>(peek<Stored>(from[i] + e * sizeof(Stored)));
      continue;
    }
    for (u32 rest = lanes; rest != 0; rest &= rest - 1) {
      const int i = __builtin_ctz(rest);
      to[i] = static_cast<Lane>(peek<Stored>(from[i] + e * sizeof(Stored)));
    }
  }
  return op + 1;
}

template <typename Memory, typename Stored, typename Lane, u32 kCount>
const Op* load(Warp& warp, const Op* op) {
  using Address = typename Memory::Address;
  const auto& record = *static_cast<const MemoryRecord*>(op->extra);
  constexpr u32 kBytes = sizeof(Stored) * kCount;
  const u32 lanes = lanes_of(warp, op);
  if (warp.block->observer != nullptr) return load_general(warp, op);
  if (lanes != kAllLanes)
    return lanes == 0 ? op + 1 : load_scattered<Memory, Stored, Lane, kCount>(warp, op, lanes);
  const Address* base = read<Address>(warp, op->a);
  const auto offset = static_cast<Address>(record.offset);
  const auto first = static_cast<Address>(base[0] + offset);
  if ((first & (kBytes - 1)) == 0) {
    if (Memory::side_by_side(base, kBytes)) {
      const std::byte* from = Memory::range(warp, first, u64{kBytes} * kWarpLanes, false);
      if (from != nullptr) {
        spread<Stored, Lane, kCount>(warp, record, from);
        return op + 1;
      }
    } else if (Memory::all_equal(base)) {
      const std::byte* from = Memory::range(warp, first, kBytes, false);
      if (from != nullptr) {
        for (u32 e = 0; e < kCount; ++e) {
          const auto value = static_cast<Lane>(peek<Stored>(from + e * sizeof(Stored)));
          Lane* to = write<Lane>(warp, record.values[e]);
          for (u32 i = 0; i < kWarpLanes; ++i) to[i] = value;
        }
        return op + 1;
      }
    }
  }
  return load_scattered<Memory, Stored, Lane, kCount>(warp, op, lanes);
}

template <typename Memory, typename Stored, typename Lane, u32 kCount>
const Op* store(Warp& warp, const Op* op) {
  using Address = typename Memory::Address;
  const auto& record = *static_cast<const MemoryRecord*>(op->extra);
  constexpr u32 kBytes = sizeof(Stored) * kCount;
  const u32 lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  if (warp.block->observer != nullptr) return store_general(warp, op);
  const Address* base = read<Address>(warp, op->a);
  const auto offset = static_cast<Address>(record.offset);
  const auto first = static_cast<Address>(base[0] + offset);
  if (lanes == kAllLanes && (first & (kBytes - 1)) == 0 && Memory::side_by_side(base, kBytes)) {
    std::byte* to = Memory::range(warp, first, u64{kBytes} * kWarpLanes, true);
    if (to != nullptr) {
      collect<Stored, Lane, kCount>(warp, record, to);
      return op + 1;
    }
  }
  u64 displacement = 0;
  if (!Memory::displacement(warp, base, offset, kBytes, true, lanes, displacement))
    return store_general(warp, op);
  for (u32 e = 0; e < kCount; ++e) {
    const Lane* from = read<Lane>(warp, record.values[e]);
    const u64 to = displacement + e * sizeof(Stored);
    if (lanes == kAllLanes) {
      for (u32 i = 0; i < kWarpLanes; ++i)
        poke(reinterpret_cast<std::byte*>(base[i] + to), static_cast<Stored>(from[i]));
      continue;
    }
    for (u32 rest = lanes; rest != 0; rest &= rest - 1) {
      const int i = __builtin_ctz(rest);
      poke(reinterpret_cast<std::byte*>(base[i] + to), static_cast<Stored>(from[i]));
    }
  }
  return op + 1;
}

// A parameter for all lanes.
template <typename Stored, typename Lane>
const Op* broadcast_parameter(Warp& warp, const Op* op) {
  if (lanes_of(warp, op) != kAllLanes) return load_parameter(warp, op);
  const auto& record = *static_cast<const MemoryRecord*>(op->extra);
  const auto value =
      static_cast<Lane>(peek<Stored>(warp.block->grid->parameters.data() + record.offset));
  Lane* to = write<Lane>(warp, record.values[0]);
  for (u32 i = 0; i < kWarpLanes; ++i) to[i] = value;
  return op + 1;
}

template <typename Memory, bool kStores, typename Stored, typename Lane>
Handler of_count(u32 count) {
  if constexpr (kStores) {
    switch (count) {
      case 1:
        return store<Memory, Stored, Lane, 1>;
      case 2:
        return store<Memory, Stored, Lane, 2>;
      case 4:
        return store<Memory, Stored, Lane, 4>;
      default:
        return nullptr;
    }
  } else {
    switch (count) {
      case 1:
        return load<Memory, Stored, Lane, 1>;
      case 2:
        return load<Memory, Stored, Lane, 2>;
      case 4:
        return load<Memory, Stored, Lane, 4>;
      default:
        return nullptr;
    }
  }
}

template <typename Memory, bool kStores>
Handler of_width(const MemoryRecord& record) {
  if (record.is_signed && !kStores && record.element_bytes < record.value_bytes) return nullptr;
  if (record.lane_bytes == 4 && record.element_bytes == 1)
    return of_count<Memory, kStores, u8, u32>(record.count);
  if (record.lane_bytes == 4 && record.element_bytes == 2)
    return of_count<Memory, kStores, u16, u32>(record.count);
  if (record.lane_bytes == 4 && record.element_bytes == 4)
    return of_count<Memory, kStores, u32, u32>(record.count);
  if (record.lane_bytes == 8 && record.element_bytes == 8)
    return of_count<Memory, kStores, u64, u64>(record.count);
  return nullptr;
}

template <bool kStores>
Handler of_space(const MemoryRecord& record) {
  switch (record.form.space) {
    case AccessSpace::kGeneric:
    case AccessSpace::kGlobal:
    case AccessSpace::kConstant:
      return record.address_32 ? nullptr : of_width<Linear, kStores>(record);
    case AccessSpace::kShared:
      return record.address_32 ? of_width<Shared, kStores>(record) : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace

const Op* copy_addresses(Warp& warp, const Op* op) {
  const u64* from = read<u64>(warp, op->a);
  u64* to = write<u64>(warp, op->d);
  const u32 lanes = lanes_of(warp, op);
  if (lanes == kAllLanes) {
    for (u32 i = 0; i < kWarpLanes; ++i) to[i] = from[i];
    return op + 1;
  }
  for (u32 rest = lanes; rest != 0; rest &= rest - 1)
    to[__builtin_ctz(rest)] = from[__builtin_ctz(rest)];
  return op + 1;
}

Handler fast_parameter(const MemoryRecord& record) {
  if (record.count != 1) return nullptr;
  if (record.element_bytes == 4 && record.lane_bytes == 4) return broadcast_parameter<u32, u32>;
  if (record.element_bytes == 8 && record.lane_bytes == 8) return broadcast_parameter<u64, u64>;
  return nullptr;
}

Handler fast_load(const MemoryRecord& record) {
  return of_space<false>(record);
}
Handler fast_store(const MemoryRecord& record) {
  return of_space<true>(record);
}

}  // namespace ptx_emulator
