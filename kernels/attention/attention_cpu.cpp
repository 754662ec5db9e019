#include "kernels/attention/attention.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/attention_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/attention/attention_tiles-inl.h"
#include "kernels/attention/attention_work.h"
#include "kernels/cpu/vector_math-inl.h"

#ifndef OVID_KERNELS_ATTENTION_FORWARD_UNIT
#define OVID_KERNELS_ATTENTION_FORWARD_UNIT
#include <cmath>

namespace ovid::kernels::cpu {

// One unit of the forward pass: the query tiles of a head, or of one of its groups.
struct ForwardUnit {
  const AttentionWork* work;
  const float* q;  // row 0 of this head; rows are `stride` apart
  const float* k;
  const float* v;
  std::int64_t stride;
  float* out;
  std::int64_t out_stride;
  float* log_sum_exp;  // (T)
  std::int64_t first_group;
  AttentionDropout dropout;
  float* scratch;
  RowsAhead* ahead;  // of the next unit; null: there is none
};

// The arrays of one slot of scratch.
struct ForwardScratch {
  ForwardScratch(const AttentionWork& work, ScratchCutter cutter)
      : k_transposed(cutter.take(work.D * work.padded_length)),
        v(cutter.take(work.padded_length * work.padded_width)),
        q(cutter.take(kTile * work.padded_width)),
        out(cutter.take(kTile * work.padded_width)),
        scores(cutter.take(kTile * kTile)),
        factors(cutter.take(kTile * kTile)),
        largest(cutter.take(kTile)),
        sum(cutter.take(kTile)),
        floats(cutter.used) {}

  float* k_transposed;  // (tiles, D, kTile)
  float* v;             // (padded_length, padded_width)
  float* q;             // (kTile, padded_width), times 1 / sqrt(D)
  float* out;           // (kTile, padded_width)
  float* scores;        // (kTile, kTile) S, then P
  float* factors;       // (kTile, kTile) of dropout
  float* largest;       // (kTile) so far, of each row's scores
  float* sum;           // (kTile) of exp(score - largest) so far
  std::int64_t floats;  // of all of them
};

}  // namespace ovid::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Scores to exp(score - largest), with the running largest and sum of the row brought up to date;
// returns the factor that what was summed with the former largest must take. Columns from `limit`
// on lie beyond the diagonal: they become exactly zero. With the row's first scores nothing was
// summed before: `largest` and `sum` are only written, and the factor is 0.
float online_softmax_row(float* scores, std::int64_t limit, std::int64_t padded_limit,
                         bool is_first, float* largest, float* sum) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t whole = limit / lanes * lanes;
  auto maximum = hn::Set(d, is_first ? -HUGE_VALF : *largest);
  for (std::int64_t c = 0; c < whole; c += lanes) {
    maximum = hn::Max(maximum, hn::LoadU(d, scores + c));
  }
  if (whole < padded_limit) {
    const auto minus_infinity = hn::Set(d, -HUGE_VALF);
    const auto inside = hn::FirstN(d, static_cast<std::size_t>(limit - whole));
    const auto masked = hn::IfThenElse(inside, hn::LoadU(d, scores + whole), minus_infinity);
    hn::StoreU(masked, d, scores + whole);
    maximum = hn::Max(maximum, masked);
    for (std::int64_t c = whole + lanes; c < padded_limit; c += lanes) {
      hn::StoreU(minus_infinity, d, scores + c);
    }
  }
  const auto new_largest = hn::MaxOfLanes(d, maximum);
  auto row_sum = hn::Zero(d);
  for (std::int64_t c = 0; c < padded_limit; c += lanes) {
    const auto e = exp_of_nonpositive(d, hn::Sub(hn::LoadU(d, scores + c), new_largest));
    hn::StoreU(e, d, scores + c);
    row_sum = hn::Add(row_sum, e);
  }
  const float new_sum = hn::GetLane(hn::SumOfLanes(d, row_sum));
  const float before = *largest;
  *largest = hn::GetLane(new_largest);
  if (is_first) {
    *sum = new_sum;
    return 0.0f;
  }
  const float rescale =
      hn::GetLane(exp_of_nonpositive(d, hn::Sub(hn::Set(d, before), new_largest)));
  *sum = *sum * rescale + new_sum;
  return rescale;
}

void multiply_by_factors(float* p, const float* factors, std::int64_t count) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t c = 0; c < count; c += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, p + c), hn::LoadU(d, factors + c)), d, p + c);
  }
}

// Rows [first, first + rows) of a query tile against the first `keys` keys of a key tile. On the
// diagonal, row r of the tile sees keys 0 .. r.
struct ForwardStrip {
  std::int64_t first, rows, keys;
  bool diagonal;
  std::int64_t query, key;  // of the tiles' first rows, in the sequence
};

void forward_strip(const ForwardUnit& unit, const ForwardScratch& buffers, const ForwardStrip& s) {
  const AttentionWork& work = *unit.work;
  const std::int64_t width = work.padded_width;
  const std::int64_t columns = (s.keys + kLanePadding - 1) / kLanePadding * kLanePadding;
  const bool is_first = s.key == 0;
  float* scores = buffers.scores + s.first * kTile;
  float* out = buffers.out + s.first * width;
  tile_product({.a = buffers.q + s.first * width,
                .a_row = width,
                .a_step = 1,
                .b = buffers.k_transposed + s.key * work.D,
                .b_stride = kTile,
                .c = scores,
                .c_stride = kTile,
                .rows = s.rows,
                .columns = columns,
                .depth = work.D,
                .accumulate = false,
                .ahead = unit.ahead});
  for (std::int64_t r = 0; r < s.rows; ++r) {
    const std::int64_t limit = s.diagonal ? s.first + r + 1 : s.keys;
    const float rescale =
        online_softmax_row(scores + r * kTile, limit, columns, is_first,
                           buffers.largest + s.first + r, buffers.sum + s.first + r);
    if (!is_first && rescale != 1.0f) multiply_in_place(out + r * width, width, rescale);
  }
  if (unit.dropout.mask != nullptr) {
    float* factors = buffers.factors;
    attention_dropout_factors(unit.dropout, s.query + s.first, s.rows, s.key, columns, factors);
    for (std::int64_t r = 0; r < s.rows; ++r) {
      multiply_by_factors(scores + r * kTile, factors + r * kTile, columns);
    }
  }
  tile_product({.a = scores,
                .a_row = kTile,
                .a_step = 1,
                .b = buffers.v + s.key * width,
                .b_stride = width,
                .c = out,
                .c_stride = width,
                .rows = s.rows,
                .columns = width,
                .depth = s.keys,
                .accumulate = !is_first,
                .ahead = unit.ahead});
}

void forward_query_tile(const ForwardUnit& unit, const ForwardScratch& buffers,
                        std::int64_t query) {
  const AttentionWork& work = *unit.work;
  const std::int64_t width = work.padded_width;
  const std::int64_t rows = HWY_MIN(kTile, work.T - query);
  const float scale = 1.0f / std::sqrt(static_cast<float>(work.D));
  copy_rows(unit.q + query * unit.stride, unit.stride, rows, work.D, scale, buffers.q, width);
  for (std::int64_t key = 0; key < query; key += kTile) {
    forward_strip(
        unit, buffers,
        {.first = 0, .rows = rows, .keys = kTile, .diagonal = false, .query = query, .key = key});
  }
  // In the tile on the diagonal, strips leave out most of what lies beyond it.
  for (std::int64_t first = 0; first < rows; first += kLanePadding) {
    const std::int64_t count = HWY_MIN(kLanePadding, rows - first);
    forward_strip(unit, buffers,
                  {.first = first,
                   .rows = count,
                   .keys = first + count,
                   .diagonal = true,
                   .query = query,
                   .key = query});
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    copy_without_padding(buffers.out + r * width, width, 1, work.D, 1.0f / buffers.sum[r],
                         unit.out + (query + r) * unit.out_stride, unit.out_stride);
    unit.log_sum_exp[query + r] = buffers.largest[r] + std::log(buffers.sum[r]);
  }
}

void attention_forward_unit(const ForwardUnit& unit) {
  const AttentionWork& work = *unit.work;
  const ForwardScratch buffers(work, {.start = unit.scratch});
  std::int64_t tiles = work.tiles;  // whose keys this unit sees
  while (tiles > 0 && !work.owns(unit.first_group, tiles - 1)) --tiles;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t first = tile * kTile;
    const std::int64_t rows = HWY_MIN(kTile, work.T - first);
    copy_transposed(unit.k + first * unit.stride, unit.stride, rows, work.D,
                    buffers.k_transposed + first * work.D);
    copy_rows(unit.v + first * unit.stride, unit.stride, rows, work.D, 1.0f,
              buffers.v + first * work.padded_width, work.padded_width);
  }
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    if (work.owns(unit.first_group, tile)) forward_query_tile(unit, buffers, tile * kTile);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(attention_forward_unit);

void attention_forward(ExecutionContext& ctx, const Attention& op, const AttentionShape& shape) {
  const AttentionWork work = attention_work(shape);
  const std::int64_t slot_floats = ForwardScratch(work, {}).floats;
  ScratchFrame scratch(ctx);
  const std::span<float> slots =
      scratch.take<float>(attention_slots(ctx, work.units()) * slot_floats);
  if (ctx.only_measures()) return;
  const std::int64_t C = shape.heads * shape.head_width;
  const float* qkv = op.qkv.data<float>();
  float* out = op.out.data<float>();
  float* log_sum_exp = op.log_sum_exp.data<float>();
  const auto first_row = [&](std::int64_t head) { return head / shape.heads * work.T; };
  const auto column = [&](std::int64_t head) { return head % shape.heads * work.D; };
  for_each_unit(ctx, work.units(), [&](std::int64_t slot, std::int64_t unit) {
    const std::int64_t head = unit / work.units_per_head();
    const float* q = qkv + first_row(head) * 3 * C + column(head);
    const bool has_next = work.units_per_head() == 1 && head + 1 < work.heads;
    RowsAhead ahead(work.T, work.D, 4);
    if (has_next) {
      const float* next_q = qkv + first_row(head + 1) * 3 * C + column(head + 1);
      for (const std::int64_t part : {0, 1, 2}) ahead.add(next_q + part * C, 3 * C);
      ahead.add_written(out + first_row(head + 1) * C + column(head + 1), C);
    }
    HWY_DYNAMIC_DISPATCH(attention_forward_unit)
    ({.work = &work,
      .q = q,
      .k = q + C,
      .v = q + 2 * C,
      .stride = 3 * C,
      .out = out + first_row(head) * C + column(head),
      .out_stride = C,
      .log_sum_exp = log_sum_exp + head * work.T,
      .first_group = unit % work.units_per_head() * work.groups_per_unit,
      .dropout = {.mask = op.dropout ? &*op.dropout : nullptr, .head = head, .T = work.T},
      .scratch = slots.data() + slot * slot_floats,
      .ahead = has_next ? &ahead : nullptr});
  });
}

}  // namespace ovid::kernels::cpu
#endif
