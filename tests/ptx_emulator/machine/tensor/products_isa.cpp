// Matrix products; this file is compiled for AVX2 and for AVX-512.
#include "tests/ptx_emulator/machine/tensor/products_isa.h"

#include <cmath>

#include "tests/ptx_emulator/machine/tensor/products.h"

namespace ptx_emulator::tensor::PTX_EMULATOR_ISA {
namespace {

constexpr int kVectors = 32 / kLanes;  // of one slot

// The accumulators of 16 x 8: [upper or lower eight rows][even or odd columns][vector of the slot].
using Accumulators = Floats[2][2][kVectors];

// One k for all rows: spread(a[half][v]) is that k of each row, four times; `even` and `odd` point
// to four columns each of that row of B.
template <typename Vector, typename Spread>
PTX_EMULATOR_INLINE void step(const Vector (&a)[2][kVectors], const float* even, const float* odd,
                              Accumulators& sum, Spread spread_value) {
  const Floats even_b = repeat_four(even);
  const Floats odd_b = repeat_four(odd);
  for (int half = 0; half < 2; ++half) {
    for (int v = 0; v < kVectors; ++v) {
      const Floats value = spread_value(a[half][v]);
      sum[half][0][v] = multiply_add(value, even_b, sum[half][0][v]);
      sum[half][1][v] = multiply_add(value, odd_b, sum[half][1][v]);
    }
  }
}
// `a` holds four k in each 128-bit part.
template <int kIndex>
PTX_EMULATOR_INLINE void step(const Floats (&a)[2][kVectors], const float* even, const float* odd,
                              Accumulators& sum) {
  step(a, even, odd, sum, [](Floats v) { return spread<kIndex>(v); });
}
#if defined(__AVX512F__)
// `a` holds eight k of bf16 in each part: this is the lower (or upper) half of word kIndex.
template <int kIndex, bool kOdd>
PTX_EMULATOR_INLINE void step(const Words (&a)[2][kVectors], const float* row, Accumulators& sum) {
  step(a, row, row + 4, sum, [](Words v) { return spread_bf16<kIndex, kOdd>(v); });
}
// Eight k, `even_b` and `odd_b` four rows of B each.
PTX_EMULATOR_INLINE void steps_bf16(const std::uint32_t* upper, const std::uint32_t* lower,
                                    const float* even_b, const float* odd_b, Accumulators& sum) {
  Words a[2][kVectors];
  for (int v = 0; v < kVectors; ++v) {
    a[0][v] = load(upper + v * kLanes);
    a[1][v] = load(lower + v * kLanes);
  }
  step<0, false>(a, even_b, sum);
  step<0, true>(a, odd_b, sum);
  step<1, false>(a, even_b + 8, sum);
  step<1, true>(a, odd_b + 8, sum);
  step<2, false>(a, even_b + 16, sum);
  step<2, true>(a, odd_b + 16, sum);
  step<3, false>(a, even_b + 24, sum);
  step<3, true>(a, odd_b + 24, sum);
}
#else
// Sixteen registers do not hold the byte orders as well: A is widened first.
PTX_EMULATOR_INLINE void steps_bf16(const std::uint32_t* upper, const std::uint32_t* lower,
                                    const float* even_b, const float* odd_b, Accumulators& sum) {
  Floats even[2][kVectors];
  Floats odd[2][kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const Words first = load(upper + v * kLanes);
    const Words second = load(lower + v * kLanes);
    even[0][v] = even_bf16(first);
    odd[0][v] = odd_bf16(first);
    even[1][v] = even_bf16(second);
    odd[1][v] = odd_bf16(second);
  }
  step<0>(even, even_b, even_b + 4, sum);
  step<0>(odd, odd_b, odd_b + 4, sum);
  step<1>(even, even_b + 8, even_b + 12, sum);
  step<1>(odd, odd_b + 8, odd_b + 12, sum);
  step<2>(even, even_b + 16, even_b + 20, sum);
  step<2>(odd, odd_b + 16, odd_b + 20, sum);
  step<3>(even, even_b + 24, even_b + 28, sum);
  step<3>(odd, odd_b + 24, odd_b + 28, sum);
}
#endif

PTX_EMULATOR_INLINE void load_sums(const HalfProduct& p, Accumulators& sum) {
  for (int i = 0; i < 4; ++i) {
    for (int v = 0; v < kVectors; ++v) sum[i / 2][i % 2][v] = load(p.c[i] + v * kLanes);
  }
}
PTX_EMULATOR_INLINE void store_sums(const HalfProduct& p, const Accumulators& sum) {
  for (int i = 0; i < 4; ++i) {
    for (int v = 0; v < kVectors; ++v) store(p.d[i] + v * kLanes, sum[i / 2][i % 2][v]);
  }
}

// Shuffles and products share their ports; loads that repeat four numbers do not. Without this the
// compiler sees through the buffers and makes shuffles of the loads.
template <int kSize>
PTX_EMULATOR_INLINE void keep_in_memory(float (&buffer)[kSize]) {
  asm volatile("" : "+m"(buffer));
}

// Eight k of bf16: a word holds k = 2 t and 2 t + 1, so its halves are the even and the odd k.
PTX_EMULATOR_INLINE void eight_bf16(const std::uint32_t* upper, const std::uint32_t* lower,
                                    const std::uint32_t* b, Accumulators& sum) {
  alignas(64) std::uint32_t words[32];
  alignas(64) float even_b[32];
  alignas(64) float odd_b[32];
  transpose_b(b, words);
  for (int i = 0; i < 32; i += kLanes) {
    const Words v = load(words + i);
    store(even_b + i, even_bf16(v));
    store(odd_b + i, odd_bf16(v));
  }
  keep_in_memory(even_b);
  keep_in_memory(odd_b);
  steps_bf16(upper, lower, even_b, odd_b, sum);
}

PTX_EMULATOR_INLINE void eight_f16(const std::uint32_t* upper, const std::uint32_t* lower,
                                   const std::uint32_t* b, Accumulators& sum) {
  alignas(64) float rows[64];
  widen_b(b, rows);
  keep_in_memory(rows);
  Floats first[2][kVectors];
  Floats second[2][kVectors];
  for (int v = 0; v < kVectors; ++v) {
    widen_rows(upper + v * kLanes, first[0][v], second[0][v]);
    widen_rows(lower + v * kLanes, first[1][v], second[1][v]);
  }
  step<0>(first, rows, rows + 8, sum);
  step<1>(first, rows + 16, rows + 24, sum);
  step<2>(first, rows + 32, rows + 40, sum);
  step<3>(first, rows + 48, rows + 56, sum);
  step<0>(second, rows + 4, rows + 12, sum);
  step<1>(second, rows + 20, rows + 28, sum);
  step<2>(second, rows + 36, rows + 44, sum);
  step<3>(second, rows + 52, rows + 60, sum);
}

void bf16_k16(const HalfProduct& p) {
  Accumulators sum;
  load_sums(p, sum);
  eight_bf16(p.a[0], p.a[1], p.b[0], sum);
  eight_bf16(p.a[2], p.a[3], p.b[1], sum);
  store_sums(p, sum);
}
void bf16_k8(const HalfProduct& p) {
  Accumulators sum;
  load_sums(p, sum);
  eight_bf16(p.a[0], p.a[1], p.b[0], sum);
  store_sums(p, sum);
}
void f16_k16(const HalfProduct& p) {
  Accumulators sum;
  load_sums(p, sum);
  eight_f16(p.a[0], p.a[1], p.b[0], sum);
  eight_f16(p.a[2], p.a[3], p.b[1], sum);
  store_sums(p, sum);
}
void f16_k8(const HalfProduct& p) {
  Accumulators sum;
  load_sums(p, sum);
  eight_f16(p.a[0], p.a[1], p.b[0], sum);
  store_sums(p, sum);
}

void f32(const float* a, const float* b, float* c, std::uint32_t K, std::uint32_t tiles) {
  const std::uint32_t blocks = K / 4;
  for (std::uint32_t tile = 0; tile < tiles; ++tile) {
    float* slots = c + 128 * tile;
    const HalfProduct p{{},
                        {},
                        {slots, slots + 32, slots + 64, slots + 96},
                        {slots, slots + 32, slots + 64, slots + 96}};
    Accumulators sum;
    load_sums(p, sum);
    for (std::uint32_t j = 0; j < blocks; ++j) {
      Floats rows[2][kVectors];
      for (int half = 0; half < 2; ++half) {
        for (int v = 0; v < kVectors; ++v) {
          // Parts of a vector are successive rows; a block has four.
          const std::uint32_t row = 8u * half + v * (kLanes / 4);
          rows[half][v] = load(a + 16 * (row / 4 * blocks + j) + 4 * (row % 4));
        }
      }
      const float* row_b = b + 8u * K * tile + 32 * j;
      step<0>(rows, row_b, row_b + 4, sum);
      step<1>(rows, row_b + 8, row_b + 12, sum);
      step<2>(rows, row_b + 16, row_b + 20, sum);
      step<3>(rows, row_b + 24, row_b + 28, sum);
    }
    store_sums(p, sum);
  }
}

void s32(const std::int32_t* a, const std::int32_t* b, std::int32_t* c, std::uint32_t K,
         std::uint32_t tiles) {
  for (std::uint32_t tile = 0; tile < tiles; ++tile) {
    const std::int32_t* tile_b = b + 8u * K * tile;
    for (std::uint32_t row = 0; row < 16; ++row) {
      std::uint32_t sum[8] = {};
      for (std::uint32_t k = 0; k < K; ++k) {
        const auto value = static_cast<std::uint32_t>(a[packed_index_a(row, k, K)]);
        for (int n = 0; n < 8; ++n) sum[n] += value * static_cast<std::uint32_t>(tile_b[8 * k + n]);
      }
      std::int32_t* slots = c + 128 * tile + 64 * (row / 8) + 4 * (row % 8);
      for (int t = 0; t < 4; ++t) {
        slots[t] = static_cast<std::int32_t>(static_cast<std::uint32_t>(slots[t]) + sum[t]);
        slots[32 + t] =
            static_cast<std::int32_t>(static_cast<std::uint32_t>(slots[32 + t]) + sum[4 + t]);
      }
    }
  }
}

void f64(const double* a, const double* b, double* c, std::uint32_t M, std::uint32_t N,
         std::uint32_t K) {
  for (std::uint32_t m = 0; m < M; ++m) {
    for (std::uint32_t k = 0; k < K; ++k) {
      for (std::uint32_t n = 0; n < N; ++n) {
        c[m * N + n] = std::fma(a[m * K + k], b[k * N + n], c[m * N + n]);
      }
    }
  }
}

}  // namespace

const ProductKernels& product_kernels() {
  static const ProductKernels kernels = {bf16_k16, bf16_k8, f16_k16, f16_k8, f32, s32, f64};
  return kernels;
}

}  // namespace ptx_emulator::tensor::PTX_EMULATOR_ISA
