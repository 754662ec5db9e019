// Products of tiles and the copies that prepare them; compiled once for each instruction set. All
// matrices are padded to multiples of kLanePadding columns, so that no product has a partial
// vector.

// clang-format off
#if defined(OVID_KERNELS_ATTENTION_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OVID_KERNELS_ATTENTION_TILES_INL_H_
#undef OVID_KERNELS_ATTENTION_TILES_INL_H_
#else
#define OVID_KERNELS_ATTENTION_TILES_INL_H_
#endif
// clang-format on

#include <cstring>

#include "hwy/highway.h"
#include "kernels/attention/attention_work.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Rows of C whose sums are held in registers at once, over two vectors of columns: with the two
// vectors of B and one element of A they fit into the registers, 32 in AVX-512 and 16 elsewhere.
#if HWY_TARGET == HWY_AVX3
inline constexpr int kBlockRows = 8;
#elif HWY_TARGET == HWY_AVX2
inline constexpr int kBlockRows = 6;
#else
inline constexpr int kBlockRows = 4;
#endif

// C (+)= A B.   A[i][k] = a[i * a_row + k * a_step], so that A may be a transposed tile; B and C
// row-major. Every element is summed over k in ascending order, whatever the sizes of the tile.
struct TileProduct {
  const float* a;
  std::int64_t a_row, a_step;
  const float* b;
  std::int64_t b_stride;
  float* c;
  std::int64_t c_stride;
  std::int64_t rows, columns, depth;  // columns: a multiple of kLanePadding
  bool accumulate;
  RowsAhead* ahead = nullptr;  // loaded meanwhile; null: nothing is
};

template <int kRows, int kVectors>
void product_block(const TileProduct& p, std::int64_t row, std::int64_t column) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const float* HWY_RESTRICT a = p.a + row * p.a_row;
  const float* HWY_RESTRICT b = p.b + column;
  float* HWY_RESTRICT c = p.c + row * p.c_stride + column;
  V sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = p.accumulate ? hn::LoadU(d, c + r * p.c_stride + v * lanes) : hn::Zero(d);
    }
  }
  for (std::int64_t k = 0; k < p.depth; ++k) {
    if (p.ahead != nullptr) p.ahead->fetch_line();
    V b_vector[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) b_vector[v] = hn::LoadU(d, b + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const V a_element = hn::Set(d, a[r * p.a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = hn::MulAdd(a_element, b_vector[v], sum[r][v]);
      }
    }
    a += p.a_step;
    b += p.b_stride;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, c + r * p.c_stride + v * lanes);
    }
  }
}

template <int kRows>
void product_rows(const TileProduct& p, std::int64_t row) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t column = 0;
  for (; column + 2 * lanes <= p.columns; column += 2 * lanes) {
    product_block<kRows, 2>(p, row, column);
  }
  for (; column < p.columns; column += lanes) product_block<kRows, 1>(p, row, column);
}

template <int kRows>
void product_last_rows(const TileProduct& p, std::int64_t row) {
  if constexpr (kRows > 0) {
    if (p.rows - row == kRows) return product_rows<kRows>(p, row);
    product_last_rows<kRows - 1>(p, row);
  }
}

inline void tile_product(const TileProduct& p) {
  std::int64_t row = 0;
  for (; row + kBlockRows <= p.rows; row += kBlockRows) product_rows<kBlockRows>(p, row);
  product_last_rows<kBlockRows - 1>(p, row);
}

// out[r][0 .. width) = in[r] * factor, then zeros up to padded_width.
inline void copy_rows(const float* in, std::int64_t stride, std::int64_t rows, std::int64_t width,
                      float factor, float* out, std::int64_t padded_width) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t r = 0; r < rows; ++r, in += stride, out += padded_width) {
    std::int64_t c = 0;
    for (; c + lanes <= width; c += lanes) {
      hn::StoreU(hn::Mul(hn::LoadU(d, in + c), hn::Set(d, factor)), d, out + c);
    }
    for (; c < width; ++c) out[c] = in[c] * factor;
    for (; c < padded_width; ++c) out[c] = 0.0f;
  }
}

#if HWY_TARGET == HWY_AVX3
// Four columns of 16 rows to four rows of 16 columns: quarter b of a vector takes the columns of
// row 4 b + i, and the shuffles of a four by four transposition within quarters leave whole rows.
HWY_INLINE void transpose_sixteen_rows(const float* HWY_RESTRICT in, std::int64_t stride,
                                       float* HWY_RESTRICT out) {
  const hn::FixedTag<float, 16> d;
  const hn::FixedTag<float, 8> half;
  const hn::FixedTag<float, 4> quarter;
  const hn::RepartitionToWide<decltype(d)> d2;
  const auto rows_from = [&](std::int64_t i) HWY_ATTR {
    const float* row = in + i * stride;
    const auto lower =
        hn::Combine(half, hn::LoadU(quarter, row + 4 * stride), hn::LoadU(quarter, row));
    const auto upper = hn::Combine(half, hn::LoadU(quarter, row + 12 * stride),
                                   hn::LoadU(quarter, row + 8 * stride));
    return hn::Combine(d, upper, lower);
  };
  const auto r0 = rows_from(0), r1 = rows_from(1), r2 = rows_from(2), r3 = rows_from(3);
  const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d, r0, r1));
  const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d, r0, r1));
  const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, low01, low23)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, low01, low23)), d, out + kTile);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, high01, high23)), d, out + 2 * kTile);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, high01, high23)), d, out + 3 * kTile);
}
#endif

// out[c][r] = in[r][c] in rows of kTile; columns beyond `rows` are zero.
inline void copy_transposed(const float* in, std::int64_t stride, std::int64_t rows,
                            std::int64_t width, float* out) {
  std::int64_t r = 0;
#if HWY_TARGET == HWY_AVX3
  for (; r + 16 <= rows; r += 16) {
    const float* row = in + r * stride;
    std::int64_t c = 0;
    for (; c + 4 <= width; c += 4) transpose_sixteen_rows(row + c, stride, out + c * kTile + r);
    for (; c < width; ++c) {
      for (std::int64_t k = 0; k < 16; ++k) out[c * kTile + r + k] = row[c + k * stride];
    }
  }
#endif
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d;
  const hn::RepartitionToWide<decltype(d)> d2;
  for (; r + 4 <= rows; r += 4) {
    const float* HWY_RESTRICT row = in + r * stride;
    std::int64_t c = 0;
    for (; c + 4 <= width; c += 4) {
      const auto r0 = hn::LoadU(d, row + c);
      const auto r1 = hn::LoadU(d, row + c + stride);
      const auto r2 = hn::LoadU(d, row + c + 2 * stride);
      const auto r3 = hn::LoadU(d, row + c + 3 * stride);
      const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d, r0, r1));
      const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d, r2, r3));
      const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d, r0, r1));
      const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d, r2, r3));
      float* HWY_RESTRICT to = out + c * kTile + r;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, low01, low23)), d, to);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, low01, low23)), d, to + kTile);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, high01, high23)), d, to + 2 * kTile);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, high01, high23)), d, to + 3 * kTile);
    }
    for (; c < width; ++c) {
      for (std::int64_t k = 0; k < 4; ++k) out[c * kTile + r + k] = row[c + k * stride];
    }
  }
#endif
  for (; r < rows; ++r) {
    for (std::int64_t c = 0; c < width; ++c) out[c * kTile + r] = in[r * stride + c];
  }
  for (std::int64_t c = 0; c < width; ++c) {
    for (std::int64_t k = rows; k < kTile; ++k) out[c * kTile + k] = 0.0f;
  }
}

inline void multiply_in_place(float* x, std::int64_t padded_count, float factor) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < padded_count; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor)), d, x + i);
  }
}

// out[r] = in[r] * factor without the padding.
inline void copy_without_padding(const float* in, std::int64_t padded_width, std::int64_t rows,
                                 std::int64_t width, float factor, float* out,
                                 std::int64_t stride) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t r = 0; r < rows; ++r, in += padded_width, out += stride) {
    std::int64_t c = 0;
    for (; c + lanes <= width; c += lanes) {
      hn::StoreU(hn::Mul(hn::LoadU(d, in + c), hn::Set(d, factor)), d, out + c);
    }
    for (; c < width; ++c) out[c] = in[c] * factor;
  }
}

inline void fill_zero(float* out, std::int64_t count) {
  std::memset(out, 0, static_cast<std::size_t>(count) * sizeof(float));
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // toggling guard
