#include "kernels/gelu/gelu.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

void check_operand(const char* op, const char* name, const ConstView& view, const Shape& shape) {
  check_shape(op, name, view, DType::kFloat32, shape);
  check_contiguous(op, name, view);
}

// Of one element, as gelu-inl.h computes it.
constexpr OpCost kForwardCost = {.flops = 25, .bytes = 8};
constexpr OpCost kBackwardCost = {.flops = 34, .bytes = 12};

OpScope profile_scope(ExecutionContext& ctx, const char* name, const ConstView& in,
                      OpCost cost_of_element) {
  const auto elements = static_cast<double>(in.elements());
  return {ctx,
          name,
          {in.rows(), in.columns()},
          {.flops = cost_of_element.flops * elements, .bytes = cost_of_element.bytes * elements}};
}

}  // namespace

void gelu_forward(ExecutionContext& ctx, const Gelu& op) {
  check_operand("gelu_forward", "in", op.in, op.in.shape());
  check_operand("gelu_forward", "out", op.out, op.in.shape());
  if (ctx.only_measures()) return;
  const OpScope scope = profile_scope(ctx, "gelu_forward", op.in, kForwardCost);
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
  const OpScope scope = profile_scope(ctx, "gelu_backward", op.in, kBackwardCost);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::gelu_backward(ctx, op);
    case DeviceKind::kCuda:
      return cuda::gelu_backward(ctx, op);
  }
}

}  // namespace ovid::kernels
