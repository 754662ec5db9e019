#include "kernels/gradient_norm/gradient_norm.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

void gradient_norm(ExecutionContext& ctx, const GradientNorm& op) {
  constexpr const char* kOp = "gradient_norm";
  check_shape(kOp, "gradient", op.gradient, DType::kFloat32, op.gradient.shape());
  check_contiguous(kOp, "gradient", op.gradient);
  check_shape(kOp, "sum_of_squares", op.sum_of_squares, DType::kFloat64, Shape{});
  const auto elements = static_cast<double>(op.gradient.elements());
  const OpScope scope(ctx, kOp, {op.gradient.elements()},
                      {.flops = 2 * elements, .bytes = 4 * elements});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::gradient_norm(ctx, op);
    case DeviceKind::kCuda:
      return cuda::gradient_norm(ctx, op);
  }
}

}  // namespace ovid::kernels
