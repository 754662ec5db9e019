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
using Wide = hn::ScalableTag<std::uint64_t>;
using Words = hn::Vec<Wide>;

// The product of the lower halves.
HWY_INLINE Words multiply_low(Words a, Words b) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(Wide(), hn::GetLane(a) * hn::GetLane(b));
#else
  const hn::Repartition<std::uint32_t, Wide> narrow;
  return hn::MulEven(hn::BitCast(narrow, a), hn::BitCast(narrow, b));
#endif
}

// The factors of the quads [quad, quad + Lanes), each quad's four words in c[0] .. c[3].
HWY_INLINE void quads_of_words(const DropoutMask& mask, std::uint64_t quad, Words (&c)[4]) {
  const Wide d;
  const Words low = hn::Set(d, 0xFFFFFFFFull);
  const std::uint64_t high = mask.stream.counter_high();
  const Words index = hn::Add(hn::Set(d, quad), hn::Iota(d, 0));
  c[0] = hn::And(index, low);
  c[1] = hn::ShiftRight<32>(index);
  c[2] = hn::Set(d, high & 0xFFFFFFFFull);
  c[3] = hn::Set(d, high >> 32);
  const Words m0 = hn::Set(d, 0xD2511F53ull), m1 = hn::Set(d, 0xCD9E8D57ull);
  auto k0 = static_cast<std::uint32_t>(mask.stream.seed);
  auto k1 = static_cast<std::uint32_t>(mask.stream.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const Words p0 = multiply_low(m0, c[0]), p1 = multiply_low(m1, c[2]);
    c[0] = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), c[1]), hn::Set(d, std::uint64_t{k0}));
    c[2] = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), c[3]), hn::Set(d, std::uint64_t{k1}));
    c[1] = hn::And(p1, low);
    c[3] = hn::And(p0, low);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

// Whole quads from `quad` on, as many as fit in vectors; returns how many.
std::int64_t whole_quads(const DropoutMask& mask, std::uint64_t quad, std::int64_t quads,
                         float* out) {
  const Wide d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const float scale = mask.keep_scale();
  std::int64_t done = 0;
  for (; done + lanes <= quads; done += lanes) {
    Words words[4];
    quads_of_words(mask, quad + static_cast<std::uint64_t>(done), words);
    HWY_ALIGN std::uint64_t at[4][hn::MaxLanes(Wide())];
    for (int word = 0; word < 4; ++word) hn::Store(words[word], d, at[word]);
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      for (std::int64_t word = 0; word < 4; ++word) {
        const float uniform = uniform_float(static_cast<std::uint32_t>(at[word][lane]));
        out[(done + lane) * 4 + word] = uniform >= mask.probability ? scale : 0.0f;
      }
    }
  }
  return done;
}

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
