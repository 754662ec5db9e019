#include "kernels/cpu/dropout_factors.h"

#include <algorithm>

#include "kernels/cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dropout_factors.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Philox4x32-10 as in kernels/common/random.h, with one counter in each 64-bit lane: the 32-bit
// words lie in the lower halves, so that a product of two of them is one instruction on all lanes.
// Upper halves hold what the rounds leave there; a product does not see them.
using Wide = hn::ScalableTag<std::uint64_t>;
using Words = hn::Vec<Wide>;

// The product of the lower halves.
HWY_INLINE Words multiply_low(Words a, Words b) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(Wide(), (hn::GetLane(a) & 0xFFFFFFFFull) * (hn::GetLane(b) & 0xFFFFFFFFull));
#else
  const hn::Repartition<std::uint32_t, Wide> narrow;
  return hn::MulEven(hn::BitCast(narrow, a), hn::BitCast(narrow, b));
#endif
}

// The upper halves in the lower ones. A shuffle where there is one: the unit that multiplies also
// shifts, and has enough to do.
HWY_INLINE Words upper_halves(Words a) {
#if HWY_TARGET == HWY_SCALAR
  return hn::ShiftRight<32>(a);
#else
  const hn::Repartition<std::uint32_t, Wide> narrow;
  return hn::BitCast(Wide(), hn::Shuffle2301(hn::BitCast(narrow, a)));
#endif
}

// The keys of the ten rounds, two each.
struct RoundKeys {
  explicit RoundKeys(std::uint64_t seed) {
    auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
    for (std::size_t round = 0; round < 10; ++round) {
      even[round] = k0;
      odd[round] = k1;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
  }
  std::uint64_t even[10], odd[10];
};

// The four words of each of the quads `index`, in the lower halves of c[0] .. c[3].
HWY_INLINE void words_of_quads(const RandomStream& stream, const RoundKeys& keys, Words index,
                               Words (&c)[4]) {
  const Wide d;
  const std::uint64_t high = stream.counter_high();
  c[0] = index;
  c[1] = hn::ShiftRight<32>(index);
  c[2] = hn::Set(d, high & 0xFFFFFFFFull);
  c[3] = hn::Set(d, high >> 32);
  const Words m0 = hn::Set(d, 0xD2511F53ull), m1 = hn::Set(d, 0xCD9E8D57ull);
#pragma GCC unroll 10
  for (std::size_t round = 0; round < 10; ++round) {
    const Words p0 = multiply_low(m0, c[0]), p1 = multiply_low(m1, c[2]);
    c[0] = hn::Xor3(upper_halves(p1), c[1], hn::Set(d, keys.even[round]));
    c[2] = hn::Xor3(upper_halves(p0), c[3], hn::Set(d, keys.odd[round]));
    c[1] = p1;
    c[3] = p0;
  }
}

#if HWY_TARGET == HWY_SCALAR

std::int64_t whole_quads(const DropoutMask& mask, std::uint64_t quad, std::int64_t quads,
                         float* out) {
  const RoundKeys keys(mask.stream.seed);
  for (std::int64_t done = 0; done < quads; ++done) {
    Words words[4];
    words_of_quads(mask.stream, keys, hn::Set(Wide(), quad + static_cast<std::uint64_t>(done)),
                   words);
    for (std::size_t word = 0; word < 4; ++word) {
      const auto bits = static_cast<std::uint32_t>(hn::GetLane(words[word]));
      out[done * 4 + static_cast<std::int64_t>(word)] =
          uniform_float(bits) >= mask.probability ? mask.keep_scale() : 0.0f;
    }
  }
  return quads;
}

#else

// The factors of the random words `bits`: uniform_float and its comparison, lane by lane.
HWY_INLINE void store_factors(Words bits, const DropoutMask& mask, float* out) {
  const hn::Repartition<std::uint32_t, Wide> words;
  const hn::RebindToSigned<decltype(words)> integers;
  const hn::RebindToFloat<decltype(words)> d;
  const auto upper = hn::BitCast(integers, hn::ShiftRight<8>(hn::BitCast(words, bits)));
  const auto uniform = hn::Mul(hn::ConvertTo(d, upper), hn::Set(d, 0x1p-24f));
  const auto kept = hn::Ge(uniform, hn::Set(d, mask.probability));
  hn::StoreU(hn::IfThenElseZero(kept, hn::Set(d, mask.keep_scale())), d, out);
}

// Whole quads from `quad` on, as many as fit in vectors; returns how many.
std::int64_t whole_quads(const DropoutMask& mask, std::uint64_t quad, std::int64_t quads,
                         float* out) {
  const Wide d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const Words low = hn::Set(d, 0xFFFFFFFFull);
  // Interleaving takes the even lanes for its lower result and the odd ones for its upper: so the
  // even lanes get the first half of the quads, and both results are in order.
  HWY_ALIGN std::uint64_t order[hn::MaxLanes(Wide())];
  for (std::int64_t lane = 0; lane < lanes; ++lane)
    order[lane] = static_cast<std::uint64_t>(lane / 2 + lane % 2 * (lanes / 2));
  const Words offsets = hn::Load(d, order);
  const RoundKeys keys(mask.stream.seed);
  std::int64_t done = 0;
  for (; done + lanes <= quads; done += lanes) {
    Words c[4];
    const std::uint64_t first = quad + static_cast<std::uint64_t>(done);
    words_of_quads(mask.stream, keys, hn::Add(hn::Set(d, first), offsets), c);
    const Words front = hn::Or(hn::And(c[0], low), hn::ShiftLeft<32>(c[1]));
    const Words back = hn::Or(hn::And(c[2], low), hn::ShiftLeft<32>(c[3]));
    store_factors(hn::InterleaveLower(d, front, back), mask, out + done * 4);
    store_factors(hn::InterleaveUpper(d, front, back), mask, out + done * 4 + 2 * lanes);
  }
  return done;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(whole_quads);

void dropout_factors(const DropoutMask& mask, std::uint64_t first, std::int64_t count, float* out) {
  std::int64_t i = 0;
  for (; i < count && (first + static_cast<std::uint64_t>(i)) % 4 != 0; ++i) {
    out[i] = mask.factor(first + static_cast<std::uint64_t>(i));
  }
  const std::uint64_t quad = (first + static_cast<std::uint64_t>(i)) / 4;
  i += 4 * HWY_DYNAMIC_DISPATCH(whole_quads)(mask, quad, (count - i) / 4, out + i);
  float four[4];
  for (; i < count; i += 4) {
    mask.factors((first + static_cast<std::uint64_t>(i)) / 4, four);
    std::copy_n(four, std::min<std::int64_t>(4, count - i), out + i);
  }
}

}  // namespace ovid::kernels::cpu
#endif
