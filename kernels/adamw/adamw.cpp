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

// Contiguous, shaped as the weights.
void check_state(const char* name, const ConstView& view, DType dtype, const ConstView& weight) {
  check_shape(kOp, name, view, dtype, weight.shape());
  check_contiguous(kOp, name, view);
}

void check_tensor(const ExecutionContext& ctx, const AdamWTensor& tensor, DType moments) {
  check_state("weight", tensor.weight, DType::kFloat32, tensor.weight);
  check_compute_dtype(ctx, kOp, "gradient", tensor.gradient);
  check_shape(kOp, "gradient", tensor.gradient, tensor.gradient.dtype(), tensor.weight.shape());
  check_contiguous(kOp, "gradient", tensor.gradient);
  check_state("first_moment", tensor.first_moment, moments, tensor.weight);
  check_state("second_moment", tensor.second_moment, moments, tensor.weight);
  if (!tensor.rounded) return;
  const DType dtype = tensor.rounded->dtype();
  if (dtype != DType::kBfloat16 && dtype != DType::kFloat16) {
    throw_shape_error(kOp, "rounded", *tensor.rounded, "bfloat16 or float16");
  }
  check_shape(kOp, "rounded", *tensor.rounded, dtype, tensor.weight.shape());
  check_contiguous(kOp, "rounded", *tensor.rounded);
}

// Of all moments of the call, which must be float32 or rounded by a stream of their own.
DType dtype_of_moments(const AdamW& op) {
  if (op.tensors.empty()) return DType::kFloat32;
  const View& first = op.tensors.front().first_moment;
  if (first.dtype() == DType::kFloat32) return DType::kFloat32;
  if (first.dtype() != DType::kBfloat16) {
    throw_shape_error(kOp, "first_moment", first, "float32 or bfloat16");
  }
  if (!op.moment_rounding) {
    throw ShapeError(std::string(kOp) +
                     ": moments are bfloat16, expected a stream of random numbers to round by");
  }
  if (op.rounding && op.rounding->seed == op.moment_rounding->seed &&
      op.rounding->counter_high() == op.moment_rounding->counter_high()) {
    throw ShapeError(std::string(kOp) +
                     ": weights and moments are rounded by one stream, expected two");
  }
  return DType::kBfloat16;
}

void check_operands(const ExecutionContext& ctx, const AdamW& op) {
  const DType moments = dtype_of_moments(op);
  for (const AdamWTensor& tensor : op.tensors) check_tensor(ctx, tensor, moments);
  check_shape(kOp, "gradient_scale_on_device", op.gradient_scale_on_device, DType::kFloat32,
              Shape{});
  // Step 0 or a beta of 1 would divide by zero and fill the weights with NaN.
  check_setting(op.step >= 1, "step", std::to_string(op.step), "1 or more");
  check_setting(op.beta1 >= 0.0 && op.beta1 < 1.0, "beta1", std::to_string(op.beta1), "[0, 1)");
  check_setting(op.beta2 >= 0.0 && op.beta2 < 1.0, "beta2", std::to_string(op.beta2), "[0, 1)");
}

}  // namespace

void adamw_update(ExecutionContext& ctx, const AdamW& op) {
  check_operands(ctx, op);
  if (ctx.only_measures()) return;
  // Four arrays read, three or four written; 17 operations of equations (1) to (3).
  std::int64_t elements = 0;
  double bytes = 0;
  for (const AdamWTensor& tensor : op.tensors) {
    const std::size_t copied = tensor.rounded ? bytes_of(tensor.rounded->dtype()) : 0;
    const std::size_t one = 2 * sizeof(float) + 4 * bytes_of(tensor.first_moment.dtype()) +
                            bytes_of(tensor.gradient.dtype()) + copied;
    elements += tensor.weight.elements();
    bytes += static_cast<double>(one) * static_cast<double>(tensor.weight.elements());
  }
  const OpScope scope(ctx, kOp, {elements},
                      {.flops = 17 * static_cast<double>(elements), .bytes = bytes});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::adamw_update(ctx, op);
    case DeviceKind::kCuda:
      return cuda::adamw_update(ctx, op);
  }
}

}  // namespace ovid::kernels
