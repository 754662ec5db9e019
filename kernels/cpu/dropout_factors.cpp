#include "kernels/cpu/dropout_factors.h"

#include <algorithm>

#include "kernels/cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dropout_factors.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/philox-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

std::int64_t whole_quads(const DropoutMask& mask, std::uint64_t quad, std::int64_t quads,
                         float* out) {
  const PhiloxKeys keys(mask.stream.seed);
  for (std::int64_t done = 0; done < quads; ++done) {
    PhiloxWords words[4];
    words_of_quads(mask.stream, keys,
                   hn::Set(PhiloxLanes(), quad + static_cast<std::uint64_t>(done)), words);
    for (std::size_t word = 0; word < 4; ++word) {
      const auto bits = static_cast<std::uint32_t>(hn::GetLane(words[word]));
      out[done * 4 + static_cast<std::int64_t>(word)] =
          uniform_float(bits) >= mask.probability ? mask.keep_scale() : 0.0f;
    }
  }
  return quads;
}

#else

// Whole quads from `quad` on, as many as fit in vectors; returns how many. The factors of random
// words: uniform_float and its comparison, lane by lane.
std::int64_t whole_quads(const DropoutMask& mask, std::uint64_t quad, std::int64_t quads,
                         float* out) {
  return for_words_of_quads(mask.stream, quad, quads, [&](auto words, std::int64_t at) {
    const hn::DFromV<decltype(words)> narrow;
    const hn::RebindToSigned<decltype(narrow)> integers;
    const hn::RebindToFloat<decltype(narrow)> d;
    const auto upper = hn::BitCast(integers, hn::ShiftRight<8>(words));
    const auto uniform = hn::Mul(hn::ConvertTo(d, upper), hn::Set(d, 0x1p-24f));
    const auto kept = hn::Ge(uniform, hn::Set(d, mask.probability));
    hn::StoreU(hn::IfThenElseZero(kept, hn::Set(d, mask.keep_scale())), d, out + at);
  });
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
