#include "kernels/gradient_norm/gradient_norm.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"
#include "kernels/gradient_norm/gradient_norm_cuda_scratch.h"

namespace ovid::kernels {

namespace {

constexpr const char* kOp = "gradient_norm";

void check_operands(ExecutionContext& ctx, const GradientNorm& op) {
  check_compute_dtype(ctx, kOp, "gradient", op.gradient);
  check_contiguous(kOp, "gradient", op.gradient);
  check_shape(kOp, "sum_of_squares", op.sum_of_squares, DType::kFloat64, Shape{});
  if (op.clip_scale) check_shape(kOp, "clip_scale", *op.clip_scale, DType::kFloat32, Shape{});
  if (!(op.clip >= 0.0)) {
    throw ShapeError(std::string(kOp) + ": clip is " + std::to_string(op.clip) +
                     ", expected 0 (no clipping) or more");
  }
  if (!(op.unscale > 0.0f)) {
    throw ShapeError(std::string(kOp) + ": unscale is " + std::to_string(op.unscale) +
                     ", expected more than 0");
  }
}

}  // namespace

void gradient_norm(ExecutionContext& ctx, const GradientNorm& op) {
  check_operands(ctx, op);
  const std::int64_t n = op.gradient.elements();
  if (ctx.device_kind() == DeviceKind::kCuda && ctx.only_measures()) {
    return measure_scratch(ctx, cuda::gradient_norm_scratch_bytes(n));
  }
  const auto elements = static_cast<double>(n);
  const auto bytes = static_cast<double>(bytes_of(op.gradient.dtype()));
  const OpScope scope(ctx, kOp, {n}, {.flops = 2 * elements, .bytes = bytes * elements});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::gradient_norm(ctx, op);
    case DeviceKind::kCuda:
      return cuda::gradient_norm(ctx, op);
  }
}

}  // namespace ovid::kernels
