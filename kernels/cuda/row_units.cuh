#pragma once

#include <cstdint>

#include "kernels/common/dropout_mask.h"
#include "kernels/cuda/numeric.cuh"

// A row of C elements as units of N consecutive ones, each moved by one access of 16 or 8 bytes
// where all rows begin at a multiple of that, and element by element where they do not or where the
// row ends within the unit. So one kernel serves every width and alignment.
namespace ovid::kernels::cuda {

template <int kBytes>
struct UnitBits;
template <>
struct UnitBits<16> {
  using Type = uint4;
};
template <>
struct UnitBits<8> {
  using Type = uint2;
};

// N elements of T, in registers.
template <class T, int N = static_cast<int>(16 / sizeof(T))>
struct Unit {
  static constexpr int kSize = N;
  using Bits = typename UnitBits<N* static_cast<int>(sizeof(T))>::Type;
  Bits bits;

  __device__ __forceinline__ float get(int i) const {
    return to_float(reinterpret_cast<const T*>(&bits)[i]);
  }
  __device__ __forceinline__ void set(int i, float value) {
    reinterpret_cast<T*>(&bits)[i] = from_float<T>(value);
  }
};

// Whether rows that are `row_stride` elements apart can be moved by whole units of N.
template <class T, int N = Unit<T>::kSize>
bool rows_take_units(const void* data, std::int64_t row_stride) {
  return reinterpret_cast<std::uintptr_t>(data) % (N * sizeof(T)) == 0 && row_stride % N == 0;
}

// Elements [at, at + N) of a row of `columns`; zeros behind its end. whole: rows_take_units.
template <class T, int N = Unit<T>::kSize>
__device__ __forceinline__ Unit<T, N> load_unit(const T* row, std::int64_t at, std::int64_t columns,
                                                bool whole) {
  using Bits = typename Unit<T, N>::Bits;
  Unit<T, N> unit{};
  if (at >= columns) return unit;
  if (whole && at + N <= columns) {
    unit.bits = *reinterpret_cast<const Bits*>(row + at);
    return unit;
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if (at + i < columns) reinterpret_cast<T*>(&unit.bits)[i] = row[at + i];
  }
  return unit;
}

// The same where rows are aligned (rows_take_units) and `columns` is a multiple of N: one access.
template <class T, int N = Unit<T>::kSize>
__device__ __forceinline__ Unit<T, N> load_whole_unit(const T* row, std::int64_t at,
                                                      std::int64_t columns) {
  Unit<T, N> unit{};
  if (at < columns) unit.bits = *reinterpret_cast<const typename Unit<T, N>::Bits*>(row + at);
  return unit;
}
template <class T, int N>
__device__ __forceinline__ void store_whole_unit(T* row, std::int64_t at, std::int64_t columns,
                                                 const Unit<T, N>& unit) {
  if (at < columns) *reinterpret_cast<typename Unit<T, N>::Bits*>(row + at) = unit.bits;
}

template <class T, int N>
__device__ __forceinline__ void store_unit(T* row, std::int64_t at, std::int64_t columns,
                                           bool whole, const Unit<T, N>& unit) {
  using Bits = typename Unit<T, N>::Bits;
  if (at >= columns) return;
  if (whole && at + N <= columns) {
    *reinterpret_cast<Bits*>(row + at) = unit.bits;
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if (at + i < columns) row[at + i] = reinterpret_cast<const T*>(&unit.bits)[i];
  }
}

// DropoutMask::factor of elements [index, index + N), with one draw for each four of them, and one
// more where they do not begin at a multiple of four.
template <int N>
__device__ __forceinline__ void dropout_factors(const DropoutMask& mask, std::uint64_t index,
                                                float (&factors)[N]) {
  static_assert(N % 4 == 0);
  const auto shift = static_cast<int>(index % 4);
  float drawn[N + 4];
#pragma unroll
  for (int q = 0; q < N / 4 + 1; ++q) {
    float quad[4] = {};
    if (q < N / 4 || shift != 0) mask.factors(index / 4 + static_cast<std::uint64_t>(q), quad);
#pragma unroll
    for (int i = 0; i < 4; ++i) drawn[4 * q + i] = quad[i];
  }
  // Selects, as registers have no indices.
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float low = (shift & 1) != 0 ? drawn[i + 1] : drawn[i];
    const float high = (shift & 1) != 0 ? drawn[i + 3] : drawn[i + 2];
    factors[i] = (shift & 2) != 0 ? high : low;
  }
}

}  // namespace ovid::kernels::cuda
