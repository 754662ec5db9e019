#include "kernels/attention/attention.h"

#include "kernels/attention/attention_cuda_scratch.h"
#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

void check_tensor(const char* op, const char* operand, const ConstView& view, DType dtype,
                  const Shape& shape) {
  check_shape(op, operand, view, dtype, shape);
  check_contiguous(op, operand, view);
}

void check_mask(const char* op, const std::optional<DropoutMask>& mask) {
  if (mask && !(mask->probability >= 0.0f && mask->probability < 1.0f)) {
    throw ShapeError(std::string(op) + ": dropout.probability is " +
                     std::to_string(mask->probability) + ", expected a number in [0, 1)");
  }
}

void check_heads(const char* op, std::int64_t heads, const ConstView& qkv) {
  if (heads < 1 || qkv.columns() % 3 != 0 || (qkv.columns() / 3) % heads != 0 ||
      qkv.columns() == 0) {
    throw_shape_error(op, "qkv", qkv,
                      "rows of 3C with C a multiple of heads = " + std::to_string(heads));
  }
}

AttentionShape shape_of(const ExecutionContext& ctx, const char* op, const ConstView& qkv,
                        std::int64_t heads) {
  check_compute_dtype(ctx, op, "qkv", qkv);
  if (qkv.shape().rank() != 3) throw_shape_error(op, "qkv", qkv, "(B, T, 3C)");
  check_heads(op, heads, qkv);
  check_contiguous(op, "qkv", qkv);
  return {qkv.shape()[0], qkv.shape()[1], heads, qkv.columns() / 3 / heads};
}

AttentionShape check_operands(const ExecutionContext& ctx, const Attention& op) {
  constexpr const char* kOp = "attention_forward";
  const AttentionShape s = shape_of(ctx, kOp, op.qkv, op.heads);
  const DType dtype = op.qkv.dtype();
  check_tensor(kOp, "out", op.out, dtype, {s.sequences, s.length, s.heads * s.head_width});
  check_tensor(kOp, "log_sum_exp", op.log_sum_exp, DType::kFloat32,
               {s.sequences, s.heads, s.length});
  check_mask(kOp, op.dropout);
  return s;
}

AttentionShape check_operands(const ExecutionContext& ctx, const AttentionGradient& op) {
  constexpr const char* kOp = "attention_backward";
  const AttentionShape s = shape_of(ctx, kOp, op.qkv, op.heads);
  const DType dtype = op.qkv.dtype();
  const std::int64_t C = s.heads * s.head_width;
  check_tensor(kOp, "d_out", op.d_out, dtype, {s.sequences, s.length, C});
  check_tensor(kOp, "out", op.out, dtype, {s.sequences, s.length, C});
  check_tensor(kOp, "log_sum_exp", op.log_sum_exp, DType::kFloat32,
               {s.sequences, s.heads, s.length});
  check_tensor(kOp, "d_qkv", op.d_qkv, dtype, {s.sequences, s.length, 3 * C});
  check_mask(kOp, op.dropout);
  return s;
}

CachedAttentionShape check_operands(const ExecutionContext& ctx, const CachedAttention& op) {
  constexpr const char* kOp = "cached_attention_forward";
  check_compute_dtype(ctx, kOp, "qkv", op.qkv);
  const DType dtype = op.qkv.dtype();
  if (op.qkv.shape().rank() != 2) throw_shape_error(kOp, "qkv", op.qkv, "(N, 3C)");
  check_heads(kOp, op.heads, op.qkv);
  check_contiguous(kOp, "qkv", op.qkv);
  const std::int64_t N = op.qkv.rows();
  const std::int64_t C = op.qkv.columns() / 3;
  check_shape(kOp, "sequences", op.sequences, DType::kInt32, {N});
  check_shape(kOp, "positions", op.positions, DType::kInt32, {N});
  check_contiguous(kOp, "sequences", op.sequences);
  check_contiguous(kOp, "positions", op.positions);
  if (op.keys.shape().rank() != 3 || op.keys.dtype() != dtype || op.keys.columns() != C) {
    throw_shape_error(kOp, "keys", op.keys,
                      std::string(name_of(dtype)) + " (S, P, " + std::to_string(C) + ")");
  }
  check_contiguous(kOp, "keys", op.keys);
  check_tensor(kOp, "values", op.values, dtype, op.keys.shape());
  check_tensor(kOp, "out", op.out, dtype, {N, C});
  return {N, op.keys.shape()[0], op.keys.shape()[1], op.heads, C / op.heads};
}

// products: of D multiply-adds for each query and key that it sees; tensors: of (B, T, C) in
// `dtype`, read or written.
OpScope profile_scope(ExecutionContext& ctx, const char* name, const AttentionShape& s, DType dtype,
                      double products, double tensors) {
  const auto width = static_cast<double>(bytes_of(dtype));
  const auto B = static_cast<double>(s.sequences), T = static_cast<double>(s.length);
  const auto C = static_cast<double>(s.heads) * static_cast<double>(s.head_width);
  return {ctx,
          name,
          {s.sequences, s.length, s.heads, s.head_width},
          {.flops = products * B * C * T * (T + 1.0), .bytes = width * tensors * B * T * C}};
}

}  // namespace

void attention_forward(ExecutionContext& ctx, const Attention& op) {
  const AttentionShape shape = check_operands(ctx, op);
  const OpScope scope = profile_scope(ctx, "attention_forward", shape, op.qkv.dtype(), 2, 4);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::attention_forward(ctx, op, shape);
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::attention_forward(ctx, op, shape);
  }
}

void attention_backward(ExecutionContext& ctx, const AttentionGradient& op) {
  const AttentionShape shape = check_operands(ctx, op);
  // Five products: the scores again, then d_P, d_q, d_k, d_v.
  const OpScope scope = profile_scope(ctx, "attention_backward", shape, op.qkv.dtype(), 5, 8);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::attention_backward(ctx, op, shape);
    case DeviceKind::kCuda:
      if (ctx.only_measures()) {
        return measure_scratch(ctx, cuda::attention_backward_scratch_bytes(shape));
      }
      return cuda::attention_backward(ctx, op, shape);
  }
}

void cached_attention_forward(ExecutionContext& ctx, const CachedAttention& op) {
  const CachedAttentionShape shape = check_operands(ctx, op);
  // How much of the cache the rows see stands in `positions`, in the device's memory: a cost for
  // the whole cache of each row's sequence is the upper limit.
  const auto N = static_cast<double>(shape.rows), P = static_cast<double>(shape.positions);
  const auto C = static_cast<double>(shape.heads) * static_cast<double>(shape.head_width);
  const OpScope scope(
      ctx, "cached_attention_forward", {shape.rows, shape.positions, shape.heads, shape.head_width},
      {.flops = 4 * N * P * C,
       .bytes = static_cast<double>(bytes_of(op.qkv.dtype())) * (2 * N * P * C + 4 * N * C)});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::cached_attention_forward(ctx, op, shape);
    case DeviceKind::kCuda:
      if (ctx.only_measures()) {
        return measure_scratch(ctx, cuda::cached_attention_scratch_bytes(shape));
      }
      return cuda::cached_attention_forward(ctx, op, shape);
  }
}

}  // namespace ovid::kernels
