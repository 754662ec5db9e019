#include "kernels/adamw/adamw.h"
#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw/adamw_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/parallel_for.h"

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

struct AdamWRange {
  float* weight;
  const float* gradient;
  float* first_moment;
  float* second_moment;
  std::int64_t count;
};

}  // namespace ovid::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The operations and their order are those of torch.optim.AdamW (decay, lerp of m, v, then
// sqrt(v) / root + epsilon), so that long runs stay close to its; but for one division, which is a
// multiplication here: divisions take most of the time where the tensors are in the caches.
template <class D>
void adamw_vector(D d, const AdamWFactors& f, float* w, const float* gradient, float* m, float* v) {
  const auto g = hn::Mul(hn::LoadU(d, gradient), hn::Set(d, f.gradient_scale));
  const auto old_m = hn::LoadU(d, m);
  const auto new_m = hn::MulAdd(hn::Set(d, f.one_minus_beta1), hn::Sub(g, old_m), old_m);
  const auto decayed_v = hn::Mul(hn::LoadU(d, v), hn::Set(d, f.beta2));
  const auto new_v = hn::MulAdd(hn::Mul(g, g), hn::Set(d, f.one_minus_beta2), decayed_v);
  const auto decayed_w = hn::Mul(hn::LoadU(d, w), hn::Set(d, f.keep));
  const auto denominator =
      hn::MulAdd(hn::Sqrt(new_v), hn::Set(d, f.inverse_root), hn::Set(d, f.epsilon));
  const auto update = hn::Div(hn::Mul(hn::Set(d, f.step_size), new_m), denominator);
  hn::StoreU(new_m, d, m);
  hn::StoreU(new_v, d, v);
  hn::StoreU(hn::Sub(decayed_w, update), d, w);
}

void adamw_range(const AdamWFactors& factors, const AdamWRange& r) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1>
      one;  // the tail by the same operations, so that bits do not depend on where a piece ends
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  // 28 bytes an element against two divisions and a root: memory is the limit, and the processor's
  // own prefetching keeps too few lines of four arrays under way.
  for (; i + kFloatsOfLine <= r.count; i += kFloatsOfLine) {
    prefetch_for_writing(r.weight + i, kPrefetchedBytes);
    prefetch_behind(r.gradient + i, kPrefetchedBytes);
    prefetch_for_writing(r.first_moment + i, kPrefetchedBytes);
    prefetch_for_writing(r.second_moment + i, kPrefetchedBytes);
    for (std::int64_t j = i; j < i + kFloatsOfLine; j += lanes) {
      adamw_vector(d, factors, r.weight + j, r.gradient + j, r.first_moment + j,
                   r.second_moment + j);
    }
  }
  for (; i + lanes <= r.count; i += lanes) {
    adamw_vector(d, factors, r.weight + i, r.gradient + i, r.first_moment + i, r.second_moment + i);
  }
  for (; i < r.count; ++i) {
    adamw_vector(one, factors, r.weight + i, r.gradient + i, r.first_moment + i,
                 r.second_moment + i);
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

void update_piece(const AdamW& op, const TensorPieces& of, std::int64_t piece) {
  const AdamWTensor& tensor = *of.tensor;
  const std::int64_t begin = (piece - of.first) * kElementsPerPiece;
  const std::int64_t end = std::min(begin + kElementsPerPiece, tensor.weight.elements());
  HWY_DYNAMIC_DISPATCH(adamw_range)
  (of.factors, {.weight = tensor.weight.data<float>() + begin,
                .gradient = tensor.gradient.data<float>() + begin,
                .first_moment = tensor.first_moment.data<float>() + begin,
                .second_moment = tensor.second_moment.data<float>() + begin,
                .count = end - begin});
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
