#include "kernels/dropout/dropout.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

void check_operands(const ExecutionContext& ctx, const char* op, const char* in_name,
                    const ConstView& in, const char* out_name, const ConstView& out,
                    const DropoutMask& mask) {
  check_compute_dtype(ctx, op, in_name, in);
  check_contiguous(op, in_name, in);
  check_shape(op, out_name, out, in.dtype(), in.shape());
  check_contiguous(op, out_name, out);
  if (!(mask.probability >= 0.0f && mask.probability < 1.0f)) {
    throw ShapeError(std::string(op) + ": mask.probability is " + std::to_string(mask.probability) +
                     ", expected a number in [0, 1)");
  }
}

OpScope profile_scope(ExecutionContext& ctx, const char* name, const ConstView& in) {
  const auto elements = static_cast<double>(in.elements());
  const auto bytes = static_cast<double>(bytes_of(in.dtype()));
  return {ctx, name, {in.rows(), in.columns()}, {.flops = elements, .bytes = 2 * bytes * elements}};
}

}  // namespace

void dropout_forward(ExecutionContext& ctx, const Dropout& op) {
  check_operands(ctx, "dropout_forward", "in", op.in, "out", op.out, op.mask);
  const OpScope scope = profile_scope(ctx, "dropout_forward", op.in);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::dropout_forward(ctx, op);
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::dropout_forward(ctx, op);
  }
}

void dropout_backward(ExecutionContext& ctx, const DropoutGradient& op) {
  check_operands(ctx, "dropout_backward", "d_out", op.d_out, "d_in", op.d_in, op.mask);
  const OpScope scope = profile_scope(ctx, "dropout_backward", op.d_out);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::dropout_backward(ctx, op);
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::dropout_backward(ctx, op);
  }
}

}  // namespace ovid::kernels
