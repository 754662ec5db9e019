#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/numeric.cuh"

// Loads and stores of 16 bytes. A warp's 32 of them are 512 consecutive bytes: 16 sectors a
// request, the most that the load/store unit takes.
namespace ovid::kernels::cuda {

// N elements of T that move as one. The storage is a uint4: a struct of 16-bit members copied by
// value would move member by member.
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = static_cast<int>(16 / sizeof(T));
  uint4 bits;

  __device__ __forceinline__ float get(int i) const {
    return to_float(reinterpret_cast<const T*>(&bits)[i]);
  }
  __device__ __forceinline__ void set(int i, float value) {
    reinterpret_cast<T*>(&bits)[i] = from_float<T>(value);
  }
  // Elements i and i + 1, i even: of a 16-bit type, one conversion.
  __device__ __forceinline__ void set_pair(int i, float first, float second) {
    if constexpr (sizeof(T) == 2) {
      reinterpret_cast<std::uint32_t*>(&bits)[i / 2] = pair_from_floats<T>(first, second);
    } else {
      set(i, first);
      set(i + 1, second);
    }
  }
};

template <class T>
inline constexpr int kPack = Pack<T>::kSize;  // 4 of float, 8 of the 16-bit types

// `at` is 16-byte aligned.
template <class T>
__device__ __forceinline__ Pack<T> load_pack(const T* at) {
  return {*reinterpret_cast<const uint4*>(at)};
}
// Read once: not kept in the first cache.
template <class T>
__device__ __forceinline__ Pack<T> load_pack_streaming(const T* at) {
  return {__ldcs(reinterpret_cast<const uint4*>(at))};
}
// Plain stores to global memory, aligned to their size, as one instruction: the compiler takes an
// assignment apart where the words are a function's results, and then makes 2 to 8 stores of it.
__device__ __forceinline__ void store_words(void* at, const uint4& words) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(at)),
               "r"(words.x), "r"(words.y), "r"(words.z), "r"(words.w)
               : "memory");
}
__device__ __forceinline__ void store_words(void* at, const uint2& words) {
  asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(at)), "r"(words.x),
               "r"(words.y)
               : "memory");
}

// To global memory.
template <class T>
__device__ __forceinline__ void store_pack(T* at, const Pack<T>& pack) {
  store_words(at, pack.bits);
}
// Not read again soon.
template <class T>
__device__ __forceinline__ void store_pack_streaming(T* at, const Pack<T>& pack) {
  __stcs(reinterpret_cast<uint4*>(at), pack.bits);
}

// Whether all of a tensor's rows begin at 16 bytes, so that packs may be used.
template <class T>
bool rows_take_packs(const void* data, std::int64_t row_stride) {
  return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && row_stride % kPack<T> == 0;
}

}  // namespace ovid::kernels::cuda
