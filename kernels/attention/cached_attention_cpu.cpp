#include "kernels/attention/attention.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/cached_attention_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/vector_math-inl.h"

#ifndef OVID_KERNELS_ATTENTION_CACHED_HEAD
#define OVID_KERNELS_ATTENTION_CACHED_HEAD
#include <cmath>

namespace ovid::kernels::cpu {

// One row and head: attends to `count` cached positions.
struct CachedHead {
  const float* q;
  const float* keys;  // of position 0; positions are `stride` apart
  const float* values;
  std::int64_t stride;
  std::int64_t count, D;
  float* out;
};

}  // namespace ovid::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// scores[j] = q . keys[j] * scale for four consecutive positions.
void four_scores(const CachedHead& head, const float* keys, float scale, float* scores) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const float* key[4] = {keys, keys + head.stride, keys + 2 * head.stride, keys + 3 * head.stride};
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  auto sum2 = hn::Zero(d);
  auto sum3 = hn::Zero(d);
  std::int64_t c = 0;
  for (; c + lanes <= head.D; c += lanes) {
    const auto q = hn::LoadU(d, head.q + c);
    sum0 = hn::MulAdd(q, hn::LoadU(d, key[0] + c), sum0);
    sum1 = hn::MulAdd(q, hn::LoadU(d, key[1] + c), sum1);
    sum2 = hn::MulAdd(q, hn::LoadU(d, key[2] + c), sum2);
    sum3 = hn::MulAdd(q, hn::LoadU(d, key[3] + c), sum3);
  }
  float sums[4] = {hn::GetLane(hn::SumOfLanes(d, sum0)), hn::GetLane(hn::SumOfLanes(d, sum1)),
                   hn::GetLane(hn::SumOfLanes(d, sum2)), hn::GetLane(hn::SumOfLanes(d, sum3))};
  for (int j = 0; j < 4; ++j) {
    for (std::int64_t rest = c; rest < head.D; ++rest) sums[j] += head.q[rest] * key[j][rest];
    scores[j] = sums[j] * scale;
  }
}

void one_score(const CachedHead& head, const float* key, float scale, float* score) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto sums = hn::Zero(d);
  std::int64_t c = 0;
  for (; c + lanes <= head.D; c += lanes) {
    sums = hn::MulAdd(hn::LoadU(d, head.q + c), hn::LoadU(d, key + c), sums);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; c < head.D; ++c) sum += head.q[c] * key[c];
  *score = sum * scale;
}

// out = out * rescale + sum_j p[j] values[j], in the vectors of columns from `first` on.
template <int kVectors, class D>
void add_values(D d, const CachedHead& head, const float* p, const float* values,
                std::int64_t positions, float rescale, std::int64_t first) {
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[kVectors];
  const auto factor = hn::Set(d, rescale);
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    sum[v] = hn::Mul(hn::LoadU(d, head.out + first + v * lanes), factor);
  }
  for (std::int64_t j = 0; j < positions; ++j) {
    const float* value = values + j * head.stride + first;
    const auto weight = hn::Set(d, p[j]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = hn::MulAdd(weight, hn::LoadU(d, value + v * lanes), sum[v]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[v], d, head.out + first + v * lanes);
}

void add_all_values(const CachedHead& head, const float* p, const float* values,
                    std::int64_t positions, float rescale) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t c = 0;
  for (; c + 4 * lanes <= head.D; c += 4 * lanes) {
    add_values<4>(d, head, p, values, positions, rescale, c);
  }
  for (; c + lanes <= head.D; c += lanes) {
    add_values<1>(d, head, p, values, positions, rescale, c);
  }
  for (; c < head.D; ++c) add_values<1>(one, head, p, values, positions, rescale, c);
}

// Online softmax over blocks of cached positions.
void cached_attention_head(const CachedHead& head) {
  constexpr std::int64_t kBlock = 64;
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const float scale = 1.0f / std::sqrt(static_cast<float>(head.D));
  HWY_ALIGN float p[kBlock];
  float largest = -HUGE_VALF;
  float sum = 0.0f;
  for (std::int64_t c = 0; c < head.D; ++c) head.out[c] = 0.0f;
  for (std::int64_t first = 0; first < head.count; first += kBlock) {
    const std::int64_t positions = HWY_MIN(kBlock, head.count - first);
    const float* keys = head.keys + first * head.stride;
    std::int64_t j = 0;
    for (; j + 4 <= positions; j += 4) four_scores(head, keys + j * head.stride, scale, p + j);
    for (; j < positions; ++j) one_score(head, keys + j * head.stride, scale, p + j);
    for (; j < kBlock; ++j) p[j] = -HUGE_VALF;  // weight zero
    auto maximum = hn::Set(d, largest);
    for (std::int64_t i = 0; i < kBlock; i += lanes) maximum = hn::Max(maximum, hn::Load(d, p + i));
    maximum = hn::MaxOfLanes(d, maximum);
    auto block_sum = hn::Zero(d);
    for (std::int64_t i = 0; i < kBlock; i += lanes) {
      const auto e = exp_of_nonpositive(d, hn::Sub(hn::Load(d, p + i), maximum));
      hn::Store(e, d, p + i);
      block_sum = hn::Add(block_sum, e);
    }
    const float rescale = hn::GetLane(exp_of_nonpositive(d, hn::Sub(hn::Set(d, largest), maximum)));
    largest = hn::GetLane(maximum);
    sum = sum * rescale + hn::GetLane(hn::SumOfLanes(d, block_sum));
    add_all_values(head, p, head.values + first * head.stride, positions, rescale);
  }
  const float normalise = 1.0f / sum;
  for (std::int64_t c = 0; c < head.D; ++c) head.out[c] *= normalise;
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cstring>

#include "kernels/common/errors.h"

namespace ovid::kernels::cpu {

HWY_EXPORT(cached_attention_head);

namespace {

void check_range(const char* operand, const std::int32_t* values, std::int64_t count,
                 std::int64_t end) {
  for (std::int64_t n = 0; n < count; ++n) {
    if (values[n] < 0 || values[n] >= end) {
      throw ShapeError(std::string("cached_attention_forward: ") + operand + "[" +
                       std::to_string(n) + "] is " + std::to_string(values[n]) +
                       ", expected 0 or more and less than the cache's " + std::to_string(end));
    }
  }
}

}  // namespace

void cached_attention_forward(ExecutionContext& ctx, const CachedAttention& op,
                              const CachedAttentionShape& shape) {
  if (ctx.only_measures()) return;
  const std::int64_t D = shape.head_width;
  const std::int64_t C = shape.heads * D;
  const float* qkv = op.qkv.data<float>();
  const std::int32_t* sequences = op.sequences.data<std::int32_t>();
  const std::int32_t* positions = op.positions.data<std::int32_t>();
  check_range("sequences", sequences, shape.rows, shape.sequences);
  check_range("positions", positions, shape.rows, shape.positions);
  float* keys = op.keys.data<float>();
  float* values = op.values.data<float>();
  float* out = op.out.data<float>();
  const std::size_t row_bytes = static_cast<std::size_t>(C) * sizeof(float);
  // All rows are cached before any attends: a prompt's rows see each other.
  parallel_for(ctx.threads(), shape.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::int64_t place = (sequences[n] * shape.positions + positions[n]) * C;
      std::memcpy(keys + place, qkv + n * 3 * C + C, row_bytes);
      std::memcpy(values + place, qkv + n * 3 * C + 2 * C, row_bytes);
    }
  });
  parallel_for(ctx.threads(), shape.rows * shape.heads, 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t piece = begin; piece < end; ++piece) {
                   const std::int64_t n = piece / shape.heads;
                   const std::int64_t column = piece % shape.heads * D;
                   const std::int64_t sequence = sequences[n] * shape.positions * C + column;
                   HWY_DYNAMIC_DISPATCH(cached_attention_head)
                   ({.q = qkv + n * 3 * C + column,
                     .keys = keys + sequence,
                     .values = values + sequence,
                     .stride = C,
                     .count = positions[n] + std::int64_t{1},
                     .D = D,
                     .out = out + n * C + column});
                 }
               });
}

}  // namespace ovid::kernels::cpu
#endif
