#include "kernels/embedding/embedding.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

void check_table(const char* op, const char* operand, const ConstView& table, std::int64_t width) {
  if (table.shape().rank() != 2 || table.dtype() != DType::kFloat32 || table.columns() != width) {
    throw_shape_error(op, operand, table, "float32 (rows, " + std::to_string(width) + ")");
  }
  check_contiguous(op, operand, table);
}

struct Tables {
  const char* token_name;
  ConstView token;
  const char* position_name;
  ConstView position;
};

EmbeddingShape check_operands(const char* op, const ConstView& tokens,
                              const std::optional<ConstView>& positions, const char* rows_name,
                              const ConstView& rows, const Tables& tables) {
  if (tokens.shape().rank() != 2 || tokens.dtype() != DType::kInt32) {
    throw_shape_error(op, "tokens", tokens, "int32 (B, T)");
  }
  check_contiguous(op, "tokens", tokens);
  const EmbeddingShape shape{tokens.shape()[0], tokens.shape()[1], rows.columns(),
                             tables.token.rows(), tables.position.rows()};
  check_shape(op, "positions", positions, DType::kInt32, tokens.shape());
  if (positions) check_contiguous(op, "positions", *positions);
  check_matrix(op, rows_name, rows, DType::kFloat32, shape.sequences * shape.length, shape.width);
  check_contiguous(op, rows_name, rows);
  check_table(op, tables.token_name, tables.token, shape.width);
  check_table(op, tables.position_name, tables.position, shape.width);
  if (!positions && shape.positions < shape.length) {
    throw_shape_error(op, tables.position_name, tables.position,
                      "at least T = " + std::to_string(shape.length) + " rows");
  }
  return shape;
}

// bytes: of one element of a row of the batch.
OpScope profile_scope(ExecutionContext& ctx, const char* name, const EmbeddingShape& shape,
                      double flops, double bytes) {
  const auto elements = static_cast<double>(shape.sequences * shape.length * shape.width);
  return {ctx,
          name,
          {shape.sequences, shape.length, shape.width},
          {.flops = flops * elements, .bytes = bytes * elements}};
}

}  // namespace

void embedding_forward(ExecutionContext& ctx, const Embedding& op) {
  const EmbeddingShape shape =
      check_operands("embedding_forward", op.tokens, op.positions, "out", op.out,
                     {.token_name = "token_embedding",
                      .token = op.token_embedding,
                      .position_name = "position_embedding",
                      .position = op.position_embedding});
  const OpScope scope = profile_scope(ctx, "embedding_forward", shape, 1, 12);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::embedding_forward(ctx, op, shape);
    case DeviceKind::kCuda:
      return cuda::embedding_forward(ctx, op, shape);
  }
}

void embedding_backward(ExecutionContext& ctx, const EmbeddingGradient& op) {
  const EmbeddingShape shape =
      check_operands("embedding_backward", op.tokens, op.positions, "d_out", op.d_out,
                     {.token_name = "d_token_embedding",
                      .token = op.d_token_embedding,
                      .position_name = "d_position_embedding",
                      .position = op.d_position_embedding});
  // d_out read, a row of each table read and written.
  const OpScope scope = profile_scope(ctx, "embedding_backward", shape, 2, 20);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::embedding_backward(ctx, op, shape);
    case DeviceKind::kCuda:
      return cuda::embedding_backward(ctx, op, shape);
  }
}

}  // namespace ovid::kernels
