#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_reference.h"
#include "kernels/attention/attention_tile_layout.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

using Doubles = std::vector<double>;

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

Results run(const Case& c, const Tensor& qkv, const Tensor& d_out) {
  Results r{.out = Tensor(qkv.dtype(), {c.B, c.T, c.C()}),
            .log_sum_exp = Tensor(DType::kFloat32, {c.B, c.H, c.T}),
            .d_qkv = Tensor(qkv.dtype(), {c.B, c.T, 3 * c.C()})};
  CudaRun cuda;
  const ConstView x = cuda.input(qkv), d_y = cuda.input(d_out);
  const View y = cuda.output(r.out), l = cuda.output(r.log_sum_exp), d_x = cuda.output(r.d_qkv);
  cuda.op([&](ExecutionContext& ctx) {
    attention_forward(ctx,
                      {.qkv = x, .out = y, .log_sum_exp = l, .heads = c.H, .dropout = c.dropout});
  });
  cuda.op([&](ExecutionContext& ctx) {
    attention_backward(ctx, {.d_out = d_y,
                             .qkv = x,
                             .out = y,
                             .log_sum_exp = l,
                             .d_qkv = d_x,
                             .heads = c.H,
                             .dropout = c.dropout});
  });
  cuda.finish();
  return r;
}

// The reference's results, and the largest sum of sizes of the terms behind any of them: what
// rounding the factors of a product's terms may cost.
struct Expected {
  Doubles out, log_sum_exp, d_qkv;
  double out_terms = 0, gradient_terms = 0;
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
                        : Doubles{}};
}

void measure_terms(const Case& c, const reference::AttentionHead<double>& head, const double* out,
                   const double* d_out, Expected& e) {
  const auto size = static_cast<std::size_t>(c.T * c.D);
  Doubles l(static_cast<std::size_t>(c.T)), d_q(size), d_k(size), d_v(size);
  const Doubles P = reference::attention_probabilities(head, l.data());
  const double scale = 1 / std::sqrt(static_cast<double>(c.D));
  for (std::int64_t i = 0; i < c.T; ++i) {
    Doubles of_out(static_cast<std::size_t>(c.D));
    double delta = 0;
    for (std::int64_t a = 0; a < c.D; ++a)
      delta += std::fabs(d_out[i * c.C() + a] * out[i * c.C() + a]);
    for (std::int64_t j = 0; j <= i; ++j) {
      const double z = head.factor(i, j), p = P[static_cast<std::size_t>(i * c.T + j)];
      double d_p = 0;
      for (std::int64_t a = 0; a < c.D; ++a)
        d_p += d_out[i * c.C() + a] * head.v[j * head.stride + a];
      const double d_s = p * (z * std::fabs(d_p) + delta) * scale;
      for (std::int64_t a = 0; a < c.D; ++a) {
        const auto at_i = static_cast<std::size_t>(i * c.D + a),
                   at_j = static_cast<std::size_t>(j * c.D + a);
        of_out[static_cast<std::size_t>(a)] += z * p * std::fabs(head.v[j * head.stride + a]);
        d_v[at_j] += z * p * std::fabs(d_out[i * c.C() + a]);
        d_q[at_i] += d_s * std::fabs(head.k[j * head.stride + a]);
        d_k[at_j] += d_s * std::fabs(head.q[i * head.stride + a]);
      }
    }
    for (const double sum : of_out) e.out_terms = std::max(e.out_terms, sum);
  }
  for (std::size_t i = 0; i < size; ++i) {
    e.gradient_terms = std::max({e.gradient_terms, d_q[i], d_k[i], d_v[i]});
  }
}

Expected run_reference(const Case& c, const Doubles& qkv, const Doubles& d_out) {
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  Expected e{.out = Doubles(size(c.B * c.T * c.C())),
             .log_sum_exp = Doubles(size(c.B * c.H * c.T)),
             .d_qkv = Doubles(size(c.B * c.T * 3 * c.C()))};
  for (std::int64_t head = 0; head < c.B * c.H; ++head) {
    const auto operands = head_of(c, qkv.data(), head);
    const std::int64_t place = head / c.H * c.T * c.C() + head % c.H * c.D;
    double* d_q = e.d_qkv.data() + (operands.q - qkv.data());
    reference::attention_forward(operands, e.out.data() + place, c.C(),
                                 e.log_sum_exp.data() + head * c.T);
    reference::attention_backward(operands, d_out.data() + place, c.C(), d_q, d_q + c.C(),
                                  d_q + 2 * c.C());
    measure_terms(c, operands, e.out.data() + place, d_out.data() + place, e);
  }
  return e;
}

double root_mean_square(const Doubles& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// What arithmetic in float costs: as on the CPU, scores enter exponentials and gradients sum over
// them; an exponential by one instruction errs by 2^-22, its argument, up to 16 in size, by 2^-20.
double float_tolerance(const Case& c) {
  return tolerance(DType::kFloat32, c.D) + tolerance(DType::kFloat32, c.T) + 0x1p-18;
}

// Each term has P or dS as a factor, rounded to `dtype`; dS besides comes from `out`, which is
// rounded too: relative to the root mean square, up to one and two roundoffs of the terms' sizes.
double rounding(DType dtype, double terms, const Doubles& expected) {
  const double roundoff = cuda_tolerance(dtype, 1) - cuda_tolerance(DType::kFloat32, 1);
  return roundoff * (1 + terms / root_mean_square(expected));
}

void check_case(const Case& c, DType dtype) {
  INFO(c.text() << ", " << name_of(dtype));
  const Tensor qkv = rounded_to(dtype, Tensor::random({c.B, c.T, 3 * c.C()}, 1, 2.0));
  const Tensor d_out = rounded_to(dtype, Tensor::random({c.B, c.T, c.C()}, 2));
  const Results actual = run(c, qkv, d_out);
  const Expected expected = run_reference(c, qkv.values(), d_out.values());
  const double of_float = float_tolerance(c);
  check_close("out", actual.out, expected.out,
              of_float + rounding(dtype, expected.out_terms, expected.out));
  check_close("log_sum_exp", actual.log_sum_exp, expected.log_sum_exp, of_float);
  check_close("d_qkv", actual.d_qkv, expected.d_qkv,
              2 * (of_float + rounding(dtype, expected.gradient_terms, expected.d_qkv)));
}

// The bytes of sequence `index` of a (B, T, columns) tensor.
Tensor sequence_of(const Tensor& tensor, std::int64_t index) {
  const std::int64_t T = tensor.shape()[1], columns = tensor.shape().last();
  Tensor part(tensor.dtype(), {1, T, columns});
  const auto bytes = static_cast<std::int64_t>(bytes_of(tensor.dtype())) * T * columns;
  std::copy_n(static_cast<const std::byte*>(tensor.view().raw()) + index * bytes, bytes,
              static_cast<std::byte*>(part.view().raw()));
  return part;
}

}  // namespace

TEST_CASE("attention's tiles for tensor cores have no bank conflicts", "[kernels]") {
  // Eight lanes access 16 bytes each: they must lie in eight different groups of four banks.
  const auto check = [](const char* what, auto offset) {
    INFO(what);
    for (int first = 0; first < 64; first += 8) {
      for (int group = 0; group < 8; ++group) {
        std::set<int> of_rows, of_groups;
        for (int i = 0; i < 8; ++i) {
          of_rows.insert(offset(first + i, group) / 16 % 8);
          of_groups.insert(offset(first + group, i) / 16 % 8);
        }
        CHECK(of_rows.size() == 8);
        CHECK(of_groups.size() == 8);
      }
    }
  };
  check("64 columns", attention_tile_offset<64>);
  check("128 columns", attention_tile_offset<128>);
  std::set<int> places;
  for (int i = 0; i < 64 * 16; ++i) places.insert(attention_tile_offset<128>(i / 16, i % 16));
  CHECK(places.size() == 64 * 16);
  CHECK(*places.rbegin() == 64 * 256 - 16);
  for (int i = 0; i < 64 * 16; ++i) {
    const auto at = static_cast<unsigned>(attention_tile_offset<128>(i / 16, i % 2));
    CHECK(attention_tile_step(at, i % 16 / 2) ==
          static_cast<unsigned>(attention_tile_offset<128>(i / 16, i % 16 / 2 * 2 + i % 2)));
  }
}

TEST_CASE("attention on CUDA matches the reference at lengths around its tiles",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) {
    for (const std::int64_t T : {1, 17, 63, 64, 65, 128, 129, 200}) {
      check_case({.B = 1, .T = T, .H = 2, .D = 64}, dtype);
    }
  }
  for (const std::int64_t T : {1, 63, 65, 129}) {
    check_case({.B = 1, .T = T, .H = 1, .D = 64}, DType::kFloat32);
  }
}

TEST_CASE("attention on CUDA matches the reference for every kind of head width",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const std::int64_t D : {8, 80}) {
    check_case({.B = 2, .T = 70, .H = 2, .D = D}, DType::kBfloat16);
  }
  for (const std::int64_t D : {40, 128}) {
    check_case({.B = 2, .T = 70, .H = 2, .D = D}, DType::kFloat16);
  }
  check_case({.B = 1, .T = 150, .H = 1, .D = 128}, DType::kBfloat16);
  // Widths that tensor cores do not take, and the chunks of wide heads.
  check_case({.B = 2, .T = 5, .H = 2, .D = 1}, DType::kBfloat16);
  check_case({.B = 1, .T = 9, .H = 1, .D = 130}, DType::kFloat16);
  check_case({.B = 1, .T = 66, .H = 1, .D = 7}, DType::kFloat32);
  check_case({.B = 1, .T = 66, .H = 1, .D = 100}, DType::kFloat32);
  check_case({.B = 1, .T = 3, .H = 1, .D = 256}, DType::kFloat32);
}

TEST_CASE("attention on CUDA drops what the CPU drops", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) {
    check_case({.B = 2, .T = 67, .H = 2, .D = 64, .dropout = kMask}, dtype);
    check_case({.B = 1, .T = 131, .H = 1, .D = 64, .dropout = kMask}, dtype);
    check_case({.B = 1, .T = 67, .H = 1, .D = 128, .dropout = kMask}, dtype);
  }
  check_case({.B = 2, .T = 67, .H = 1, .D = 7, .dropout = kMask}, DType::kFloat32);
}

TEST_CASE("attention on CUDA matches the reference at GPT-2's own sizes", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  check_case({.B = 1, .T = 512, .H = 1, .D = 64}, DType::kBfloat16);
  check_case({.B = 1, .T = 130, .H = 12, .D = 64}, DType::kBfloat16);
}

TEST_CASE("attention on CUDA has equal bits each time, alone and in a batch", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const auto check = [](const Case& c, DType dtype) {
    INFO(c.text() << ", " << name_of(dtype));
    const Tensor qkv = rounded_to(dtype, Tensor::random({c.B, c.T, 3 * c.C()}, 5));
    const Tensor d_out = rounded_to(dtype, Tensor::random({c.B, c.T, c.C()}, 6));
    const Results first = run(c, qkv, d_out), second = run(c, qkv, d_out);
    CHECK(first.out.same_bits(second.out));
    CHECK(first.log_sum_exp.same_bits(second.log_sum_exp));
    CHECK(first.d_qkv.same_bits(second.d_qkv));
    const Case one{.B = 1, .T = c.T, .H = c.H, .D = c.D};
    const Results alone = run(one, sequence_of(qkv, 1), sequence_of(d_out, 1));
    CHECK(alone.out.same_bits(sequence_of(first.out, 1)));
    CHECK(alone.d_qkv.same_bits(sequence_of(first.d_qkv, 1)));
  };
  check({.B = 2, .T = 140, .H = 1, .D = 64}, DType::kBfloat16);
  check({.B = 2, .T = 70, .H = 2, .D = 40}, DType::kFloat16);
  check({.B = 2, .T = 66, .H = 1, .D = 20}, DType::kFloat32);
}

TEST_CASE("huge scores on CUDA give the largest key's value, not NaN", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    const Case c{.B = 1, .T = 100, .H = 1, .D = 64};
    const Tensor qkv = rounded_to(dtype, Tensor::random({1, c.T, 3 * c.C()}, 11, 100.0));
    const Results r = run(c, qkv, rounded_to(dtype, Tensor::random({1, c.T, c.C()}, 12)));
    for (const double value : r.out.values()) REQUIRE(std::fabs(value) <= 100.0);
    for (const double value : r.d_qkv.values()) REQUIRE(std::isfinite(value));
  });
}

TEST_CASE("the naive attention kernels match the reference", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  cuda_device()->choose_attention(cuda::AttentionKernels::kNaive);
  for_each_precision([](DType dtype) {
    check_case({.B = 2, .T = 1, .H = 2, .D = 1}, dtype);
    check_case({.B = 1, .T = 130, .H = 2, .D = 64}, dtype);
    check_case({.B = 2, .T = 41, .H = 1, .D = 7, .dropout = kMask}, dtype);
  });
  check_case({.B = 1, .T = 5, .H = 1, .D = 150}, DType::kBfloat16);
  const Case wide{.B = 1, .T = 2, .H = 1, .D = 2049};
  const Tensor qkv = Tensor::random({1, 2, 3 * wide.C()}, 1);
  CHECK_THROWS_AS(run(wide, qkv, Tensor::random({1, 2, wide.C()}, 2)), ShapeError);
  cuda_device()->choose_attention(cuda::AttentionKernels::kFlash);
}

TEST_CASE("cuDNN's attention says why it is not there, and the choice stays", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  REQUIRE(setenv("OVID_CUDNN_MODULE", "/absent/libovid_cudnn.so", 1) == 0);
  try {
    cuda_device()->choose_attention(cuda::AttentionKernels::kCudnn);
    FAIL("there is no such module");
  } catch (const DeviceError& error) {
    CHECK_THAT(error.what(), Catch::Contains("/absent/libovid_cudnn.so") &&
                                 Catch::Contains("set attention: flash"));
  }
  REQUIRE(unsetenv("OVID_CUDNN_MODULE") == 0);
  CHECK(cuda_device()->attention() == cuda::AttentionKernels::kFlash);
}

}  // namespace ovid::kernels
