#include <algorithm>
#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_reference.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

using Doubles = std::vector<double>;

struct NewRow {
  std::int32_t sequence, position;
};

// A cache of S sequences of P positions that begins as NaN: what is read unwritten shows.
struct Cache {
  Cache(DType dtype, std::int64_t S, std::int64_t P, std::int64_t C)
      : keys(dtype, {S, P, C}), values(dtype, {S, P, C}) {}
  Tensor keys, values;
};

void copy_row(Tensor& to, std::int64_t to_row, const Tensor& from, std::int64_t from_row) {
  const auto bytes = static_cast<std::int64_t>(bytes_of(from.dtype())) * from.shape().last();
  std::copy_n(static_cast<const std::byte*>(from.view().raw()) + from_row * bytes, bytes,
              static_cast<std::byte*>(to.view().raw()) + to_row * bytes);
}

// The rows of qkv (S, T, 3C) that `rows` name, in that order, through one call. Rows outside of
// the cache take row 0.
Tensor attend(Cache& cache, const Tensor& qkv, const std::vector<NewRow>& rows,
              std::int64_t heads) {
  const auto N = static_cast<std::int64_t>(rows.size());
  const std::int64_t width = qkv.shape().last(), S = qkv.shape()[0], T = qkv.shape()[1];
  Tensor in(qkv.dtype(), {N, width});
  std::vector<std::int32_t> sequences, positions;
  for (std::int64_t n = 0; n < N; ++n) {
    const NewRow& row = rows[static_cast<std::size_t>(n)];
    const bool inside =
        row.sequence >= 0 && row.sequence < S && row.position >= 0 && row.position < T;
    copy_row(in, n, qkv, inside ? row.sequence * T + row.position : 0);
    sequences.push_back(row.sequence);
    positions.push_back(row.position);
  }
  const Tensor of_sequences = Tensor::of(Shape{N}, sequences);
  const Tensor of_positions = Tensor::of(Shape{N}, positions);
  Tensor out(qkv.dtype(), {N, width / 3});
  CudaRun run;
  const ConstView x = run.input(in), s = run.input(of_sequences), p = run.input(of_positions);
  const View keys = run.output(cache.keys), values = run.output(cache.values), y = run.output(out);
  run.op([&](ExecutionContext& ctx) {
    cached_attention_forward(ctx, {.qkv = x,
                                   .sequences = s,
                                   .positions = p,
                                   .keys = keys,
                                   .values = values,
                                   .out = y,
                                   .heads = heads});
  });
  run.finish();
  return out;
}

Doubles expected_rows(const Tensor& qkv, const std::vector<NewRow>& rows, std::int64_t H) {
  const std::int64_t T = qkv.shape()[1], C = qkv.shape().last() / 3, D = C / H;
  const Doubles in = qkv.values();
  Doubles all(static_cast<std::size_t>(qkv.shape()[0] * T * C)), l(static_cast<std::size_t>(T));
  for (std::int64_t head = 0; head < qkv.shape()[0] * H; ++head) {
    const double* q = in.data() + head / H * T * 3 * C + head % H * D;
    const reference::AttentionHead<double> operands{
        .q = q, .k = q + C, .v = q + 2 * C, .stride = 3 * C, .T = T, .D = D, .dropout_factors = {}};
    reference::attention_forward(operands, all.data() + head / H * T * C + head % H * D, C,
                                 l.data());
  }
  Doubles result;
  for (const NewRow& row : rows) {
    const auto first = all.begin() + (row.sequence * T + row.position) * C;
    result.insert(result.end(), first, first + C);
  }
  return result;
}

Tensor row_of(const Tensor& tensor, std::int64_t row) {
  Tensor part(tensor.dtype(), {1, tensor.shape().last()});
  copy_row(part, 0, tensor, row);
  return part;
}

}  // namespace

TEST_CASE("cached attention on CUDA of a prompt and of tokens equals attention",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    // Parts are 128 positions: caches of one, two and three.
    for (const auto& [T, D] : {std::pair<std::int64_t, std::int64_t>{20, 7},
                               {130, 64},
                               {131, 33},
                               {258, 16},
                               {66, 300}}) {
      INFO("T " << T << ", D " << D);
      constexpr std::int64_t kHeads = 2;
      const Tensor qkv = rounded_to(dtype, Tensor::random({2, T, 3 * kHeads * D}, 13, 2.0));
      Cache cache(dtype, 2, T + 3, kHeads * D);
      std::vector<NewRow> prompt;
      const auto end = static_cast<std::int32_t>(T);
      for (std::int32_t t = 0; t < end - 1; ++t) prompt.push_back({1, t});
      // One rounding of the result; exponentials and their arguments (up to 16) in float.
      const double relative = cuda_tolerance(dtype, D) + cuda_tolerance(dtype, T) + 0x1p-18;
      check_close("prompt", attend(cache, qkv, prompt, kHeads), expected_rows(qkv, prompt, kHeads),
                  relative);
      const std::vector<NewRow> last{{1, end - 1}};
      check_close("token", attend(cache, qkv, last, kHeads), expected_rows(qkv, last, kHeads),
                  relative);
    }
  });
}

TEST_CASE("cached attention on CUDA gives each row the bits that it has alone", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    // 300 rows take two turns at the scratch; alone, the cache may be smaller: one part.
    const Tensor qkv = rounded_to(dtype, Tensor::random({3, 150, 3 * 16}, 14));
    Cache together(dtype, 3, 150, 16), alone(dtype, 3, 150, 16), small(dtype, 3, 100, 16);
    std::vector<NewRow> rows;
    for (std::int32_t t = 0; t < 150; ++t) rows.push_back({2, t}), rows.push_back({0, t});
    const Tensor batch = attend(together, qkv, rows, 2);
    attend(alone, qkv, std::vector<NewRow>(rows.begin(), rows.end() - 2), 2);
    CHECK(attend(alone, qkv, {{0, 149}}, 2).same_bits(row_of(batch, 299)));
    attend(small, qkv, std::vector<NewRow>(rows.begin(), rows.begin() + 180), 2);
    CHECK(attend(small, qkv, {{2, 90}}, 2).same_bits(row_of(batch, 180)));
  });
}

TEST_CASE("cached attention on CUDA leaves the cache alone for rows outside of it",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const std::int64_t P : {4, 140}) {
    const Tensor qkv = Tensor::random({2, 5, 24}, 15);
    Cache cache(DType::kFloat32, 2, P, 8);
    const auto end = static_cast<std::int32_t>(P);
    const Doubles out =
        attend(cache, qkv, {{0, 0}, {0, end}, {0, -1}, {2, 0}, {-1, 0}}, 2).values();
    const Doubles keys = cache.keys.values();
    for (std::size_t i = 0; i < out.size(); ++i) CHECK(std::isnan(out[i]) == (i >= 8));
    for (std::size_t i = 0; i < keys.size(); ++i) CHECK(std::isnan(keys[i]) == (i >= 8));
  }
}

}  // namespace ovid::kernels
