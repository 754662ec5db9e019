#include "kernels/step_guard/step_guard.h"

#include <limits>

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

constexpr const char* kOp = "step_guard";

void check_operands(const StepGuard& op) {
  check_shape(kOp, "losses", op.losses, DType::kFloat32, Shape{op.losses.elements()});
  check_contiguous(kOp, "losses", op.losses);
  check_shape(kOp, "sum_of_squares", op.sum_of_squares, DType::kFloat64, Shape{});
  const std::int64_t width = op.windows.shape().last();
  if (width < 1 || width > std::numeric_limits<std::int32_t>::max()) {
    throw_shape_error(kOp, "windows", op.windows, "float64 (2, W) with W from 1 to 2^31 - 1");
  }
  check_shape(kOp, "windows", op.windows, DType::kFloat64, Shape{2, width});
  check_contiguous(kOp, "windows", op.windows);
  check_shape(kOp, "places", op.places, DType::kInt32, Shape{2});
  check_shape(kOp, "clip_scale", op.clip_scale, DType::kFloat32, Shape{});
  check_shape(kOp, "verdict", op.verdict, DType::kFloat64,
              Shape{static_cast<std::int64_t>(Verdict::kNumbers)});
  if (op.targets < 0 || op.targets > op.losses.elements()) {
    throw ShapeError(std::string(kOp) + ": targets is " + std::to_string(op.targets) +
                     ", expected 0 to " + std::to_string(op.losses.elements()));
  }
  if (!(op.unscale > 0.0f)) {
    throw ShapeError(std::string(kOp) + ": unscale is " + std::to_string(op.unscale) +
                     ", expected more than 0");
  }
  if (!(op.outlier_z >= 0.0)) {
    throw ShapeError(std::string(kOp) + ": outlier_z is " + std::to_string(op.outlier_z) +
                     ", expected 0 (no outliers) or more");
  }
}

}  // namespace

void step_guard(ExecutionContext& ctx, const StepGuard& op) {
  check_operands(op);
  if (ctx.only_measures()) return;
  const auto elements = static_cast<double>(op.losses.elements());
  const OpScope scope(ctx, kOp, {op.losses.elements()}, {.flops = elements, .bytes = 4 * elements});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::step_guard(ctx, op);
    case DeviceKind::kCuda:
      return cuda::step_guard(ctx, op);
  }
}

}  // namespace ovid::kernels
