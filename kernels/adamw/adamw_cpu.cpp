#include "kernels/adamw/adamw.h"
#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw/adamw_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/philox-inl.h"

#ifndef OVID_KERNELS_ADAMW_FACTORS
#define OVID_KERNELS_ADAMW_FACTORS
namespace ovid::kernels::cpu {

// What equations (1) to (3) need for each element, worked out once in double.
struct AdamWFactors {
  float gradient_scale;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float keep;          // 1 - learning_rate * weight_decay
  float step_size;     // learning_rate / (1 - beta1^step)
  float inverse_root;  // 1 / sqrt(1 - beta2^step)
  float epsilon;
};

// Of all four arrays; 1,024 measured as good as 2,048 and better than 512.
inline constexpr std::int64_t kPrefetchedBytes = 1024;

template <class Moment>
struct AdamWRange {
  float* weight;
  const float* gradient;
  Moment* first_moment;
  Moment* second_moment;
  std::int64_t count;
};

// Moments in bfloat16, as bits, and what rounds them.
struct RoundedMoments {
  AdamWRange<std::uint16_t> range;
  RandomStream stream;
  std::uint64_t first_index;  // of the range's element 0 in the stream
};

}  // namespace ovid::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class V>
struct Element {
  V weight, first_moment, second_moment;
};

// The operations and their order are those of torch.optim.AdamW (decay, lerp of m, v, then
// sqrt(v) / root + epsilon), so that long runs stay close to its; but for one division, which is a
// multiplication here: divisions take most of the time where the tensors are in the caches.
template <class D, class V = hn::Vec<D>>
HWY_INLINE Element<V> updated(D d, const AdamWFactors& f, const Element<V>& old, V gradient) {
  const V g = hn::Mul(gradient, hn::Set(d, f.gradient_scale));
  const V m =
      hn::MulAdd(hn::Set(d, f.one_minus_beta1), hn::Sub(g, old.first_moment), old.first_moment);
  const V decayed_v = hn::Mul(old.second_moment, hn::Set(d, f.beta2));
  const V v = hn::MulAdd(hn::Mul(g, g), hn::Set(d, f.one_minus_beta2), decayed_v);
  const V decayed_w = hn::Mul(old.weight, hn::Set(d, f.keep));
  const V denominator = hn::MulAdd(hn::Sqrt(v), hn::Set(d, f.inverse_root), hn::Set(d, f.epsilon));
  const V update = hn::Div(hn::Mul(hn::Set(d, f.step_size), m), denominator);
  return {hn::Sub(decayed_w, update), m, v};
}

template <class D>
HWY_INLINE void update_vector(D d, const AdamWFactors& f, const AdamWRange<float>& r,
                              std::int64_t at) {
  const auto e = updated(d, f,
                         {hn::LoadU(d, r.weight + at), hn::LoadU(d, r.first_moment + at),
                          hn::LoadU(d, r.second_moment + at)},
                         hn::LoadU(d, r.gradient + at));
  hn::StoreU(e.first_moment, d, r.first_moment + at);
  hn::StoreU(e.second_moment, d, r.second_moment + at);
  hn::StoreU(e.weight, d, r.weight + at);
}

template <class D>
HWY_INLINE hn::Vec<D> load_bfloat16(D d, const std::uint16_t* from) {
  const hn::RebindToUnsigned<D> bits;
  const hn::Rebind<std::uint16_t, D> half;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(bits, hn::LoadU(half, from))));
}

// round_to_bfloat16 of stochastic_rounding.h, of which `random` has the lower 16 bits alone.
template <class D, class Bits>
HWY_INLINE void store_rounded(D /*d*/, hn::Vec<D> x, Bits random, std::uint16_t* to) {
  const hn::RebindToUnsigned<D> bits;
  const hn::Rebind<std::uint16_t, D> half;
  const auto exact = hn::BitCast(bits, x);
  const auto is_nan = hn::RebindMask(bits, hn::IsNaN(x));
  const auto rounded =
      hn::IfThenElse(is_nan, hn::Or(exact, hn::Set(bits, 0x00400000u)), hn::Add(exact, random));
  hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(rounded)), half, to);
}

// `words` has the range's random words from element `at` on.
template <class D>
HWY_INLINE void update_rounded(D d, const AdamWFactors& f, const AdamWRange<std::uint16_t>& r,
                               std::int64_t at, const std::uint32_t* words) {
  const hn::RebindToUnsigned<D> bits;
  const auto e = updated(d, f,
                         {hn::LoadU(d, r.weight + at), load_bfloat16(d, r.first_moment + at),
                          load_bfloat16(d, r.second_moment + at)},
                         hn::LoadU(d, r.gradient + at));
  const auto word = hn::LoadU(bits, words);
  store_rounded(d, e.first_moment, hn::And(word, hn::Set(bits, 0xFFFFu)), r.first_moment + at);
  store_rounded(d, e.second_moment, hn::ShiftRight<16>(word), r.second_moment + at);
  hn::StoreU(e.weight, d, r.weight + at);
}

// Calls update(tag, at) for all of [begin, end), the rest behind whole vectors by the same
// operations one by one, so that bits do not depend on where a piece ends.
template <class Update>
HWY_INLINE void for_each_vector(std::int64_t begin, std::int64_t end, Update update) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = begin;
  for (; i + lanes <= end; i += lanes) update(d, i);
  for (; i < end; ++i) update(one, i);
}

void adamw_range(const AdamWFactors& factors, const AdamWRange<float>& r) {
  const auto update = [&](auto d, std::int64_t at) { update_vector(d, factors, r, at); };
  std::int64_t i = 0;
  // 28 bytes an element against two divisions and a root: memory is the limit, and the processor's
  // own prefetching keeps too few lines of four arrays under way.
  for (; i + kFloatsOfLine <= r.count; i += kFloatsOfLine) {
    prefetch_for_writing(r.weight + i, kPrefetchedBytes);
    prefetch_behind(r.gradient + i, kPrefetchedBytes);
    prefetch_for_writing(r.first_moment + i, kPrefetchedBytes);
    prefetch_for_writing(r.second_moment + i, kPrefetchedBytes);
    for_each_vector(i, i + kFloatsOfLine, update);
  }
  for_each_vector(i, r.count, update);
}

// The words of whole quads from `quad` on.
void fill_words(const RandomStream& stream, std::uint64_t quad, std::int64_t quads,
                std::uint32_t* out) {
  std::int64_t done = 0;
#if HWY_TARGET != HWY_SCALAR
  done = for_words_of_quads(stream, quad, quads, [out](auto words, std::int64_t at) {
    hn::StoreU(words, hn::DFromV<decltype(words)>(), out + at);
  });
#endif
  for (; done < quads; ++done) {
    const Philox4x32 four = random_words(stream, quad + static_cast<std::uint64_t>(done));
    for (std::size_t i = 0; i < 4; ++i) out[done * 4 + static_cast<std::int64_t>(i)] = four[i];
  }
}

void adamw_range_rounded(const AdamWFactors& factors, const RoundedMoments& moments) {
  const AdamWRange<std::uint16_t>& r = moments.range;
  constexpr std::int64_t kElementsAtOnce = 1024;  // whose words stay in the first cache
  constexpr std::int64_t kStep = 2 * kFloatsOfLine;
  HWY_ALIGN std::uint32_t words[kElementsAtOnce + 8];
  const auto lead = static_cast<std::int64_t>(moments.first_index % 4);
  for (std::int64_t begin = 0; begin < r.count; begin += kElementsAtOnce) {
    const std::int64_t left = r.count - begin;
    const std::int64_t end = begin + (left < kElementsAtOnce ? left : kElementsAtOnce);
    fill_words(moments.stream, (moments.first_index + static_cast<std::uint64_t>(begin)) / 4,
               (lead + end - begin + 3) / 4, words);
    const std::uint32_t* const own = words + lead - begin;
    const auto update = [&](auto d, std::int64_t at) {
      update_rounded(d, factors, r, at, own + at);
    };
    std::int64_t i = begin;
    for (; i + kStep <= end; i += kStep) {
      for (std::int64_t line = i; line < i + kStep; line += kFloatsOfLine) {
        prefetch_for_writing(r.weight + line, kPrefetchedBytes);
        prefetch_behind(r.gradient + line, kPrefetchedBytes);
      }
      prefetch_for_writing(r.first_moment + i, kPrefetchedBytes);
      prefetch_for_writing(r.second_moment + i, kPrefetchedBytes);
      for_each_vector(i, i + kStep, update);
    }
    for_each_vector(i, end, update);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/adamw/adamw_rounding.h"

namespace ovid::kernels::cpu {

HWY_EXPORT(adamw_range);
HWY_EXPORT(adamw_range_rounded);

namespace {

// 64 KiB over the four arrays: the tensors of a small model still give each thread its share.
constexpr std::int64_t kElementsPerPiece = 4096;

AdamWFactors factors_of(const AdamW& op, float gradient_scale, double weight_decay) {
  const double step = static_cast<double>(op.step);
  const double correction1 = 1.0 - std::pow(op.beta1, step);
  const double correction2 = 1.0 - std::pow(op.beta2, step);
  return {.gradient_scale = gradient_scale,
          .one_minus_beta1 = static_cast<float>(1.0 - op.beta1),
          .beta2 = static_cast<float>(op.beta2),
          .one_minus_beta2 = static_cast<float>(1.0 - op.beta2),
          .keep = static_cast<float>(1.0 - op.learning_rate * weight_decay),
          .step_size = static_cast<float>(op.learning_rate / correction1),
          .inverse_root = static_cast<float>(1.0 / std::sqrt(correction2)),
          .epsilon = static_cast<float>(op.epsilon)};
}

// The words with which the functions of stochastic_rounding.h round to nearest, ties to even: of
// what they drop, half a unit is just not enough for a step up where the kept part is even.
std::uint32_t nearest_word_of_bfloat16(float x) {
  return 0x7FFFu + ((std::bit_cast<std::uint32_t>(x) >> 16) & 1u);
}
std::uint32_t nearest_word_of_float16(float x) {
  const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFFu;
  if (magnitude >= 0x38800000u) return 0xFFFu + ((magnitude >> 13) & 1u);
  // Denormals: 24 bits of significand, of which `shift` go.
  const std::uint32_t shift = 126u - (magnitude >> 23);
  if (shift >= 32) return 0xFFFFFFFFu;
  const std::uint32_t significand = (magnitude & 0x7FFFFFu) | 0x800000u;
  return (1u << (shift - 1)) - ((significand >> shift) & 1u);
}

// Equation (4) for elements [begin, end).
void round_range(const AdamW& op, const AdamWTensor& tensor, std::int64_t begin, std::int64_t end) {
  const float* weight = tensor.weight.data<float>();
  std::uint16_t* rounded = tensor.rounded->data<std::uint16_t>();
  const bool is_bfloat16 = tensor.rounded->dtype() == DType::kBfloat16;
  Philox4x32 words{};
  for (std::int64_t i = begin; i < end; ++i) {
    const float w = weight[i];
    if (!op.rounding) {
      rounded[i] = is_bfloat16 ? round_to_bfloat16(w, nearest_word_of_bfloat16(w))
                               : round_to_float16(w, nearest_word_of_float16(w));
      continue;
    }
    const std::uint64_t index = tensor.first_index + static_cast<std::uint64_t>(i);
    const RoundingDraw draw = rounding_draw(index / 4);
    if (i == begin || index % 4 == 0) words = random_words(*op.rounding, draw.counter);
    const std::uint32_t bits = rounding_bits(words[index % 4], draw.upper_half);
    rounded[i] = is_bfloat16 ? round_to_bfloat16_by(bits, w) : round_to_float16_by(bits, w);
  }
}

// A tensor's place in the row of all tensors' pieces: one parallel region updates them all, since a
// small model has some fifty tensors of some microseconds each.
struct TensorPieces {
  const AdamWTensor* tensor;
  AdamWFactors factors;
  std::int64_t first, end;  // pieces
};

std::vector<TensorPieces> pieces_of(const AdamW& op, float gradient_scale) {
  std::vector<TensorPieces> all;
  std::int64_t first = 0;
  for (const AdamWTensor& tensor : op.tensors) {
    const std::int64_t elements = tensor.weight.elements();
    const std::int64_t end = first + (elements + kElementsPerPiece - 1) / kElementsPerPiece;
    all.push_back({&tensor, factors_of(op, gradient_scale, tensor.weight_decay), first, end});
    first = end;
  }
  return all;
}

template <class Moment>
AdamWRange<Moment> range_of(const AdamWTensor& tensor, std::int64_t begin, std::int64_t end) {
  return {.weight = tensor.weight.data<float>() + begin,
          .gradient = tensor.gradient.data<float>() + begin,
          .first_moment = static_cast<Moment*>(tensor.first_moment.raw()) + begin,
          .second_moment = static_cast<Moment*>(tensor.second_moment.raw()) + begin,
          .count = end - begin};
}

void update_piece(const AdamW& op, const TensorPieces& of, std::int64_t piece) {
  const AdamWTensor& tensor = *of.tensor;
  const std::int64_t begin = (piece - of.first) * kElementsPerPiece;
  const std::int64_t end = std::min(begin + kElementsPerPiece, tensor.weight.elements());
  if (tensor.first_moment.dtype() == DType::kFloat32) {
    HWY_DYNAMIC_DISPATCH(adamw_range)(of.factors, range_of<float>(tensor, begin, end));
  } else {
    HWY_DYNAMIC_DISPATCH(adamw_range_rounded)
    (of.factors, {.range = range_of<std::uint16_t>(tensor, begin, end),
                  .stream = *op.moment_rounding,
                  .first_index = tensor.first_index + static_cast<std::uint64_t>(begin)});
  }
  if (tensor.rounded) round_range(op, tensor, begin, end);
}

}  // namespace

void adamw_update(ExecutionContext& ctx, const AdamW& op) {
  float scale = op.gradient_scale;
  if (op.gradient_scale_on_device) scale *= *op.gradient_scale_on_device->data<float>();
  if (!std::isfinite(scale) || op.tensors.empty()) return;
  const std::vector<TensorPieces> all = pieces_of(op, scale);
  parallel_for(ctx.threads(), all.back().end, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const auto ends_behind = [piece](const TensorPieces& of) { return of.end <= piece; };
      update_piece(op, *std::partition_point(all.begin(), all.end(), ends_behind), piece);
    }
  });
}

}  // namespace ovid::kernels::cpu
#endif
