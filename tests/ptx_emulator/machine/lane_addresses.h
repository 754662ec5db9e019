#pragma once
// Addresses of a whole warp at once. Included only by memory_fast.cpp, which is compiled for AVX2:
// nothing of the standard library is instantiated here, and all names are the file's own.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "tests/ptx_emulator/machine/block.h"

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
  // What to add to every address for its host address, where all of `lanes` are inside one cached
  // allocation and aligned; false where they are not.
  static bool displacement(const Warp& warp, const u64* base, u64 offset, u64 bytes, bool writes,
                           u32 lanes, u64& result) {
    const u64 first = base[__builtin_ctz(lanes)] + offset;
    const AllocationCache::Entry* found = nullptr;
    for (const AllocationCache::Entry& entry : warp.block->cache.entries) {
      if (first >= entry.begin && first < entry.end) found = &entry;
    }
    if (found == nullptr || (writes && found->read_only) || found->end - found->begin < bytes)
      return false;
    const U64x4 shift = U64x4{} + (offset - found->begin);
    const U64x4 limit = U64x4{} + (found->end - found->begin - bytes);
    const U64x4 unaligned = U64x4{} + (bytes - 1);
    const auto* v = reinterpret_cast<const U64x4*>(base);
    u32 wrong = 0;
    for (int i = 0; i < 8; ++i) {
      const U64x4 from_begin = v[i] + shift;
      // The sign of either is set outside of [0, limit]: distances are far below 2^63. Misaligned
      // ones get it from a difference below zero.
      const U64x4 bad =
          from_begin | (limit - from_begin) | (U64x4{} - ((v[i] + offset) & unaligned));
      wrong |= static_cast<u32>(_mm256_movemask_pd(reinterpret_cast<__m256d>(bad))) << (4 * i);
    }
    if ((wrong & lanes) != 0) return false;
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
                           bool /*writes*/, u32 lanes, u64& result) {
    const Block& block = *warp.block;
    if (block.shared_bytes < bytes) return false;
    const auto* v = reinterpret_cast<const U32x8*>(base);
    const U32x8 limit = U32x8{} + (block.shared_bytes - bytes);
    const U32x8 shift = U32x8{} + offset;
    const U32x8 unaligned = U32x8{} + (bytes - 1);
    u32 wrong = 0;
    for (int i = 0; i < 4; ++i) {
      const U32x8 address = v[i] + shift;
      const U32x8 bad = address | (limit - address) | (U32x8{} - (address & unaligned));
      wrong |= static_cast<u32>(_mm256_movemask_ps(reinterpret_cast<__m256>(bad))) << (8 * i);
    }
    if ((wrong & lanes) != 0) return false;
    // Lanes are added as 64-bit numbers: the sum with a negative offset must wrap as theirs does.
    result = reinterpret_cast<u64>(block.shared) +
             static_cast<u64>(static_cast<std::int64_t>(static_cast<std::int32_t>(offset)));
    return true;
  }
};

}  // namespace
}  // namespace ptx_emulator
