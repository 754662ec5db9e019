#include "kernels/adamw/adamw.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

constexpr const char* kOp = "adamw_update";

void check_setting(bool valid, const char* name, const std::string& value, const char* expected) {
  if (!valid) {
    throw ShapeError(std::string(kOp) + ": " + name + " is " + value + ", expected " + expected);
  }
}

void check_operands(const AdamW& op) {
  check_shape(kOp, "weight", op.weight, DType::kFloat32, op.weight.shape());
  check_shape(kOp, "gradient", op.gradient, DType::kFloat32, op.weight.shape());
  check_shape(kOp, "first_moment", op.first_moment, DType::kFloat32, op.weight.shape());
  check_shape(kOp, "second_moment", op.second_moment, DType::kFloat32, op.weight.shape());
  check_contiguous(kOp, "weight", op.weight);
  check_contiguous(kOp, "gradient", op.gradient);
  check_contiguous(kOp, "first_moment", op.first_moment);
  check_contiguous(kOp, "second_moment", op.second_moment);
  // Step 0 or a beta of 1 would divide by zero and fill the weights with NaN.
  check_setting(op.step >= 1, "step", std::to_string(op.step), "1 or more");
  check_setting(op.beta1 >= 0.0 && op.beta1 < 1.0, "beta1", std::to_string(op.beta1), "[0, 1)");
  check_setting(op.beta2 >= 0.0 && op.beta2 < 1.0, "beta2", std::to_string(op.beta2), "[0, 1)");
}

}  // namespace

void adamw_update(ExecutionContext& ctx, const AdamW& op) {
  check_operands(op);
  // Four arrays read, three written; 17 operations of equations (1) to (3).
  const auto elements = static_cast<double>(op.weight.elements());
  const OpScope scope(ctx, kOp, {op.weight.elements()},
                      {.flops = 17 * elements, .bytes = 28 * elements});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::adamw_update(ctx, op);
    case DeviceKind::kCuda:
      return cuda::adamw_update(ctx, op);
  }
}

}  // namespace ovid::kernels
