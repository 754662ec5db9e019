#include "kernels/embedding/embedding.h"
#include "kernels/embedding/embedding_reference.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

struct Case {
  std::int64_t B, T, C;
  std::int64_t V = 23, P = 40;
  bool own_positions = false;
};

// Few different tokens, so that rows of the gradient collide; multiplier: how they are spread.
Tensor tokens_of(const Case& c, std::int64_t multiplier = 31) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t n = 0; n < c.B * c.T; ++n) {
    tokens.push_back(static_cast<std::int32_t>(n * n * multiplier % c.V));
  }
  return Tensor::of({c.B, c.T}, tokens);
}

Tensor positions_of(const Case& c) {
  std::vector<std::int32_t> positions;
  for (std::int64_t n = 0; n < c.B * c.T; ++n) {
    positions.push_back(static_cast<std::int32_t>(c.own_positions ? (n * 7 + 3) % c.P : n % c.T));
  }
  return Tensor::of({c.B, c.T}, positions);
}

std::optional<ConstView> given(CudaRun& run, const Case& c, const Tensor& positions) {
  return c.own_positions ? std::optional<ConstView>(run.input(positions)) : std::nullopt;
}

void check_forward(const Case& c, DType dtype) {
  const Tensor tokens = tokens_of(c), positions = positions_of(c);
  const Tensor token_embedding = rounded_to(dtype, Tensor::random({c.V, c.C}, 1));
  const Tensor position_embedding = rounded_to(dtype, Tensor::random({c.P, c.C}, 2));
  Tensor out(dtype, {c.B, c.T, c.C});
  {
    CudaRun run;
    const ConstView ids = run.input(tokens), table = run.input(token_embedding);
    const ConstView places = run.input(position_embedding);
    const std::optional<ConstView> own = given(run, c, positions);
    const View y = run.output(out);
    run.op([&](ExecutionContext& ctx) {
      embedding_forward(ctx, {.tokens = ids,
                              .positions = own,
                              .token_embedding = table,
                              .position_embedding = places,
                              .out = y});
    });
    run.finish();
  }
  std::vector<double> expected(static_cast<std::size_t>(c.B * c.T * c.C));
  reference::embedding_forward(tokens.data<std::int32_t>(), positions.data<std::int32_t>(),
                               token_embedding.values().data(), position_embedding.values().data(),
                               expected.data(), c.B, c.T, c.C);
  check_close("embedding", out, expected, cuda_tolerance(dtype, 1));
}

struct Gradients {
  Tensor token, position;
};

Gradients gradients(const Case& c, const Tensor& tokens, const Tensor& d_out, DType token_dtype,
                    DType position_dtype) {
  const Tensor positions = positions_of(c);
  Gradients g{rounded_to(token_dtype, Tensor::random({c.V, c.C}, 4)),
              rounded_to(position_dtype, Tensor::random({c.P, c.C}, 5))};
  CudaRun run;
  const ConstView ids = run.input(tokens), d = run.input(d_out);
  const std::optional<ConstView> own = given(run, c, positions);
  const View d_token = run.output(g.token), d_position = run.output(g.position);
  run.op([&](ExecutionContext& ctx) {
    embedding_backward(ctx, {.tokens = ids,
                             .positions = own,
                             .d_out = d,
                             .d_token_embedding = d_token,
                             .d_position_embedding = d_position});
  });
  run.finish();
  return g;
}

void check_backward(const Case& c, DType dtype, DType token_dtype, DType position_dtype) {
  const Tensor tokens = tokens_of(c), positions = positions_of(c);
  const Tensor d_out = rounded_to(dtype, Tensor::random({c.B, c.T, c.C}, 3));
  std::vector<double> token = rounded_to(token_dtype, Tensor::random({c.V, c.C}, 4)).values();
  std::vector<double> position = rounded_to(position_dtype, Tensor::random({c.P, c.C}, 5)).values();
  reference::embedding_backward(tokens.data<std::int32_t>(), positions.data<std::int32_t>(),
                                d_out.values().data(), token.data(), position.data(), c.B, c.T,
                                c.C);
  const Gradients g = gradients(c, tokens, d_out, token_dtype, position_dtype);
  check_close("d_token_embedding", g.token, token, cuda_tolerance(token_dtype, c.B * c.T));
  check_close("d_position_embedding", g.position, position,
              cuda_tolerance(position_dtype, c.B * c.T));
}

}  // namespace

TEST_CASE("embedding on CUDA agrees with its reference in every precision", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  for_each_precision([](DType dtype) {
    for (const std::int64_t C : {1, 7, 63, 64, 65, 130}) {
      for (const bool own_positions : {false, true}) {
        INFO("C = " << C << ", own positions " << own_positions);
        const Case c{.B = 3, .T = 17, .C = C, .own_positions = own_positions};
        check_forward(c, dtype);
        check_backward(c, dtype, DType::kFloat32, dtype);
        if (dtype != DType::kFloat32) check_backward(c, dtype, dtype, DType::kFloat32);
      }
    }
    for (const std::int64_t C : {768, 1600}) {
      const Case c{.B = 2, .T = 5, .C = C};
      check_forward(c, dtype);
      check_backward(c, dtype, DType::kFloat32, DType::kFloat32);
    }
  });
}

TEST_CASE("embedding's gradient on CUDA has the CPU's bits, since both add in the batch's order",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  // One sort pass, two of them over several blocks, and three; V - 1 of 256 and 65,536 rows is the
  // greatest number of so many digits.
  const Case cases[] = {{.B = 2, .T = 40, .C = 4, .V = 256},
                        {.B = 5, .T = 821, .C = 4, .V = 257, .P = 900},
                        {.B = 3, .T = 64, .C = 4, .V = 65536, .P = 100},
                        {.B = 3, .T = 64, .C = 4, .V = 65537, .P = 300, .own_positions = true},
                        {.B = 1, .T = 1, .C = 8, .V = 1, .P = 1}};
  for (const Case& c : cases) {
    INFO("V = " << c.V << ", B T = " << c.B * c.T);
    const Tensor tokens = tokens_of(c, 104729), positions = positions_of(c);
    const Tensor d_out = Tensor::random({c.B, c.T, c.C}, 3);
    const Gradients g = gradients(c, tokens, d_out, DType::kFloat32, DType::kFloat32);
    Tensor token = Tensor::random({c.V, c.C}, 4), position = Tensor::random({c.P, c.C}, 5);
    run_op(1, [&](ExecutionContext& ctx) {
      embedding_backward(ctx, {.tokens = tokens,
                               .positions = positions.view(),
                               .d_out = d_out,
                               .d_token_embedding = token,
                               .d_position_embedding = position});
    });
    CHECK(g.token.same_bits(token));
    CHECK(g.position.same_bits(position));
  }
}

TEST_CASE("embedding's gradient on CUDA adds a token that fills the batch", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  const Case c{.B = 2, .T = 70, .C = 36, .P = 70};
  const Tensor tokens = Tensor::zeros(DType::kInt32, {c.B, c.T});
  const Tensor d_out = Tensor::random({c.B, c.T, c.C}, 3);
  std::vector<double> token = Tensor::random({c.V, c.C}, 4).values();
  const std::vector<double> rows = d_out.values();
  for (std::size_t i = 0; i < rows.size(); ++i) token[i % static_cast<std::size_t>(c.C)] += rows[i];
  const Gradients g = gradients(c, tokens, d_out, DType::kFloat32, DType::kFloat32);
  check_close("d_token_embedding", g.token, token, cuda_tolerance(DType::kFloat32, c.B * c.T));
}

}  // namespace ovid::kernels
