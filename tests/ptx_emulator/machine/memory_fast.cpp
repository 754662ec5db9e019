// Loads and stores of whole warps. Compiled for AVX2: nothing of the standard library is
// instantiated here.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/memory_record.h"

namespace ptx_emulator {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using U64x4 = u64 __attribute__((vector_size(32)));
using U32x8 = u32 __attribute__((vector_size(32)));

bool any(U64x4 v) {
  return _mm256_testz_si256(reinterpret_cast<__m256i>(v), reinterpret_cast<__m256i>(v)) == 0;
}
bool any(U32x8 v) {
  return _mm256_testz_si256(reinterpret_cast<__m256i>(v), reinterpret_cast<__m256i>(v)) == 0;
}

struct Lanes64 {
  using Address = u64;
  // Whether base[i] = base[0] + i * stride for all lanes.
  static bool side_by_side(const u64* base, u64 stride) {
    const auto* v = reinterpret_cast<const U64x4*>(base);
    U64x4 expected = base[0] + U64x4{0, 1, 2, 3} * stride;
    const U64x4 step = U64x4{} + 4 * stride;
    U64x4 differs{};
    for (int i = 0; i < 8; ++i) {
      differs |= v[i] ^ expected;
      expected += step;
    }
    return !any(differs);
  }
  static bool all_equal(const u64* base) {
    const auto* v = reinterpret_cast<const U64x4*>(base);
    const U64x4 expected = U64x4{} + base[0];
    U64x4 differs{};
    for (int i = 0; i < 8; ++i) differs |= v[i] ^ expected;
    return !any(differs);
  }
};

struct Lanes32 {
  using Address = u32;
  static bool side_by_side(const u32* base, u32 stride) {
    const auto* v = reinterpret_cast<const U32x8*>(base);
    U32x8 expected = base[0] + U32x8{0, 1, 2, 3, 4, 5, 6, 7} * stride;
    const U32x8 step = U32x8{} + 8 * stride;
    U32x8 differs{};
    for (int i = 0; i < 4; ++i) {
      differs |= v[i] ^ expected;
      expected += step;
    }
    return !any(differs);
  }
  static bool all_equal(const u32* base) {
    const auto* v = reinterpret_cast<const U32x8*>(base);
    const U32x8 expected = U32x8{} + base[0];
    U32x8 differs{};
    for (int i = 0; i < 4; ++i) differs |= v[i] ^ expected;
    return !any(differs);
  }
};

// Global and constant memory, by 64-bit addresses.
struct Linear : Lanes64 {
  static std::byte* range(const Warp& warp, u64 address, u64 bytes, bool writes) {
    for (const AllocationCache::Entry& entry : warp.block->cache.entries) {
      if (address - entry.begin < entry.end - entry.begin && bytes <= entry.end - address &&
          entry.end > entry.begin) {
        if (writes && entry.read_only) return nullptr;
        return reinterpret_cast<std::byte*>(address + static_cast<u64>(entry.to_host));
      }
    }
    return nullptr;
  }
  // What to add to every address for its host address, where all lanes are inside one cached
  // allocation and aligned; false where they are not.
  static bool displacement(const Warp& warp, const u64* base, u64 offset, u64 bytes, bool writes,
                           u64& result) {
    const u64 first = base[0] + offset;
    const AllocationCache::Entry* found = nullptr;
    for (const AllocationCache::Entry& entry : warp.block->cache.entries) {
      if (first >= entry.begin && first < entry.end) found = &entry;
    }
    if (found == nullptr || (writes && found->read_only) || found->end - found->begin < bytes)
      return false;
    const U64x4 shift = U64x4{} + (offset - found->begin);
    const U64x4 limit = U64x4{} + (found->end - found->begin - bytes);
    const auto* v = reinterpret_cast<const U64x4*>(base);
    U64x4 wrong{};
    U64x4 all{};
    for (int i = 0; i < 8; ++i) {
      const U64x4 from_begin = v[i] + shift;
      all |= v[i];
      // The sign of either is set outside of [0, limit]: distances are far below 2^63.
      wrong |= from_begin | (limit - from_begin);
    }
    if (_mm256_movemask_pd(reinterpret_cast<__m256d>(wrong)) != 0) return false;
    const u64 bits = all[0] | all[1] | all[2] | all[3] | offset;
    if ((bits & (bytes - 1)) != 0) return false;
    result = offset + static_cast<u64>(found->to_host);
    return true;
  }
};

// Shared memory of the own block, by 32-bit offsets.
struct Shared : Lanes32 {
  static std::byte* range(const Warp& warp, u32 address, u64 bytes, bool /*writes*/) {
    const Block& block = *warp.block;
    if (address >= block.shared_bytes || bytes > block.shared_bytes - address) return nullptr;
    return block.shared + address;
  }
  static bool displacement(const Warp& warp, const u32* base, u32 offset, u32 bytes,
                           bool /*writes*/, u64& result) {
    const Block& block = *warp.block;
    if (block.shared_bytes < bytes) return false;
    const auto* v = reinterpret_cast<const U32x8*>(base);
    const U32x8 limit = U32x8{} + (block.shared_bytes - bytes);
    const U32x8 shift = U32x8{} + offset;
    U32x8 wrong{};
    U32x8 all{};
    for (int i = 0; i < 4; ++i) {
      const U32x8 address = v[i] + shift;
      all |= address;
      wrong |= address | (limit - address);
    }
    if (_mm256_movemask_ps(reinterpret_cast<__m256>(wrong)) != 0) return false;
    u32 bits = 0;
    for (int i = 0; i < 8; ++i) bits |= all[i];
    if ((bits & (bytes - 1)) != 0) return false;
    // Lanes are added as 64-bit numbers: the sum with a negative offset must wrap as theirs does.
    result = reinterpret_cast<u64>(block.shared) +
             static_cast<u64>(static_cast<std::int64_t>(static_cast<std::int32_t>(offset)));
    return true;
  }
};

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

template <typename Memory, typename Stored, typename Lane, u32 kCount>
const Op* load(Warp& warp, const Op* op) {
  using Address = typename Memory::Address;
  const auto& record = *static_cast<const MemoryRecord*>(op->extra);
  constexpr u32 kBytes = sizeof(Stored) * kCount;
  if (lanes_of(warp, op) != kAllLanes || warp.block->observer != nullptr)
    return load_general(warp, op);
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
  u64 displacement = 0;
  if (!Memory::displacement(warp, base, offset, kBytes, false, displacement))
    return load_general(warp, op);
  // Elements may land in the register of the addresses only in programs that read it no more:
  // still, all lanes' addresses are taken before.
  const std::byte* from[kWarpLanes];
  for (u32 i = 0; i < kWarpLanes; ++i)
    from[i] = reinterpret_cast<const std::byte*>(base[i] + displacement);
  for (u32 e = 0; e < kCount; ++e) {
    Lane* to = write<Lane>(warp, record.values[e]);
    for (u32 i = 0; i < kWarpLanes; ++i)
      to[i] = static_cast<Lane>(peek<Stored>(from[i] + e * sizeof(Stored)));
  }
  return op + 1;
}

template <typename Memory, typename Stored, typename Lane, u32 kCount>
const Op* store(Warp& warp, const Op* op) {
  using Address = typename Memory::Address;
  const auto& record = *static_cast<const MemoryRecord*>(op->extra);
  constexpr u32 kBytes = sizeof(Stored) * kCount;
  if (lanes_of(warp, op) != kAllLanes || warp.block->observer != nullptr)
    return store_general(warp, op);
  const Address* base = read<Address>(warp, op->a);
  const auto offset = static_cast<Address>(record.offset);
  const auto first = static_cast<Address>(base[0] + offset);
  if ((first & (kBytes - 1)) == 0 && Memory::side_by_side(base, kBytes)) {
    std::byte* to = Memory::range(warp, first, u64{kBytes} * kWarpLanes, true);
    if (to != nullptr) {
      collect<Stored, Lane, kCount>(warp, record, to);
      return op + 1;
    }
  }
  u64 displacement = 0;
  if (!Memory::displacement(warp, base, offset, kBytes, true, displacement))
    return store_general(warp, op);
  for (u32 e = 0; e < kCount; ++e) {
    const Lane* from = read<Lane>(warp, record.values[e]);
    for (u32 i = 0; i < kWarpLanes; ++i) {
      poke(reinterpret_cast<std::byte*>(base[i] + displacement) + e * sizeof(Stored),
           static_cast<Stored>(from[i]));
    }
  }
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

Handler fast_load(const MemoryRecord& record) {
  return of_space<false>(record);
}
Handler fast_store(const MemoryRecord& record) {
  return of_space<true>(record);
}

}  // namespace ptx_emulator
