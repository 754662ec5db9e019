#include "kernels/gelu/gelu.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

// As `in`, contiguous.
void check_operand(const char* op, const char* name, const ConstView& view, const ConstView& in) {
  check_shape(op, name, view, in.dtype(), in.shape());
  check_contiguous(op, name, view);
}

// Operations of one element, as gelu-inl.h computes it.
constexpr double kForwardOperations = 25;
constexpr double kBackwardOperations = 34;

OpScope profile_scope(ExecutionContext& ctx, const char* name, const ConstView& in,
                      double operations, double tensors) {
  const auto elements = static_cast<double>(in.elements());
  const auto bytes = static_cast<double>(bytes_of(in.dtype()));
  return {ctx,
          name,
          {in.rows(), in.columns()},
          {.flops = operations * elements, .bytes = tensors * bytes * elements}};
}

}  // namespace

void gelu_forward(ExecutionContext& ctx, const Gelu& op) {
  check_compute_dtype(ctx, "gelu_forward", "in", op.in);
  check_operand("gelu_forward", "in", op.in, op.in);
  check_operand("gelu_forward", "out", op.out, op.in);
  if (ctx.only_measures()) return;
  const OpScope scope = profile_scope(ctx, "gelu_forward", op.in, kForwardOperations, 2);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::gelu_forward(ctx, op);
    case DeviceKind::kCuda:
      return cuda::gelu_forward(ctx, op);
  }
}

void gelu_backward(ExecutionContext& ctx, const GeluGradient& op) {
  check_compute_dtype(ctx, "gelu_backward", "in", op.in);
  check_operand("gelu_backward", "in", op.in, op.in);
  check_operand("gelu_backward", "d_out", op.d_out, op.in);
  check_operand("gelu_backward", "d_in", op.d_in, op.in);
  if (ctx.only_measures()) return;
  const OpScope scope = profile_scope(ctx, "gelu_backward", op.in, kBackwardOperations, 3);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::gelu_backward(ctx, op);
    case DeviceKind::kCuda:
      return cuda::gelu_backward(ctx, op);
  }
}

}  // namespace ovid::kernels
