#include "kernels/attention/attention.h"

#include <cmath>

#include "kernels/attention/attention_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels::test {

namespace {

struct Case {
  std::int64_t B, T, H, D;
  std::optional<DropoutMask> dropout = std::nullopt;
  std::int64_t C() const { return H * D; }
  std::string text() const {
    return "B " + std::to_string(B) + ", T " + std::to_string(T) + ", H " + std::to_string(H) +
           ", D " + std::to_string(D) + (dropout ? ", dropout" : "");
  }
};

const DropoutMask kMask{.probability = 0.3f, .stream = {.seed = 42, .major = 2, .minor = 6}};

struct Results {
  Tensor out;
  Tensor log_sum_exp;
  Tensor d_qkv;
};

Results run(const Case& c, const Tensor& qkv, const Tensor& d_out, int threads) {
  Results r{.out = Tensor(DType::kFloat32, {c.B, c.T, c.C()}),
            .log_sum_exp = Tensor(DType::kFloat32, {c.B, c.H, c.T}),
            .d_qkv = Tensor(DType::kFloat32, {c.B, c.T, 3 * c.C()})};
  run_op(threads, [&](ExecutionContext& ctx) {
    attention_forward(ctx, {.qkv = qkv,
                            .out = r.out,
                            .log_sum_exp = r.log_sum_exp,
                            .heads = c.H,
                            .dropout = c.dropout});
  });
  run_op(threads, [&](ExecutionContext& ctx) {
    attention_backward(ctx, {.d_out = d_out,
                             .qkv = qkv,
                             .out = r.out.view(),
                             .log_sum_exp = r.log_sum_exp.view(),
                             .d_qkv = r.d_qkv,
                             .heads = c.H,
                             .dropout = c.dropout});
  });
  return r;
}

struct Expected {
  std::vector<double> out, log_sum_exp, d_qkv;
};

reference::AttentionHead<double> head_of(const Case& c, const double* qkv, std::int64_t head) {
  const double* q = qkv + head / c.H * c.T * 3 * c.C() + head % c.H * c.D;
  return {.q = q,
          .k = q + c.C(),
          .v = q + 2 * c.C(),
          .stride = 3 * c.C(),
          .T = c.T,
          .D = c.D,
          .dropout_factors =
              c.dropout ? reference::attention_dropout_factors<double>(*c.dropout, head, c.T)
                        : std::vector<double>{}};
}

Expected run_reference(const Case& c, const std::vector<double>& qkv,
                       const std::vector<double>& d_out) {
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  Expected e{.out = std::vector<double>(size(c.B * c.T * c.C())),
             .log_sum_exp = std::vector<double>(size(c.B * c.H * c.T)),
             .d_qkv = std::vector<double>(size(c.B * c.T * 3 * c.C()))};
  for (std::int64_t head = 0; head < c.B * c.H; ++head) {
    const auto operands = head_of(c, qkv.data(), head);
    const std::int64_t place = head / c.H * c.T * c.C() + head % c.H * c.D;
    double* d_q = e.d_qkv.data() + (operands.q - qkv.data());
    reference::attention_forward(operands, e.out.data() + place, c.C(),
                                 e.log_sum_exp.data() + head * c.T);
    reference::attention_backward(operands, d_out.data() + place, c.C(), d_q, d_q + c.C(),
                                  d_q + 2 * c.C());
  }
  return e;
}

void check_case(const Case& c) {
  INFO(c.text());
  const Tensor qkv = Tensor::random({c.B, c.T, 3 * c.C()}, 1, 2.0);
  const Tensor d_out = Tensor::random({c.B, c.T, c.C()}, 2);
  const Results actual = run(c, qkv, d_out, 2);
  const Expected expected = run_reference(c, qkv.values(), d_out.values());
  // A score's error enters exp and so P: scores are sums of D products up to 4 sqrt(D) in size
  // here, and gradients sum over T of them.
  const double relative = tolerance(DType::kFloat32, c.D) + tolerance(DType::kFloat32, c.T);
  check_close("out", actual.out, expected.out, relative);
  check_close("log_sum_exp", actual.log_sum_exp, expected.log_sum_exp, relative);
  check_close("d_qkv", actual.d_qkv, expected.d_qkv, 2 * relative);
}

// Rows [first, first + count) of the middle extent of a (1, T, columns) tensor.
Tensor rows_of(const Tensor& tensor, std::int64_t first, std::int64_t count) {
  const std::int64_t columns = tensor.shape().last();
  Tensor part(DType::kFloat32, {1, count, columns});
  std::copy_n(tensor.data<float>() + first * columns, count * columns, part.data<float>());
  return part;
}

}  // namespace

TEST_CASE("attention's reference gradient matches finite differences", "[kernels]") {
  for (const bool drops : {false, true}) {
    const Case c{
        .B = 1, .T = 5, .H = 2, .D = 3, .dropout = drops ? std::optional(kMask) : std::nullopt};
    const std::vector<double> d_out = random_doubles(c.T * c.C(), 3);
    const std::vector<double> qkv = random_doubles(c.T * 3 * c.C(), 4);
    const auto loss = [&](const std::vector<double>& x) {
      return dot(run_reference(c, x, d_out).out, d_out);
    };
    check_gradient("attention", loss, qkv, run_reference(c, qkv, d_out).d_qkv);
  }
}

TEST_CASE("attention matches the reference at lengths around its tiles", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t T : {1, 2, 15, 16, 17, 63, 64, 65, 129, 200}) {
      check_case({.B = 2, .T = T, .H = 2, .D = 16});
    }
  });
}

TEST_CASE("attention matches the reference for every kind of head width", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t D : {1, 2, 7, 8, 16, 33, 64, 80, 130}) {
      check_case({.B = 1, .T = 70, .H = 3, .D = D});
    }
  });
}

TEST_CASE("attention matches the reference with dropout", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t T : {1, 3, 66, 131}) {
      check_case({.B = 2, .T = T, .H = 2, .D = 8, .dropout = kMask});
    }
  });
}

TEST_CASE("attention matches the reference at GPT-2's own sizes", "[kernels][cpu]") {
  check_case({.B = 1, .T = 256, .H = 12, .D = 64});
  check_case({.B = 1, .T = 1024, .H = 1, .D = 64});
}

TEST_CASE("attention has equal bits on every number of threads", "[kernels][cpu]") {
  for (const Case& c : {Case{.B = 1, .T = 520, .H = 2, .D = 20, .dropout = kMask},
                        Case{.B = 3, .T = 65, .H = 12, .D = 16}}) {
    const Tensor qkv = Tensor::random({c.B, c.T, 3 * c.C()}, 5);
    const Tensor d_out = Tensor::random({c.B, c.T, c.C()}, 6);
    check_same_bits_on_threads(c.text(), [&](int threads) {
      Results r = run(c, qkv, d_out, threads);
      return std::vector<Tensor>{r.out, r.log_sum_exp, r.d_qkv};
    });
  }
}

TEST_CASE("a token's attention does not see later tokens", "[kernels][cpu]") {
  for_each_instruction_set([] {
    const Case c{.B = 1, .T = 150, .H = 2, .D = 16};
    const Tensor d_out = Tensor::random({1, c.T, c.C()}, 8);
    const Tensor qkv = Tensor::random({1, c.T, 3 * c.C()}, 7);
    const Results before = run(c, qkv, d_out, 1);
    for (const std::int64_t changed : {1, 40, 64, 100, 149}) {
      Tensor other = qkv;
      for (std::int64_t i = changed * 3 * c.C(); i < c.T * 3 * c.C(); ++i) {
        other.data<float>()[i] += 100.0f;
      }
      const Results after = run(c, other, d_out, 1);
      INFO("tokens changed from " << changed << " on");
      CHECK(rows_of(after.out, 0, changed).same_bits(rows_of(before.out, 0, changed)));
      CHECK_FALSE(rows_of(after.out, changed, 1).same_bits(rows_of(before.out, changed, 1)));
    }
  });
}

TEST_CASE("a sequence's attention has the bits that it has alone", "[kernels][cpu]") {
  // Long enough that tiles form groups, and alone with too few heads to keep them in one unit.
  const Case batch{.B = 3, .T = 520, .H = 12, .D = 2};
  const Case alone{.B = 1, .T = 520, .H = 12, .D = 2};
  const Tensor qkv = Tensor::random({3, batch.T, 3 * batch.C()}, 9);
  const Tensor d_out = Tensor::random({3, batch.T, batch.C()}, 10);
  const Results together = run(batch, qkv, d_out, 2);
  const Results single = run(alone, rows_of(qkv, 0, batch.T), rows_of(d_out, 0, batch.T), 2);
  CHECK(rows_of(together.out, 0, batch.T).same_bits(single.out));
  CHECK(rows_of(together.d_qkv, 0, batch.T).same_bits(single.d_qkv));
}

TEST_CASE("huge scores give the largest key's value, not NaN", "[kernels][cpu]") {
  for_each_instruction_set([] {
    const Case c{.B = 1, .T = 100, .H = 1, .D = 16};
    Tensor qkv = Tensor::random({1, c.T, 3 * c.C()}, 11, 1e4);
    const Results r = run(c, qkv, Tensor::random({1, c.T, c.C()}, 12), 2);
    const Expected expected =
        run_reference(c, qkv.values(), std::vector<double>(r.out.values().size(), 0.0));
    check_close("out", r.out, expected.out, tolerance(DType::kFloat32, c.D));
    for (const double value : r.d_qkv.values()) REQUIRE(std::isfinite(value));
  });
}

TEST_CASE("attention refuses operands that do not fit", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  const Tensor qkv(DType::kFloat32, {2, 5, 24});
  Tensor out(DType::kFloat32, {2, 5, 8});
  Tensor log_sum_exp(DType::kFloat32, {2, 4, 5});
  Tensor wrong(DType::kFloat32, {2, 5, 4});
  CHECK_THROWS_WITH(
      attention_forward(ctx, {.qkv = qkv, .out = out, .log_sum_exp = log_sum_exp, .heads = 3}),
      "attention_forward: qkv is float32 (2, 5, 24), expected rows of 3C with C a multiple of "
      "heads = 3");
  CHECK_THROWS_WITH(
      attention_forward(ctx, {.qkv = qkv, .out = wrong, .log_sum_exp = log_sum_exp, .heads = 4}),
      "attention_forward: out is float32 (2, 5, 4), expected float32 (2, 5, 8)");
  CHECK_THROWS_WITH(attention_backward(ctx, {.d_out = out.view(),
                                             .qkv = qkv,
                                             .out = out.view(),
                                             .log_sum_exp = log_sum_exp.view(),
                                             .d_qkv = wrong,
                                             .heads = 4}),
                    "attention_backward: d_qkv is float32 (2, 5, 4), expected float32 (2, 5, 24)");
}

namespace {

// A cache of S sequences of P positions that begins as NaN: what is read unwritten shows.
struct Cache {
  Cache(std::int64_t S, std::int64_t P, std::int64_t C)
      : keys(DType::kFloat32, {S, P, C}), values(DType::kFloat32, {S, P, C}) {}
  Tensor keys, values;
};

struct NewRow {
  std::int32_t sequence, position;
};

// The rows of qkv (S, T, 3C) that `rows` name, in that order, through one call.
Tensor attend(Cache& cache, const Tensor& qkv, const std::vector<NewRow>& rows, std::int64_t heads,
              int threads = 2) {
  const auto N = static_cast<std::int64_t>(rows.size());
  const std::int64_t width = qkv.shape().last();
  const std::int64_t T = qkv.shape()[1];
  Tensor in(DType::kFloat32, {N, width});
  std::vector<std::int32_t> sequences, positions;
  for (std::int64_t n = 0; n < N; ++n) {
    const NewRow& row = rows[static_cast<std::size_t>(n)];
    std::copy_n(qkv.data<float>() + (row.sequence * T + row.position) * width, width,
                in.data<float>() + n * width);
    sequences.push_back(row.sequence);
    positions.push_back(row.position);
  }
  const Tensor sequence_operand = Tensor::of(Shape{N}, sequences);
  const Tensor position_operand = Tensor::of(Shape{N}, positions);
  Tensor out(DType::kFloat32, {N, width / 3});
  run_op(threads, [&](ExecutionContext& ctx) {
    cached_attention_forward(ctx, {.qkv = in.view(),
                                   .sequences = sequence_operand,
                                   .positions = position_operand,
                                   .keys = cache.keys,
                                   .values = cache.values,
                                   .out = out,
                                   .heads = heads});
  });
  return out;
}

bool same_row(const Tensor& a, std::int64_t i, const Tensor& b, std::int64_t j) {
  const std::int64_t C = a.shape().last();
  return std::equal(a.data<float>() + i * C, a.data<float>() + (i + 1) * C,
                    b.data<float>() + j * C);
}

}  // namespace

TEST_CASE("cached attention of a prompt and of single tokens equals attention", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t D : {2, 7, 33, 64}) {
      const Case c{.B = 2, .T = 131, .H = 2, .D = D};
      INFO(c.text());
      const Tensor qkv = Tensor::random({c.B, c.T, 3 * c.C()}, 13, 2.0);
      const std::vector<double> d_out(static_cast<std::size_t>(c.B * c.T * c.C()), 0.0);
      const Expected expected = run_reference(c, qkv.values(), d_out);
      Cache cache(c.B, c.T + 3, c.C());
      std::vector<NewRow> prompt;
      for (std::int32_t t = 0; t < 128; ++t) prompt.push_back({1, t});
      std::vector<double> of_prompt(expected.out.begin() + c.T * c.C(),
                                    expected.out.begin() + (c.T + 128) * c.C());
      const double relative = tolerance(DType::kFloat32, c.D) + tolerance(DType::kFloat32, c.T);
      check_close("prompt", attend(cache, qkv, prompt, c.H), of_prompt, relative);
      for (std::int32_t t = 128; t < 131; ++t) {
        const auto first = expected.out.begin() + (c.T + t) * c.C();
        check_close("token", attend(cache, qkv, {{1, t}}, c.H),
                    std::vector<double>(first, first + c.C()), relative);
      }
    }
  });
}

TEST_CASE("cached attention gives each row the bits that it has alone", "[kernels][cpu]") {
  for_each_instruction_set([] {
    const Case c{.B = 3, .T = 70, .H = 2, .D = 24};
    const Tensor qkv = Tensor::random({c.B, c.T, 3 * c.C()}, 14);
    Cache together(c.B, c.T, c.C()), alone(c.B, c.T, c.C());
    std::vector<NewRow> rows;
    for (std::int32_t t = 0; t < 69; ++t) rows.push_back({2, t}), rows.push_back({0, t});
    const Tensor batch = attend(together, qkv, rows, c.H);
    for (std::size_t n = 0; n < rows.size(); ++n) {
      const Tensor single = attend(alone, qkv, {rows[n]}, c.H, 1);
      REQUIRE(same_row(batch, static_cast<std::int64_t>(n), single, 0));
    }
    const Tensor last = attend(together, qkv, {{0, 69}, {2, 69}}, c.H, 5);
    CHECK(same_row(last, 1, attend(alone, qkv, {{2, 69}}, c.H), 0));
  });
}

TEST_CASE("cached attention refuses places outside the cache", "[kernels]") {
  const Tensor qkv = Tensor::random({2, 5, 24}, 15);
  Cache cache(1, 4, 8);
  CHECK_THROWS_WITH(attend(cache, qkv, {{0, 0}, {0, 4}}, 2),
                    "cached_attention_forward: positions[1] is 4, expected 0 or more and less than "
                    "the cache's 4");
  CHECK_THROWS_AS(attend(cache, qkv, {{1, 0}}, 2), ShapeError);
  Cache narrow(1, 4, 6);
  CHECK_THROWS_WITH(
      attend(narrow, qkv, {{0, 0}}, 2),
      "cached_attention_forward: keys is float32 (1, 4, 6), expected float32 (S, P, 8)");
}

}  // namespace ovid::kernels::test
