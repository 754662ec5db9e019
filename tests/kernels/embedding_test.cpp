#include "kernels/embedding/embedding.h"

#include "kernels/embedding/embedding_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels::test {

namespace {

constexpr std::int64_t kV = 23;
constexpr std::int64_t kP = 40;

struct Case {
  std::int64_t B, T, C;
  bool own_positions;
};

// Few different tokens, so that rows of the gradient collide.
Tensor tokens_of(const Case& c) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t n = 0; n < c.B * c.T; ++n) {
    tokens.push_back(static_cast<std::int32_t>(n * n * 31 % kV));
  }
  return Tensor::of({c.B, c.T}, tokens);
}

std::optional<Tensor> positions_of(const Case& c) {
  if (!c.own_positions) return std::nullopt;
  std::vector<std::int32_t> positions;
  for (std::int64_t n = 0; n < c.B * c.T; ++n) {
    positions.push_back(static_cast<std::int32_t>((n * 7 + 3) % kP));
  }
  return Tensor::of({c.B, c.T}, positions);
}

std::optional<ConstView> view_of(const std::optional<Tensor>& tensor) {
  return tensor ? std::optional<ConstView>(tensor->view()) : std::nullopt;
}

const std::int32_t* data_of(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->data<std::int32_t>() : nullptr;
}

void check_forward(const Case& c) {
  const Tensor tokens = tokens_of(c);
  const std::optional<Tensor> positions = positions_of(c);
  const Tensor token_embedding = Tensor::random({kV, c.C}, 1);
  const Tensor position_embedding = Tensor::random({kP, c.C}, 2);
  Tensor out(DType::kFloat32, {c.B, c.T, c.C});
  run_op(2, [&](ExecutionContext& ctx) {
    embedding_forward(ctx, {.tokens = tokens,
                            .positions = view_of(positions),
                            .token_embedding = token_embedding,
                            .position_embedding = position_embedding,
                            .out = out});
  });
  std::vector<double> expected(static_cast<std::size_t>(c.B * c.T * c.C));
  reference::embedding_forward(tokens.data<std::int32_t>(), data_of(positions),
                               token_embedding.values().data(), position_embedding.values().data(),
                               expected.data(), c.B, c.T, c.C);
  check_close("embedding", out, expected, tolerance(DType::kFloat32, 1));
}

void check_backward(const Case& c) {
  const Tensor tokens = tokens_of(c);
  const std::optional<Tensor> positions = positions_of(c);
  const Tensor d_out = Tensor::random({c.B, c.T, c.C}, 3);
  Tensor d_token = Tensor::random({kV, c.C}, 4);
  Tensor d_position = Tensor::random({kP, c.C}, 5);
  std::vector<double> expected_token = d_token.values();
  std::vector<double> expected_position = d_position.values();
  reference::embedding_backward(tokens.data<std::int32_t>(), data_of(positions),
                                d_out.values().data(), expected_token.data(),
                                expected_position.data(), c.B, c.T, c.C);
  run_op(2, [&](ExecutionContext& ctx) {
    embedding_backward(ctx, {.tokens = tokens,
                             .positions = view_of(positions),
                             .d_out = d_out,
                             .d_token_embedding = d_token,
                             .d_position_embedding = d_position});
  });
  check_close("d_token_embedding", d_token, expected_token, tolerance(DType::kFloat32, c.B * c.T));
  check_close("d_position_embedding", d_position, expected_position,
              tolerance(DType::kFloat32, c.B * c.T));
}

}  // namespace

TEST_CASE("embedding's reference gradient matches finite differences", "[kernels]") {
  const std::vector<std::int32_t> tokens{1, 0, 1, 2, 1, 1};  // (2, 3)
  const std::vector<double> d_out = random_doubles(12, 1);
  const std::vector<double> tables = random_doubles(12, 2);  // token (3, 2), then position (3, 2)
  std::vector<double> gradient(12, 0.0);
  reference::embedding_backward<double>(tokens.data(), nullptr, d_out.data(), gradient.data(),
                                        gradient.data() + 6, 2, 3, 2);
  const auto loss = [&](const std::vector<double>& x) {
    std::vector<double> out(12);
    reference::embedding_forward<double>(tokens.data(), nullptr, x.data(), x.data() + 6, out.data(),
                                         2, 3, 2);
    return dot(out, d_out);
  };
  check_gradient("embedding", loss, tables, gradient);
}

TEST_CASE("embedding matches the reference", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t C : {1, 15, 16, 17, 63, 64, 65, 130}) {
      for (const bool own_positions : {false, true}) {
        INFO("C = " << C << ", own positions " << own_positions);
        const Case c{.B = 3, .T = 17, .C = C, .own_positions = own_positions};
        check_forward(c);
        check_backward(c);
      }
    }
    check_forward({.B = 1, .T = 1, .C = 768, .own_positions = false});
    check_backward({.B = 1, .T = 1, .C = 768, .own_positions = false});
  });
}

TEST_CASE("embedding has equal bits on every number of threads", "[kernels][cpu]") {
  const Case c{.B = 4, .T = 33, .C = 200, .own_positions = false};
  check_same_bits_on_threads("embedding", [&](int threads) {
    const Tensor tokens = tokens_of(c);
    const Tensor table = Tensor::random({kV, c.C}, 1);
    const Tensor position = Tensor::random({kP, c.C}, 2);
    Tensor out(DType::kFloat32, {c.B, c.T, c.C});
    Tensor d_token = Tensor::zeros(DType::kFloat32, {kV, c.C});
    Tensor d_position = Tensor::zeros(DType::kFloat32, {kP, c.C});
    run_op(threads, [&](ExecutionContext& ctx) {
      embedding_forward(
          ctx,
          {.tokens = tokens, .token_embedding = table, .position_embedding = position, .out = out});
      embedding_backward(ctx, {.tokens = tokens,
                               .d_out = out.view(),
                               .d_token_embedding = d_token,
                               .d_position_embedding = d_position});
    });
    return std::vector<Tensor>{out, d_token, d_position};
  });
}

TEST_CASE("embedding refuses operands that do not fit", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  const Tensor tokens = Tensor::zeros(DType::kInt32, {2, 5});
  const Tensor positions = Tensor::zeros(DType::kInt32, {5, 2});
  Tensor table(DType::kFloat32, {7, 8});
  Tensor narrow(DType::kFloat32, {7, 6});
  Tensor few(DType::kFloat32, {4, 8});
  Tensor out(DType::kFloat32, {2, 5, 8});
  CHECK_THROWS_WITH(
      embedding_forward(ctx, {.tokens = tokens,
                              .token_embedding = narrow.view(),
                              .position_embedding = table.view(),
                              .out = out}),
      "embedding_forward: token_embedding is float32 (7, 6), expected float32 (rows, 8)");
  CHECK_THROWS_WITH(
      embedding_forward(ctx, {.tokens = tokens,
                              .token_embedding = table.view(),
                              .position_embedding = few.view(),
                              .out = out}),
      "embedding_forward: position_embedding is float32 (4, 8), expected at least T = 5 rows");
  CHECK_THROWS_WITH(embedding_backward(ctx, {.tokens = tokens,
                                             .positions = positions.view(),
                                             .d_out = out.view(),
                                             .d_token_embedding = table,
                                             .d_position_embedding = few}),
                    "embedding_backward: positions is int32 (5, 2), expected int32 (2, 5)");
}

}  // namespace ovid::kernels::test
