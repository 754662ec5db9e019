#include "kernels/attention/attention.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/attention_backward_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/attention/attention_tiles-inl.h"
#include "kernels/attention/attention_work.h"
#include "kernels/cpu/vector_math-inl.h"

#ifndef OVID_KERNELS_ATTENTION_BACKWARD_UNIT
#define OVID_KERNELS_ATTENTION_BACKWARD_UNIT
#include <cmath>

namespace ovid::kernels::cpu {

// One unit of the backward pass: the key tiles of a head, or of one of its groups, against all
// later queries.
struct BackwardUnit {
  const AttentionWork* work;
  const float* q;  // row 0 of this head; rows are `stride` apart, as are those of the gradients
  const float* k;
  const float* v;
  std::int64_t stride;
  const float* out;
  const float* d_out;
  std::int64_t out_stride;
  const float* log_sum_exp;  // (T)
  float* d_k;                // rows of this unit's tiles are written
  float* d_v;
  // (groups_per_unit, padded_length, padded_width): each group's share, without 1 / sqrt(D);
  // written
  float* d_q;
  std::int64_t first_group;
  AttentionDropout dropout;
  float* scratch;
  RowsAhead* ahead;  // of the next unit; null: there is none
};

// The arrays of one slot of scratch.
struct BackwardScratch {
  BackwardScratch(const AttentionWork& work, ScratchCutter cutter)
      : q(cutter.take(work.padded_length * work.padded_width)),
        d_out(cutter.take(work.padded_length * work.padded_width)),
        out_dot_d_out(cutter.take(work.padded_length)),
        k(cutter.take(kTile * work.padded_width)),
        k_transposed(cutter.take(work.D * kTile)),
        v_transposed(cutter.take(work.D * kTile)),
        d_k(cutter.take(kTile * work.padded_width)),
        d_v(cutter.take(kTile * work.padded_width)),
        p(cutter.take(kTile * kTile)),
        d_scores(cutter.take(kTile * kTile)),
        factors(cutter.take(kTile * kTile)),
        floats(cutter.used) {}

  float* q;              // (padded_length, padded_width), times 1 / sqrt(D)
  float* d_out;          // (padded_length, padded_width)
  float* out_dot_d_out;  // (padded_length)
  float* k;              // (kTile, padded_width)
  float* k_transposed;   // (D, kTile)
  float* v_transposed;   // (D, kTile)
  float* d_k;            // (kTile, padded_width)
  float* d_v;            // (kTile, padded_width)
  float* p;              // (kTile, kTile) S, then P, with dropout where there is any
  float* d_scores;       // (kTile, kTile) dP, then dS
  float* factors;        // (kTile, kTile) of dropout
  std::int64_t floats;   // of all of them
};

}  // namespace ovid::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

float row_dot(const float* a, const float* b, std::int64_t count) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto sums = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    sums = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sums);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

struct BackwardRow {
  float* p;              // holds S, receives the dropped P
  float* d_scores;       // holds dP before dropout, receives dS
  const float* factors;  // of dropout, or null
  std::int64_t limit;    // columns from here on lie beyond the diagonal and become zero
  std::int64_t columns;  // padded
  float log_sum_exp;
  float out_dot_d_out;  // sum_j P_ij dP_ij, which is out_i . d_out_i
};

// P = exp(S - l);  dS = P (z dP - sum_j P dP);  P = z P, with z the factors of dropout.
void backward_row(const BackwardRow& row) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto l = hn::Set(d, row.log_sum_exp);
  const auto weighted = hn::Set(d, row.out_dot_d_out);
  for (std::int64_t c = 0; c < row.columns; c += lanes) {
    auto p = exp_of_nonpositive(d, hn::Sub(hn::LoadU(d, row.p + c), l));
    auto d_p = hn::LoadU(d, row.d_scores + c);
    auto d_s = hn::Undefined(d);
    if (row.factors != nullptr) {
      const auto z = hn::LoadU(d, row.factors + c);
      d_s = hn::Mul(p, hn::Sub(hn::Mul(z, d_p), weighted));
      p = hn::Mul(p, z);
    } else {
      d_s = hn::Mul(p, hn::Sub(d_p, weighted));
    }
    if (c + lanes > row.limit) {
      const std::int64_t inside = row.limit > c ? row.limit - c : 0;
      const auto mask = hn::FirstN(d, static_cast<std::size_t>(inside));
      p = hn::IfThenElseZero(mask, p);
      d_s = hn::IfThenElseZero(mask, d_s);
    }
    hn::StoreU(p, d, row.p + c);
    hn::StoreU(d_s, d, row.d_scores + c);
  }
}

// Rows [first, first + rows) of a query tile against the first `keys` keys of the key tile; on the
// diagonal, row r of the tile sees keys 0 .. r.
struct BackwardStrip {
  std::int64_t first, rows, keys;
  bool diagonal;
  std::int64_t query, key;  // of the tiles' first rows, in the sequence
  float* d_q;               // of the sequence's first row
  bool adds_to_d_q;         // or writes it: the first keys
};

// P and dS of the strip, and its d_q.
void backward_strip(const BackwardUnit& unit, const BackwardScratch& buffers,
                    const BackwardStrip& s) {
  const AttentionWork& work = *unit.work;
  const std::int64_t width = work.padded_width;
  const std::int64_t columns = (s.keys + kLanePadding - 1) / kLanePadding * kLanePadding;
  const std::int64_t query = s.query + s.first;
  float* p = buffers.p + s.first * kTile;
  float* d_scores = buffers.d_scores + s.first * kTile;
  tile_product({.a = buffers.q + query * width,
                .a_row = width,
                .a_step = 1,
                .b = buffers.k_transposed,
                .b_stride = kTile,
                .c = p,
                .c_stride = kTile,
                .rows = s.rows,
                .columns = columns,
                .depth = work.D,
                .accumulate = false,
                .ahead = unit.ahead});
  tile_product({.a = buffers.d_out + query * width,
                .a_row = width,
                .a_step = 1,
                .b = buffers.v_transposed,
                .b_stride = kTile,
                .c = d_scores,
                .c_stride = kTile,
                .rows = s.rows,
                .columns = columns,
                .depth = work.D,
                .accumulate = false,
                .ahead = unit.ahead});
  const bool drops = unit.dropout.mask != nullptr;
  if (drops) {
    attention_dropout_factors(unit.dropout, query, s.rows, s.key, columns, buffers.factors);
  }
  for (std::int64_t r = 0; r < s.rows; ++r) {
    backward_row({.p = p + r * kTile,
                  .d_scores = d_scores + r * kTile,
                  .factors = drops ? buffers.factors + r * kTile : nullptr,
                  .limit = s.diagonal ? s.first + r + 1 : s.keys,
                  .columns = columns,
                  .log_sum_exp = unit.log_sum_exp[query + r],
                  .out_dot_d_out = buffers.out_dot_d_out[query + r]});
  }
  tile_product({.a = d_scores,
                .a_row = kTile,
                .a_step = 1,
                .b = buffers.k,
                .b_stride = width,
                .c = s.d_q + query * width,
                .c_stride = width,
                .rows = s.rows,
                .columns = width,
                .depth = s.keys,
                .accumulate = s.adds_to_d_q,
                .ahead = unit.ahead});
}

// d_v += P^T d_out and d_k += dS^T q for keys [first_key, first_key + keys) of the tile and queries
// [first_row, rows) of theirs; without the keys' own tile on the diagonal, which comes first, =.
struct KeyStrip {
  std::int64_t first_key, keys, first_row, rows, query;
  bool diagonal;
};

void backward_key_strip(const BackwardUnit& unit, const BackwardScratch& buffers,
                        const KeyStrip& s) {
  const AttentionWork& work = *unit.work;
  const std::int64_t width = work.padded_width;
  const std::int64_t place = s.first_row * kTile + s.first_key;
  TileProduct product{.a = buffers.p + place,
                      .a_row = 1,
                      .a_step = kTile,
                      .b = buffers.d_out + (s.query + s.first_row) * width,
                      .b_stride = width,
                      .c = buffers.d_v + s.first_key * width,
                      .c_stride = width,
                      .rows = s.keys,
                      .columns = width,
                      .depth = s.rows - s.first_row,
                      .accumulate = !s.diagonal,
                      .ahead = unit.ahead};
  tile_product(product);
  product.a = buffers.d_scores + place;
  product.b = buffers.q + (s.query + s.first_row) * width;
  product.c = buffers.d_k + s.first_key * width;
  tile_product(product);
}

// With one group the first tile reaches all rows of d_q and writes them; with more, those before a
// group's first tile it never reaches.
bool starts_from_zero(const AttentionWork& work) {
  return work.groups > 1;
}

void backward_key_tile(const BackwardUnit& unit, const BackwardScratch& buffers,
                       std::int64_t tile) {
  const AttentionWork& work = *unit.work;
  const std::int64_t key = tile * kTile;
  const std::int64_t group = work.group_of(tile) - unit.first_group;
  float* d_q = unit.d_q + group * work.padded_length * work.padded_width;
  const std::int64_t width = work.padded_width;
  const std::int64_t keys = HWY_MIN(kTile, work.T - key);
  copy_rows(unit.k + key * unit.stride, unit.stride, keys, work.D, 1.0f, buffers.k, width);
  copy_transposed(unit.k + key * unit.stride, unit.stride, keys, work.D, buffers.k_transposed);
  copy_transposed(unit.v + key * unit.stride, unit.stride, keys, work.D, buffers.v_transposed);
  const bool adds_to_d_q = tile > 0 || starts_from_zero(work);
  // On the diagonal, strips leave out most of what lies beyond it.
  for (std::int64_t first = 0; first < keys; first += kLanePadding) {
    const std::int64_t rows = HWY_MIN(kLanePadding, keys - first);
    backward_strip(unit, buffers,
                   {.first = first,
                    .rows = rows,
                    .keys = first + rows,
                    .diagonal = true,
                    .query = key,
                    .key = key,
                    .d_q = d_q,
                    .adds_to_d_q = adds_to_d_q});
  }
  for (std::int64_t first = 0; first < keys; first += kLanePadding) {
    const std::int64_t count = HWY_MIN(kLanePadding, keys - first);
    backward_key_strip(unit, buffers,
                       {.first_key = first,
                        .keys = count,
                        .first_row = first,
                        .rows = keys,
                        .query = key,
                        .diagonal = true});
  }
  for (std::int64_t query = key + kTile; query < work.T; query += kTile) {
    const std::int64_t rows = HWY_MIN(kTile, work.T - query);
    backward_strip(unit, buffers,
                   {.first = 0,
                    .rows = rows,
                    .keys = kTile,
                    .diagonal = false,
                    .query = query,
                    .key = key,
                    .d_q = d_q,
                    .adds_to_d_q = adds_to_d_q});
    backward_key_strip(unit, buffers,
                       {.first_key = 0,
                        .keys = kTile,
                        .first_row = 0,
                        .rows = rows,
                        .query = query,
                        .diagonal = false});
  }
  copy_without_padding(buffers.d_k, width, keys, work.D, 1.0f, unit.d_k + key * unit.stride,
                       unit.stride);
  copy_without_padding(buffers.d_v, width, keys, work.D, 1.0f, unit.d_v + key * unit.stride,
                       unit.stride);
}

void attention_backward_unit(const BackwardUnit& unit) {
  const AttentionWork& work = *unit.work;
  const BackwardScratch buffers(work, {.start = unit.scratch});
  const std::int64_t width = work.padded_width;
  const float scale = 1.0f / std::sqrt(static_cast<float>(work.D));
  copy_rows(unit.q, unit.stride, work.T, work.D, scale, buffers.q, width);
  copy_rows(unit.d_out, unit.out_stride, work.T, work.D, 1.0f, buffers.d_out, width);
  for (std::int64_t i = 0; i < work.T; ++i) {
    buffers.out_dot_d_out[i] =
        row_dot(unit.out + i * unit.out_stride, unit.d_out + i * unit.out_stride, work.D);
  }
  if (starts_from_zero(work)) {
    fill_zero(unit.d_q, work.groups_per_unit * work.padded_length * width);
  }
  for (std::int64_t tile = 0; tile < work.tiles; ++tile) {
    if (work.owns(unit.first_group, tile)) backward_key_tile(unit, buffers, tile);
  }
}

// d_q of one head: the shares of the groups, added in order, times 1 / sqrt(D).
void attention_write_query_gradient(const AttentionWork& work, float* shares, float* d_q,
                                    std::int64_t stride) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t share = work.padded_length * work.padded_width;
  for (std::int64_t group = 1; group < work.groups; ++group) {
    const float* other = shares + group * share;
    for (std::int64_t i = 0; i < work.T * work.padded_width; i += lanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, shares + i), hn::LoadU(d, other + i)), d, shares + i);
    }
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(work.D));
  copy_without_padding(shares, work.padded_width, work.T, work.D, scale, d_q, stride);
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ovid::kernels::cpu {

HWY_EXPORT(attention_backward_unit);
HWY_EXPORT(attention_write_query_gradient);

void attention_backward(ExecutionContext& ctx, const AttentionGradient& op,
                        const AttentionShape& shape) {
  const AttentionWork work = attention_work(shape);
  const std::int64_t slots = attention_slots(ctx, work.units());
  const std::int64_t slot_floats = BackwardScratch(work, {}).floats;
  const std::int64_t shares_per_unit =
      work.groups_per_unit * work.padded_length * work.padded_width;
  // A head in one unit needs its d_q only until it is written; else units keep theirs until all are
  // there.
  const bool whole_heads = work.units_per_head() == 1;
  ScratchFrame scratch(ctx);
  const std::span<float> buffers = scratch.take<float>(slots * slot_floats);
  const std::span<float> shares =
      scratch.take<float>((whole_heads ? slots : work.units()) * shares_per_unit);
  if (ctx.only_measures()) return;
  const std::int64_t C = shape.heads * shape.head_width;
  const float* qkv = op.qkv.data<float>();
  const float* out = op.out.data<float>();
  const float* d_out = op.d_out.data<float>();
  const float* log_sum_exp = op.log_sum_exp.data<float>();
  float* d_qkv = op.d_qkv.data<float>();
  const auto place_in_qkv = [&](std::int64_t head) {
    return head / shape.heads * work.T * 3 * C + head % shape.heads * work.D;
  };
  const auto place_in_out = [&](std::int64_t head) {
    return head / shape.heads * work.T * C + head % shape.heads * work.D;
  };
  for_each_unit(ctx, work.units(), [&](std::int64_t slot, std::int64_t unit) {
    const std::int64_t head = unit / work.units_per_head();
    const std::int64_t place = place_in_qkv(head);
    const bool has_next = whole_heads && head + 1 < work.heads;
    RowsAhead ahead(work.T, work.D, 8);
    if (has_next) {
      for (const std::int64_t part : {0, 1, 2}) {
        ahead.add(qkv + place_in_qkv(head + 1) + part * C, 3 * C);
        ahead.add_written(d_qkv + place_in_qkv(head + 1) + part * C, 3 * C);
      }
      ahead.add(out + place_in_out(head + 1), C);
      ahead.add(d_out + place_in_out(head + 1), C);
    }
    float* d_q = shares.data() + (whole_heads ? slot : unit) * shares_per_unit;
    HWY_DYNAMIC_DISPATCH(attention_backward_unit)
    ({.work = &work,
      .q = qkv + place,
      .k = qkv + place + C,
      .v = qkv + place + 2 * C,
      .stride = 3 * C,
      .out = out + place_in_out(head),
      .d_out = d_out + place_in_out(head),
      .out_stride = C,
      .log_sum_exp = log_sum_exp + head * work.T,
      .d_k = d_qkv + place + C,
      .d_v = d_qkv + place + 2 * C,
      .d_q = d_q,
      .first_group = unit % work.units_per_head() * work.groups_per_unit,
      .dropout = {.mask = op.dropout ? &*op.dropout : nullptr, .head = head, .T = work.T},
      .scratch = buffers.data() + slot * slot_floats,
      .ahead = has_next ? &ahead : nullptr});
    if (whole_heads) {
      HWY_DYNAMIC_DISPATCH(attention_write_query_gradient)(work, d_q, d_qkv + place, 3 * C);
    }
  });
  if (whole_heads) return;
  parallel_for(ctx.threads(), work.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t head = begin; head < end; ++head) {
      HWY_DYNAMIC_DISPATCH(attention_write_query_gradient)
      (work, shares.data() + head * work.units_per_head() * shares_per_unit,
       d_qkv + place_in_qkv(head), 3 * C);
    }
  });
}

}  // namespace ovid::kernels::cpu
#endif
