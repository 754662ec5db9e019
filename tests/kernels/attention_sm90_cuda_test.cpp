#include <algorithm>
#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_reference.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

// Attention on a device of compute capability 9.0 in 16-bit numbers and heads of 64 and 128
// columns, which have kernels of their own; on other devices the same cases run on the general
// ones.
namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

using Doubles = std::vector<double>;

struct Case {
  std::int64_t B, T, H, D;
  DType dtype;
  std::int64_t C() const { return H * D; }
  std::string text() const {
    return "B " + std::to_string(B) + ", T " + std::to_string(T) + ", H " + std::to_string(H) +
           ", D " + std::to_string(D) + ", " + name_of(dtype);
  }
};

struct Results {
  Tensor out, log_sum_exp, d_qkv;
};

// Operands of the case with every element in [-1, 1).
Tensor qkv_of(const Case& c) {
  return rounded_to(c.dtype, Tensor::random({c.B, c.T, 3 * c.C()}, 1));
}
Tensor d_out_of(const Case& c) {
  return rounded_to(c.dtype, Tensor::random({c.B, c.T, c.C()}, 2));
}

Results run(const Case& c, const Tensor& qkv, const Tensor& d_out) {
  Results r{.out = Tensor(c.dtype, {c.B, c.T, c.C()}),
            .log_sum_exp = Tensor(DType::kFloat32, {c.B, c.H, c.T}),
            .d_qkv = Tensor(c.dtype, {c.B, c.T, 3 * c.C()})};
  CudaRun device;
  const ConstView x = device.input(qkv), d_y = device.input(d_out);
  const View y = device.output(r.out), l = device.output(r.log_sum_exp);
  const View d_x = device.output(r.d_qkv);
  device.op([&](ExecutionContext& ctx) {
    attention_forward(ctx, {.qkv = x, .out = y, .log_sum_exp = l, .heads = c.H});
  });
  device.op([&](ExecutionContext& ctx) {
    attention_backward(
        ctx, {.d_out = d_y, .qkv = x, .out = y, .log_sum_exp = l, .d_qkv = d_x, .heads = c.H});
  });
  device.finish();
  return r;
}

struct Expected {
  Doubles out, log_sum_exp, d_qkv;
};

Expected run_reference(const Case& c, const Doubles& qkv, const Doubles& d_out) {
  Expected e{.out = Doubles(d_out.size()),
             .log_sum_exp = Doubles(static_cast<std::size_t>(c.B * c.H * c.T)),
             .d_qkv = Doubles(qkv.size())};
  for (std::int64_t head = 0; head < c.B * c.H; ++head) {
    const std::int64_t in = head / c.H * c.T * 3 * c.C() + head % c.H * c.D;
    const std::int64_t out = head / c.H * c.T * c.C() + head % c.H * c.D;
    const double* q = qkv.data() + in;
    double* d_q = e.d_qkv.data() + in;
    const reference::AttentionHead<double> operands{.q = q,
                                                    .k = q + c.C(),
                                                    .v = q + 2 * c.C(),
                                                    .stride = 3 * c.C(),
                                                    .T = c.T,
                                                    .D = c.D,
                                                    .dropout_factors = {}};
    reference::attention_forward(operands, e.out.data() + out, c.C(),
                                 e.log_sum_exp.data() + head * c.T);
    reference::attention_backward(operands, d_out.data() + out, c.C(), d_q, d_q + c.C(),
                                  d_q + 2 * c.C());
  }
  return e;
}

double root_mean_square(const Doubles& values) {
  return std::sqrt(dot(values, values) / static_cast<double>(values.size()));
}

void check_case(const Case& c) {
  INFO(c.text());
  const Tensor qkv = qkv_of(c), d_out = d_out_of(c);
  const Results actual = run(c, qkv, d_out);
  const Expected expected = run_reference(c, qkv.values(), d_out.values());
  const double rounding = cuda_tolerance(c.dtype, 1), sums = cuda_tolerance(DType::kFloat32, c.T);
  // P is rounded before it weighs values of at most 1, whose weights sum to 1.
  check_close("out", actual.out, expected.out,
              rounding * (1 + 1 / root_mean_square(expected.out)) + sums);
  check_close("log_sum_exp", actual.log_sum_exp, expected.log_sum_exp,
              tolerance(DType::kFloat32, c.D) + sums);
  // P and dS are rounded before they weigh, with errors of rounding / sqrt(3) of each term; six
  // standard deviations are 3.5 times the root of the sum of the terms' squares. That is up to 7
  // times the root mean square of all results where only the first few positions add to a sum. One
  // position alone has no gradient but that of v; what is 0 then is the difference of two numbers
  // of up to sqrt(D), one of which comes from the rounded out.
  const double zero = c.T == 1 ? std::sqrt(static_cast<double>(c.D)) : 0.0;
  check_close("d_qkv", actual.d_qkv, expected.d_qkv, rounding * (24 + zero) + 2 * sums);
}

void for_both_types(const std::function<void(DType)>& body) {
  for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) body(dtype);
}

}  // namespace

TEST_CASE("attention for sm_90 matches the reference at lengths around its tiles",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_both_types([](DType dtype) {
    for (const std::int64_t T : {1, 2, 63, 64, 65, 127, 128, 129, 193, 257}) {
      check_case({.B = 1, .T = T, .H = 2, .D = 64, .dtype = dtype});
    }
  });
}

TEST_CASE("attention for sm_90 matches the reference for heads of 128 columns", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_both_types([](DType dtype) {
    for (const std::int64_t T : {1, 65, 128, 260}) {
      check_case({.B = 1, .T = T, .H = 2, .D = 128, .dtype = dtype});
    }
  });
}

TEST_CASE("attention for sm_90 matches the reference with more tiles than multiprocessors",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  check_case({.B = 10, .T = 130, .H = 14, .D = 64, .dtype = DType::kBfloat16});
}

TEST_CASE("attention for sm_90 gives the same bits again, and to a sequence alone",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Case batch{.B = 3, .T = 200, .H = 2, .D = 64, .dtype = DType::kBfloat16};
  const Case alone{.B = 1, .T = 200, .H = 2, .D = 64, .dtype = DType::kBfloat16};
  const Results first = run(batch, qkv_of(batch), d_out_of(batch));
  const Results second = run(batch, qkv_of(batch), d_out_of(batch));
  CHECK(first.out.same_bits(second.out));
  CHECK(first.log_sum_exp.same_bits(second.log_sum_exp));
  CHECK(first.d_qkv.same_bits(second.d_qkv));
  // Philox numbers elements in C order, so that the batch's first sequence is the one alone.
  const Results single = run(alone, qkv_of(alone), d_out_of(alone));
  const auto same_beginning = [](const Tensor& a, const Tensor& b) {
    const std::size_t count = static_cast<std::size_t>(b.shape().elements());
    return std::equal(b.data<std::uint16_t>(), b.data<std::uint16_t>() + count,
                      a.data<std::uint16_t>());
  };
  CHECK(same_beginning(first.out, single.out));
  CHECK(same_beginning(first.d_qkv, single.d_qkv));
}

TEST_CASE("a token's attention for sm_90 does not see later tokens", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Case c{.B = 1, .T = 150, .H = 1, .D = 64, .dtype = DType::kFloat16};
  const Tensor d_out = d_out_of(c);
  const Results before = run(c, qkv_of(c), d_out);
  for (const std::int64_t changed : {1, 64, 100, 149}) {
    INFO("tokens changed from " << changed << " on");
    Tensor other = qkv_of(c);
    for (std::int64_t i = changed * 3 * c.C(); i < c.T * 3 * c.C(); ++i) {
      other.data<std::uint16_t>()[i] ^= 0x8000u;
    }
    const Results after = run(c, other, d_out);
    const std::uint16_t* a = before.out.data<std::uint16_t>();
    CHECK(std::equal(a, a + changed * c.C(), after.out.data<std::uint16_t>()));
    const float* l = before.log_sum_exp.data<float>();
    CHECK(std::equal(l, l + changed, after.log_sum_exp.data<float>()));
  }
}

TEST_CASE("huge scores for sm_90 give the largest key's value, not NaN", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Case c{.B = 1, .T = 150, .H = 1, .D = 64, .dtype = DType::kBfloat16};
  const Tensor qkv = rounded_to(c.dtype, Tensor::random({1, c.T, 3 * c.C()}, 11, 1e4));
  const Results r = run(c, qkv, d_out_of(c));
  const Expected expected = run_reference(c, qkv.values(), d_out_of(c).values());
  check_close("out", r.out, expected.out, 2 * cuda_tolerance(c.dtype, c.D));
  for (const double value : r.d_qkv.values()) REQUIRE(std::isfinite(value));
}

}  // namespace ovid::kernels
