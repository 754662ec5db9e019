#include "kernels/convert/convert.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/convert/convert_cpu.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/parallel_for.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// A bfloat16 is the upper half of a float. Adding just under half a unit of the lower half, or half
// a unit where the kept part is odd, carries exactly when rounding to nearest even goes up; a carry
// out of the largest significand makes infinity. NaN is kept apart: its carry would end in zero.
template <class D>
hn::Vec<D> rounded_to_upper_half(D d, hn::Vec<D> bits) {
  const auto magnitude = hn::And(bits, hn::Set(d, 0x7FFFFFFFu));
  const auto is_nan = hn::Gt(magnitude, hn::Set(d, 0x7F800000u));
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1u));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(d, 0x7FFFu)));
  const auto quiet = hn::Or(bits, hn::Set(d, 0x00400000u));
  return hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded));
}

void float32_to_bfloat16(const float* in, std::uint16_t* out, std::int64_t count) {
  const hn::ScalableTag<std::uint32_t> d;
  const hn::Rebind<std::uint16_t, hn::ScalableTag<std::uint32_t>> half;
  const hn::CappedTag<std::uint32_t, 1> one;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const hn::RebindToFloat<decltype(d)> df;
  const hn::RebindToSigned<decltype(d)> di;
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto upper = rounded_to_upper_half(d, hn::BitCast(d, hn::LoadU(df, in + i)));
    // Below 2^16, hence exact: demotion takes signed numbers and saturates.
    hn::StoreU(hn::DemoteTo(half, hn::BitCast(di, upper)), half, out + i);
  }
  for (; i < count; ++i) {
    const hn::RebindToFloat<decltype(one)> one_f;
    const auto bits = hn::BitCast(one, hn::Set(one_f, in[i]));
    out[i] = static_cast<std::uint16_t>(hn::GetLane(rounded_to_upper_half(one, bits)));
  }
}

void bfloat16_to_float32(const std::uint16_t* in, float* out, std::int64_t count) {
  const hn::ScalableTag<std::uint32_t> d;
  const hn::Rebind<std::uint16_t, hn::ScalableTag<std::uint32_t>> half;
  const hn::RebindToFloat<decltype(d)> df;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(d, hn::LoadU(half, in + i)));
    hn::StoreU(hn::BitCast(df, bits), df, out + i);
  }
  const hn::CappedTag<std::uint32_t, 1> one;
  const hn::RebindToFloat<decltype(one)> one_f;
  for (; i < count; ++i) {
    const auto bits = hn::Set(one, static_cast<std::uint32_t>(in[i]) << 16);
    out[i] = hn::GetLane(hn::BitCast(one_f, bits));
  }
}

// Past the caches: the lines are not read before they are written, and what the caches hold stays
// there. `out` is the address of a vector, `bytes` a multiple of its size.
void stream_zeros(std::uint8_t* out, std::int64_t bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < bytes; i += lanes) hn::Stream(hn::Zero(d), d, out + i);
  hwy::FlushStream();
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "kernels/common/stochastic_rounding.h"

namespace ovid::kernels::cpu {

HWY_EXPORT(float32_to_bfloat16);
HWY_EXPORT(bfloat16_to_float32);
HWY_EXPORT(stream_zeros);

namespace {

constexpr std::int64_t kElementsPerPiece = 32768;
constexpr std::int64_t kChunk = 1024;  // widened on the stack where neither side is float32
constexpr std::int64_t kZeroedBytesPerPiece = 1 << 18;
// What is larger will not be found in a core's cache by its reader, and is written past the caches:
// 46 against 20 GB/s on two threads.
constexpr std::int64_t kLeastStreamedBytes = std::int64_t{16} << 20;

std::uint16_t float16_bits(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  std::uint32_t half;
  if (magnitude > 0x7F800000u) {  // NaN, made quiet
    half = 0x7E00u | ((magnitude >> 13) & 0x3FFu);
  } else if (magnitude >= 0x477FF000u) {  // 65520 and above round to infinity
    half = 0x7C00u;
  } else if (magnitude >= 0x38800000u) {  // normal: exponent bias 127 becomes 15
    const std::uint32_t rebiased = magnitude - (112u << 23);
    half = (rebiased + 0xFFFu + ((rebiased >> 13) & 1u)) >> 13;
  } else {
    // The last bit of a float in [0.5, 1) is 2^-24, the unit of float16's denormals: the addition
    // rounds to it, to nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u;
  }
  return static_cast<std::uint16_t>(sign | half);
}

float float16_value(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1Fu;
  const std::uint32_t fraction = half & 0x3FFu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t biased = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (biased << 23) | (fraction << 13));
}

void widen(DType dtype, const void* in, std::int64_t first, float* out, std::int64_t count) {
  switch (dtype) {
    case DType::kBfloat16:
      return HWY_DYNAMIC_DISPATCH(bfloat16_to_float32)(
          static_cast<const std::uint16_t*>(in) + first, out, count);
    case DType::kFloat16: {
      const std::uint16_t* half = static_cast<const std::uint16_t*>(in) + first;
      for (std::int64_t i = 0; i < count; ++i) out[i] = float16_value(half[i]);
      return;
    }
    default:
      std::memcpy(out, static_cast<const float*>(in) + first,
                  static_cast<std::size_t>(count) * sizeof(float));
  }
}

// in: elements [first, first + count)
void narrow_at_random(DType dtype, const RandomStream& stream, const float* in, std::uint16_t* out,
                      std::int64_t first, std::int64_t count) {
  Philox4x32 words{};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto index = static_cast<std::uint64_t>(first + i);
    if (i == 0 || index % 4 == 0) words = random_words(stream, index / 4);
    const std::uint32_t word = words[index % 4];
    out[i] =
        dtype == DType::kBfloat16 ? round_to_bfloat16(in[i], word) : round_to_float16(in[i], word);
  }
}

void narrow(const Convert& op, const float* in, std::int64_t first, std::int64_t count) {
  std::uint16_t* half = static_cast<std::uint16_t*>(op.out.raw()) + first;
  if (op.rounding) {
    narrow_at_random(op.out.dtype(), *op.rounding, in, half, first, count);
  } else if (op.out.dtype() == DType::kBfloat16) {
    HWY_DYNAMIC_DISPATCH(float32_to_bfloat16)(in, half, count);
  } else {
    for (std::int64_t i = 0; i < count; ++i) half[i] = float16_bits(in[i]);
  }
}

void convert_scaled(const Convert& op, std::int64_t begin, std::int64_t end) {
  std::array<float, kChunk> wide;
  for (std::int64_t first = begin; first < end; first += kChunk) {
    const std::int64_t count = std::min(kChunk, end - first);
    widen(op.in.dtype(), op.in.raw(), first, wide.data(), count);
    for (std::int64_t i = 0; i < count; ++i) wide[static_cast<std::size_t>(i)] *= op.scale;
    if (op.out.dtype() == DType::kFloat32) {
      std::copy_n(wide.data(), count, op.out.data<float>() + first);
    } else {
      narrow(op, wide.data(), first, count);
    }
  }
}

void convert_piece(const Convert& op, std::int64_t begin, std::int64_t end) {
  const DType from = op.in.dtype();
  const DType to = op.out.dtype();
  if (op.scale != 1.0f) {
    convert_scaled(op, begin, end);
  } else if (from == to) {
    const std::size_t bytes = bytes_of(from);
    std::memcpy(static_cast<char*>(op.out.raw()) + static_cast<std::size_t>(begin) * bytes,
                static_cast<const char*>(op.in.raw()) + static_cast<std::size_t>(begin) * bytes,
                static_cast<std::size_t>(end - begin) * bytes);
  } else if (to == DType::kFloat32) {
    widen(from, op.in.raw(), begin, op.out.data<float>() + begin, end - begin);
  } else if (from == DType::kFloat32) {
    narrow(op, op.in.data<float>() + begin, begin, end - begin);
  } else {
    std::array<float, kChunk> wide;
    for (std::int64_t first = begin; first < end; first += kChunk) {
      const std::int64_t count = std::min(kChunk, end - first);
      widen(from, op.in.raw(), first, wide.data(), count);
      narrow(op, wide.data(), first, count);
    }
  }
}

void zero(std::uint8_t* begin, std::uint8_t* end, bool streamed) {
  constexpr std::uintptr_t kWidestVector = 64;
  if (streamed && end - begin >= 2 * static_cast<std::ptrdiff_t>(kWidestVector)) {
    const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(begin);
    const std::uintptr_t head = (kWidestVector - first % kWidestVector) % kWidestVector;
    std::memset(begin, 0, head);
    begin += head;
    const std::ptrdiff_t whole = (end - begin) / static_cast<std::ptrdiff_t>(kWidestVector) *
                                 static_cast<std::ptrdiff_t>(kWidestVector);
    HWY_DYNAMIC_DISPATCH(stream_zeros)(begin, whole);
    begin += whole;
  }
  std::memset(begin, 0, static_cast<std::size_t>(end - begin));
}

}  // namespace

void convert(ExecutionContext& ctx, const Convert& op) {
  if (ctx.only_measures()) return;
  parallel_for(ctx.threads(), op.in.elements(), kElementsPerPiece,
               [&](std::int64_t begin, std::int64_t end) { convert_piece(op, begin, end); });
}

void set_zero(ExecutionContext& ctx, const SetZero& op) {
  if (ctx.only_measures()) return;
  auto* out = static_cast<std::uint8_t*>(op.out.raw());
  const std::int64_t bytes =
      op.out.elements() * static_cast<std::int64_t>(bytes_of(op.out.dtype()));
  parallel_for(ctx.threads(), bytes, kZeroedBytesPerPiece,
               [&](std::int64_t begin, std::int64_t end) {
                 zero(out + begin, out + end, bytes >= kLeastStreamedBytes);
               });
}

}  // namespace ovid::kernels::cpu
#endif
