#pragma once
// What differs between AVX2 and AVX-512: vectors of several 128-bit parts, each part one row of
// four numbers. Included only by products_isa.cpp, which is compiled once for each.

#include <immintrin.h>

#include <cstdint>

// Accumulators stay in registers only where everything around them is one function.
#define PTX_EMULATOR_INLINE [[gnu::always_inline]] inline

#if defined(__AVX512F__)
#define PTX_EMULATOR_ISA avx512
#else
#define PTX_EMULATOR_ISA avx2
#endif

namespace ptx_emulator::tensor::PTX_EMULATOR_ISA {

#if defined(__AVX512F__)
using Floats = __m512;
using Words = __m512i;
constexpr int kLanes = 16;

inline Floats load(const float* p) {
  return _mm512_loadu_ps(p);
}
inline void store(float* p, Floats v) {
  _mm512_storeu_ps(p, v);
}
inline Words load(const std::uint32_t* p) {
  return _mm512_loadu_si512(p);
}
inline Floats repeat_four(const float* p) {
  return _mm512_broadcast_f32x4(_mm_loadu_ps(p));
}
template <int kIndex>
inline Floats spread(Floats v) {
  return _mm512_permute_ps(v, kIndex * 0x55);
}
inline Floats multiply_add(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}
// Word kIndex of each part, its lower half (or upper, with kOdd) as bf16, to all four words of the
// part.
template <int kIndex, bool kOdd>
inline Floats spread_bf16(Words v) {
  constexpr int kByte = 4 * kIndex + (kOdd ? 2 : 0);
  const Words order = _mm512_set1_epi32((kByte + 1) << 24 | kByte << 16 | 0x8080);
  return _mm512_castsi512_ps(_mm512_shuffle_epi8(v, order));
}
// Lower and upper halves of each word, as bf16.
inline Floats even_bf16(Words v) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
}
inline Floats odd_bf16(Words v) {
  return _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(-65536)));
}
inline Floats widen(const std::uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
// kLanes rows' worth of f16, two numbers a word and four words a row: numbers 0 to 3 and 4 to 7 of
// each row.
inline void widen_rows(const std::uint32_t* p, Floats& first, Floats& second) {
  const auto* halves = reinterpret_cast<const std::uint16_t*>(p);
  const Floats low = widen(halves);
  const Floats high = widen(halves + 16);
  first = _mm512_shuffle_f32x4(low, high, 0x88);
  second = _mm512_shuffle_f32x4(low, high, 0xDD);
}
// B as registers hold it (word 4 n + t) to words in the order of packed B: t, then columns 0 2 4 6
// 1 3 5 7.
inline void transpose_b(const std::uint32_t* b, std::uint32_t* out) {
  const Words low = load(b);
  const Words high = load(b + 16);
  const Words first = _mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 1, 9, 17, 25, 5, 13, 21, 29);
  const Words second = _mm512_add_epi32(first, _mm512_set1_epi32(2));
  _mm512_storeu_si512(out, _mm512_permutex2var_epi32(low, first, high));
  _mm512_storeu_si512(out + 16, _mm512_permutex2var_epi32(low, second, high));
}
// B of f16 as registers hold it: column n is eight numbers. Row k of it goes to out + 16 (k % 4) +
// 4 (k / 4): even columns there, odd ones 8 further on.
inline void widen_b(const std::uint32_t* b, float* out) {
  const auto* halves = reinterpret_cast<const std::uint16_t*>(b);
  // Each vector: columns 2 i and 2 i + 1, of each k 0 to 3, then 4 to 7. A transposition within the
  // 128-bit parts.
  const Floats c0 = widen(halves);
  const Floats c2 = widen(halves + 16);
  const Floats c4 = widen(halves + 32);
  const Floats c6 = widen(halves + 48);
  const __m512d low02 = _mm512_castps_pd(_mm512_unpacklo_ps(c0, c2));
  const __m512d high02 = _mm512_castps_pd(_mm512_unpackhi_ps(c0, c2));
  const __m512d low46 = _mm512_castps_pd(_mm512_unpacklo_ps(c4, c6));
  const __m512d high46 = _mm512_castps_pd(_mm512_unpackhi_ps(c4, c6));
  const auto put = [&](int k, __m512d v) { store(out + 16 * k, _mm512_castpd_ps(v)); };
  put(0, _mm512_unpacklo_pd(low02, low46));
  put(1, _mm512_unpackhi_pd(low02, low46));
  put(2, _mm512_unpacklo_pd(high02, high46));
  put(3, _mm512_unpackhi_pd(high02, high46));
}
#else
using Floats = __m256;
using Words = __m256i;
constexpr int kLanes = 8;

inline Floats load(const float* p) {
  return _mm256_loadu_ps(p);
}
inline void store(float* p, Floats v) {
  _mm256_storeu_ps(p, v);
}
inline Words load(const std::uint32_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline Floats repeat_four(const float* p) {
  return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p));
}
template <int kIndex>
inline Floats spread(Floats v) {
  return _mm256_permute_ps(v, kIndex * 0x55);
}
inline Floats multiply_add(Floats a, Floats b, Floats c) {
  return _mm256_fmadd_ps(a, b, c);
}
inline Floats even_bf16(Words v) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}
inline Floats odd_bf16(Words v) {
  return _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32(-65536)));
}
inline Floats widen(const std::uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline void widen_rows(const std::uint32_t* p, Floats& first, Floats& second) {
  const auto* halves = reinterpret_cast<const std::uint16_t*>(p);
  const Floats low = widen(halves);
  const Floats high = widen(halves + 8);
  first = _mm256_permute2f128_ps(low, high, 0x20);
  second = _mm256_permute2f128_ps(low, high, 0x31);
}
inline void transpose_b(const std::uint32_t* b, std::uint32_t* out) {
  // Each vector holds columns n (even) and n + 1, of four words: a transposition within the 128-bit
  // parts.
  const Words c0 = load(b);
  const Words c2 = load(b + 8);
  const Words c4 = load(b + 16);
  const Words c6 = load(b + 24);
  const Words low02 = _mm256_unpacklo_epi32(c0, c2);
  const Words high02 = _mm256_unpackhi_epi32(c0, c2);
  const Words low46 = _mm256_unpacklo_epi32(c4, c6);
  const Words high46 = _mm256_unpackhi_epi32(c4, c6);
  auto* to = reinterpret_cast<__m256i*>(out);
  _mm256_storeu_si256(to, _mm256_unpacklo_epi64(low02, low46));
  _mm256_storeu_si256(to + 1, _mm256_unpackhi_epi64(low02, low46));
  _mm256_storeu_si256(to + 2, _mm256_unpacklo_epi64(high02, high46));
  _mm256_storeu_si256(to + 3, _mm256_unpackhi_epi64(high02, high46));
}
inline void widen_b(const std::uint32_t* b, float* out) {
  const auto* halves = reinterpret_cast<const std::uint16_t*>(b);
  for (int odd = 0; odd < 2; ++odd) {
    const Floats c0 = widen(halves + 8 * odd);
    const Floats c2 = widen(halves + 8 * odd + 16);
    const Floats c4 = widen(halves + 8 * odd + 32);
    const Floats c6 = widen(halves + 8 * odd + 48);
    const __m256d low02 = _mm256_castps_pd(_mm256_unpacklo_ps(c0, c2));
    const __m256d high02 = _mm256_castps_pd(_mm256_unpackhi_ps(c0, c2));
    const __m256d low46 = _mm256_castps_pd(_mm256_unpacklo_ps(c4, c6));
    const __m256d high46 = _mm256_castps_pd(_mm256_unpackhi_ps(c4, c6));
    const auto put = [&](int k, __m256d v) { store(out + 16 * k + 8 * odd, _mm256_castpd_ps(v)); };
    put(0, _mm256_unpacklo_pd(low02, low46));
    put(1, _mm256_unpackhi_pd(low02, low46));
    put(2, _mm256_unpacklo_pd(high02, high46));
    put(3, _mm256_unpackhi_pd(high02, high46));
  }
}
#endif

}  // namespace ptx_emulator::tensor::PTX_EMULATOR_ISA
