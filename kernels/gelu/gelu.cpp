#include "kernels/gelu/gelu.h"

#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

void check_operand(const char* op, const char* name, const ConstView& view, const Shape& shape) {
  check_shape(op, name, view, DType::kFloat32, shape);
  check_contiguous(op, name, view);
}

}  // namespace

void gelu_forward(ExecutionContext& ctx, const Gelu& op) {
  check_operand("gelu_forward", "in", op.in, op.in.shape());
  check_operand("gelu_forward", "out", op.out, op.in.shape());
  if (ctx.only_measures()) return;
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::gelu_forward(ctx, op);
    case DeviceKind::kCuda:
      return cuda::gelu_forward(ctx, op);
  }
}

void gelu_backward(ExecutionContext& ctx, const GeluGradient& op) {
  check_operand("gelu_backward", "in", op.in, op.in.shape());
  check_operand("gelu_backward", "d_out", op.d_out, op.in.shape());
  check_operand("gelu_backward", "d_in", op.d_in, op.in.shape());
  if (ctx.only_measures()) return;
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::gelu_backward(ctx, op);
    case DeviceKind::kCuda:
      return cuda::gelu_backward(ctx, op);
  }
}

}  // namespace ovid::kernels
