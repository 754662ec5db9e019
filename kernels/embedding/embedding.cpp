#include "kernels/embedding/embedding.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"
#include "kernels/embedding/embedding_cuda_scratch.h"

namespace ovid::kernels {

namespace {

void check_table(const char* op, const char* operand, const ConstView& table, DType dtype,
                 std::int64_t width) {
  if (table.shape().rank() != 2 || table.dtype() != dtype || table.columns() != width) {
    throw_shape_error(op, operand, table,
                      std::string(name_of(dtype)) + " (rows, " + std::to_string(width) + ")");
  }
  check_contiguous(op, operand, table);
}

// A table that is frozen is absent from the backward pass.
struct Operands {
  const char* rows_name;
  ConstView rows;
  DType rows_dtype;
  const char* token_name;
  std::optional<ConstView> token;
  const char* position_name;
  std::optional<ConstView> position;
};

EmbeddingShape check_operands(const char* op, const ConstView& tokens,
                              const std::optional<ConstView>& positions, const Operands& operands) {
  const ConstView& rows = operands.rows;
  if (tokens.shape().rank() != 2 || tokens.dtype() != DType::kInt32) {
    throw_shape_error(op, "tokens", tokens, "int32 (B, T)");
  }
  check_contiguous(op, "tokens", tokens);
  const EmbeddingShape shape{tokens.shape()[0], tokens.shape()[1], rows.columns(),
                             operands.token ? operands.token->rows() : 0,
                             operands.position ? operands.position->rows() : 0};
  check_shape(op, "positions", positions, DType::kInt32, tokens.shape());
  if (positions) check_contiguous(op, "positions", *positions);
  check_matrix(op, operands.rows_name, rows, operands.rows_dtype, shape.sequences * shape.length,
               shape.width);
  check_contiguous(op, operands.rows_name, rows);
  if (operands.token)
    check_table(op, operands.token_name, *operands.token, operands.token->dtype(), shape.width);
  if (!operands.position) return shape;
  check_table(op, operands.position_name, *operands.position, operands.position->dtype(),
              shape.width);
  if (!positions && shape.positions < shape.length) {
    throw_shape_error(op, operands.position_name, *operands.position,
                      "at least T = " + std::to_string(shape.length) + " rows");
  }
  return shape;
}

// bytes: moved for one element of a row of the batch.
OpScope profile_scope(ExecutionContext& ctx, const char* name, const EmbeddingShape& shape,
                      double flops, std::size_t bytes) {
  const auto elements = static_cast<double>(shape.sequences * shape.length * shape.width);
  return {ctx,
          name,
          {shape.sequences, shape.length, shape.width},
          {.flops = flops * elements, .bytes = static_cast<double>(bytes) * elements}};
}

}  // namespace

void embedding_forward(ExecutionContext& ctx, const Embedding& op) {
  const DType dtype = op.token_embedding.dtype();
  check_compute_dtype(ctx, "embedding_forward", "token_embedding", op.token_embedding);
  if (op.position_embedding.dtype() != dtype)
    throw_shape_error("embedding_forward", "position_embedding", op.position_embedding,
                      name_of(dtype));
  const EmbeddingShape shape = check_operands("embedding_forward", op.tokens, op.positions,
                                              {.rows_name = "out",
                                               .rows = op.out,
                                               .rows_dtype = dtype,
                                               .token_name = "token_embedding",
                                               .token = op.token_embedding,
                                               .position_name = "position_embedding",
                                               .position = op.position_embedding});
  const OpScope scope = profile_scope(ctx, "embedding_forward", shape, 1, 3 * bytes_of(dtype));
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::embedding_forward(ctx, op, shape);
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::embedding_forward(ctx, op, shape);
  }
}

void embedding_backward(ExecutionContext& ctx, const EmbeddingGradient& op) {
  const DType dtype = op.d_out.dtype();
  check_compute_dtype(ctx, "embedding_backward", "d_out", op.d_out);
  const auto check_gradient = [&](const char* operand, const std::optional<View>& gradient) {
    if (gradient) check_gradient_dtype("embedding_backward", operand, *gradient, dtype);
  };
  check_gradient("d_token_embedding", op.d_token_embedding);
  check_gradient("d_position_embedding", op.d_position_embedding);
  const EmbeddingShape shape = check_operands("embedding_backward", op.tokens, op.positions,
                                              {.rows_name = "d_out",
                                               .rows = op.d_out,
                                               .rows_dtype = dtype,
                                               .token_name = "d_token_embedding",
                                               .token = op.d_token_embedding,
                                               .position_name = "d_position_embedding",
                                               .position = op.d_position_embedding});
  // d_out read, a row of each table read and written.
  const auto moved = [](const std::optional<View>& gradient) {
    return gradient ? 2 * bytes_of(gradient->dtype()) : 0;
  };
  const std::size_t bytes =
      bytes_of(dtype) + moved(op.d_token_embedding) + moved(op.d_position_embedding);
  const OpScope scope = profile_scope(ctx, "embedding_backward", shape, 2, bytes);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::embedding_backward(ctx, op, shape);
    case DeviceKind::kCuda:
      if (ctx.only_measures()) {
        const bool sorts_positions = op.positions && op.d_position_embedding;
        if (!op.d_token_embedding && !sorts_positions) return;
        return measure_scratch(ctx, cuda::embedding_backward_scratch_bytes(shape, sorts_positions));
      }
      return cuda::embedding_backward(ctx, op, shape);
  }
}

}  // namespace ovid::kernels
