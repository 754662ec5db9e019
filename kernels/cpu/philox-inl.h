// Philox4x32-10 of kernels/common/random.h on vectors: several counters at a time, the same bits.
// Included once for each instruction set (see kernels/cpu/simd.h).
// clang-format off
#if defined(OVID_KERNELS_CPU_PHILOX_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef OVID_KERNELS_CPU_PHILOX_INL_H
#undef OVID_KERNELS_CPU_PHILOX_INL_H
#else
#define OVID_KERNELS_CPU_PHILOX_INL_H
#endif
// clang-format on

#include <cstdint>

#include "hwy/highway.h"
#include "kernels/common/random.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

// One counter in each 64-bit lane: the 32-bit words lie in the lower halves, so that a product of
// two of them is one instruction on all lanes. Upper halves hold what the rounds leave there; a
// product does not see them.
using PhiloxLanes = hwy::HWY_NAMESPACE::ScalableTag<std::uint64_t>;
using PhiloxWords = hwy::HWY_NAMESPACE::Vec<PhiloxLanes>;

// The product of the lower halves.
HWY_INLINE PhiloxWords multiply_low(PhiloxWords a, PhiloxWords b) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(PhiloxLanes(),
                 (hn::GetLane(a) & 0xFFFFFFFFull) * (hn::GetLane(b) & 0xFFFFFFFFull));
#else
  const hn::Repartition<std::uint32_t, PhiloxLanes> narrow;
  return hn::MulEven(hn::BitCast(narrow, a), hn::BitCast(narrow, b));
#endif
}

// The upper halves in the lower ones. A shuffle where there is one: the unit that multiplies also
// shifts, and has enough to do.
HWY_INLINE PhiloxWords upper_halves(PhiloxWords a) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET == HWY_SCALAR
  return hn::ShiftRight<32>(a);
#else
  const hn::Repartition<std::uint32_t, PhiloxLanes> narrow;
  return hn::BitCast(PhiloxLanes(), hn::Shuffle2301(hn::BitCast(narrow, a)));
#endif
}

// The keys of the ten rounds, two each.
struct PhiloxKeys {
  explicit PhiloxKeys(std::uint64_t seed) {
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
HWY_INLINE void words_of_quads(const RandomStream& stream, const PhiloxKeys& keys,
                               PhiloxWords index, PhiloxWords (&c)[4]) {
  namespace hn = hwy::HWY_NAMESPACE;
  const PhiloxLanes d;
  const std::uint64_t high = stream.counter_high();
  c[0] = index;
  c[1] = hn::ShiftRight<32>(index);
  c[2] = hn::Set(d, high & 0xFFFFFFFFull);
  c[3] = hn::Set(d, high >> 32);
  const PhiloxWords m0 = hn::Set(d, 0xD2511F53ull), m1 = hn::Set(d, 0xCD9E8D57ull);
#pragma GCC unroll 10
  for (std::size_t round = 0; round < 10; ++round) {
    const PhiloxWords p0 = multiply_low(m0, c[0]), p1 = multiply_low(m1, c[2]);
    c[0] = hn::Xor3(upper_halves(p1), c[1], hn::Set(d, keys.even[round]));
    c[2] = hn::Xor3(upper_halves(p0), c[3], hn::Set(d, keys.odd[round]));
    c[1] = p1;
    c[3] = p0;
  }
}

#if HWY_TARGET != HWY_SCALAR

// Calls put(words, at) for the words of the quads from `quad` on, as many as fit in vectors: a
// vector of 32-bit words in the order of the stream, `at` of them before it. Returns how many quads
// were done.
template <class Put>
HWY_INLINE std::int64_t for_words_of_quads(const RandomStream& stream, std::uint64_t quad,
                                           std::int64_t quads, Put put) {
  namespace hn = hwy::HWY_NAMESPACE;
  const PhiloxLanes d;
  const hn::Repartition<std::uint32_t, PhiloxLanes> narrow;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const PhiloxWords low = hn::Set(d, 0xFFFFFFFFull);
  // Interleaving takes the even lanes for its lower result and the odd ones for its upper: so the
  // even lanes get the first half of the quads, and both results are in order.
  HWY_ALIGN std::uint64_t order[hn::MaxLanes(PhiloxLanes())];
  for (std::int64_t lane = 0; lane < lanes; ++lane)
    order[lane] = static_cast<std::uint64_t>(lane / 2 + lane % 2 * (lanes / 2));
  const PhiloxWords offsets = hn::Load(d, order);
  const PhiloxKeys keys(stream.seed);
  std::int64_t done = 0;
  for (; done + lanes <= quads; done += lanes) {
    PhiloxWords c[4];
    const std::uint64_t first = quad + static_cast<std::uint64_t>(done);
    words_of_quads(stream, keys, hn::Add(hn::Set(d, first), offsets), c);
    const PhiloxWords front = hn::Or(hn::And(c[0], low), hn::ShiftLeft<32>(c[1]));
    const PhiloxWords back = hn::Or(hn::And(c[2], low), hn::ShiftLeft<32>(c[3]));
    put(hn::BitCast(narrow, hn::InterleaveLower(d, front, back)), done * 4);
    put(hn::BitCast(narrow, hn::InterleaveUpper(d, front, back)), done * 4 + 2 * lanes);
  }
  return done;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif
