// Compiled for AVX2, which the machine needs anyway: nothing of the standard library is
// instantiated here.
#include "tests/ptx_emulator/machine/tensor/wgmma_packing.h"

#include <immintrin.h>

namespace ptx_emulator::tensor {
namespace {

[[gnu::always_inline]] inline __m256 widen(const std::byte* unit, HalfFormat format) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(unit));
  const __m256 value =
      format.is_bf16 ? _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16))
                     : _mm256_cvtph_ps(halves);
  return format.negate ? _mm256_xor_ps(value, _mm256_set1_ps(-0.0f)) : value;
}

}  // namespace

void widen_unit(const std::byte* unit, HalfFormat format, float* eight) {
  _mm256_storeu_ps(eight, widen(unit, format));
}

void pack_columns(const std::byte* unit, HalfFormat format, float* eight) {
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
  _mm256_storeu_ps(eight, _mm256_permutevar8x32_ps(widen(unit, format), order));
}

void pack_tile(const std::byte* const (&units)[8], HalfFormat format, float* tile) {
  // Even columns first: a transposition of 8 x 8.
  const __m256 r0 = widen(units[0], format), r1 = widen(units[2], format),
               r2 = widen(units[4], format), r3 = widen(units[6], format),
               r4 = widen(units[1], format), r5 = widen(units[3], format),
               r6 = widen(units[5], format), r7 = widen(units[7], format);
  const __m256 a0 = _mm256_unpacklo_ps(r0, r1), a1 = _mm256_unpackhi_ps(r0, r1),
               a2 = _mm256_unpacklo_ps(r2, r3), a3 = _mm256_unpackhi_ps(r2, r3),
               a4 = _mm256_unpacklo_ps(r4, r5), a5 = _mm256_unpackhi_ps(r4, r5),
               a6 = _mm256_unpacklo_ps(r6, r7), a7 = _mm256_unpackhi_ps(r6, r7);
  const __m256 b0 = _mm256_shuffle_ps(a0, a2, 0x44), b1 = _mm256_shuffle_ps(a0, a2, 0xEE),
               b2 = _mm256_shuffle_ps(a1, a3, 0x44), b3 = _mm256_shuffle_ps(a1, a3, 0xEE),
               b4 = _mm256_shuffle_ps(a4, a6, 0x44), b5 = _mm256_shuffle_ps(a4, a6, 0xEE),
               b6 = _mm256_shuffle_ps(a5, a7, 0x44), b7 = _mm256_shuffle_ps(a5, a7, 0xEE);
  _mm256_storeu_ps(tile, _mm256_permute2f128_ps(b0, b4, 0x20));
  _mm256_storeu_ps(tile + 8, _mm256_permute2f128_ps(b1, b5, 0x20));
  _mm256_storeu_ps(tile + 16, _mm256_permute2f128_ps(b2, b6, 0x20));
  _mm256_storeu_ps(tile + 24, _mm256_permute2f128_ps(b3, b7, 0x20));
  _mm256_storeu_ps(tile + 32, _mm256_permute2f128_ps(b0, b4, 0x31));
  _mm256_storeu_ps(tile + 40, _mm256_permute2f128_ps(b1, b5, 0x31));
  _mm256_storeu_ps(tile + 48, _mm256_permute2f128_ps(b2, b6, 0x31));
  _mm256_storeu_ps(tile + 56, _mm256_permute2f128_ps(b3, b7, 0x31));
}

}  // namespace ptx_emulator::tensor
