#include "kernels/layernorm/layernorm.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

// Checks against N and C as the first operand gives them; `op` names the caller in messages.
class RowChecks {
 public:
  RowChecks(const char* op, const char* operand, const ConstView& first)
      : op_(op), shape_{.rows = first.rows(), .columns = first.columns()} {
    if (shape_.columns < 1) throw_shape_error(op, operand, first, "at least one column");
    matrix(operand, first);
  }

  RowShape shape() const { return shape_; }
  void matrix(const char* operand, const ConstView& view) const {
    check_matrix(op_, operand, view, DType::kFloat32, shape_.rows, shape_.columns);
    check_contiguous(op_, operand, view);
  }
  void per_column(const char* operand, const ConstView& view) const {
    check_shape(op_, operand, view, DType::kFloat32, Shape{shape_.columns});
  }
  // One number a row, under any shape.
  void per_row(const char* operand, const ConstView& view) const {
    if (view.dtype() != DType::kFloat32 || view.elements() != shape_.rows || !view.contiguous()) {
      throw_shape_error(op_, operand, view, "float32 " + Shape{shape_.rows}.text());
    }
  }
  void epsilon(float value) const {
    if (value > 0.0f) return;
    throw ShapeError(std::string(op_) + ": epsilon is " + std::to_string(value) +
                     ", expected more than 0");
  }
  void dropout(const std::optional<DropoutMask>& mask) const {
    if (!mask || (mask->probability >= 0.0f && mask->probability < 1.0f)) return;
    throw ShapeError(std::string(op_) + ": branch_dropout.probability is " +
                     std::to_string(mask->probability) + ", expected a number in [0, 1)");
  }

 private:
  const char* op_;
  RowShape shape_;
};

// flops, bytes: of one element; what there is for each row or column is nothing beside it.
OpScope profile_scope(ExecutionContext& ctx, const char* name, RowShape shape, double flops,
                      double bytes) {
  const auto elements = static_cast<double>(shape.rows * shape.columns);
  return {ctx,
          name,
          {shape.rows, shape.columns},
          {.flops = flops * elements, .bytes = bytes * elements}};
}

}  // namespace

void layernorm_forward(ExecutionContext& ctx, const LayerNorm& op) {
  const RowChecks checks("layernorm_forward", "in", op.in);
  checks.per_column("gain", op.gain);
  checks.per_column("bias", op.bias);
  checks.matrix("out", op.out);
  checks.per_row("mean", op.mean);
  checks.per_row("inv_std", op.inv_std);
  checks.epsilon(op.epsilon);
  const OpScope scope = profile_scope(ctx, "layernorm_forward", checks.shape(), 9, 8);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::layernorm_forward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      return cuda::layernorm_forward(ctx, op, checks.shape());
  }
}

void layernorm_backward(ExecutionContext& ctx, const LayerNormGradient& op) {
  const RowChecks checks("layernorm_backward", "in", op.in);
  checks.matrix("d_out", op.d_out);
  checks.per_column("gain", op.gain);
  checks.per_row("mean", op.mean);
  checks.per_row("inv_std", op.inv_std);
  checks.matrix("d_in", op.d_in);
  checks.per_column("d_gain", op.d_gain);
  checks.per_column("d_bias", op.d_bias);
  const OpScope scope = profile_scope(ctx, "layernorm_backward", checks.shape(), 16, 12);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::layernorm_backward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      return cuda::layernorm_backward(ctx, op, checks.shape());
  }
}

void residual_layernorm_forward(ExecutionContext& ctx, const ResidualLayerNorm& op) {
  const RowChecks checks("residual_layernorm_forward", "x", op.x);
  checks.matrix("branch", op.branch);
  checks.per_column("gain", op.gain);
  checks.per_column("bias", op.bias);
  checks.matrix("sum", op.sum);
  checks.matrix("normed", op.normed);
  checks.per_row("mean", op.mean);
  checks.per_row("inv_std", op.inv_std);
  checks.epsilon(op.epsilon);
  checks.dropout(op.branch_dropout);
  const OpScope scope = profile_scope(ctx, "residual_layernorm_forward", checks.shape(), 10, 16);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::residual_layernorm_forward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      return cuda::residual_layernorm_forward(ctx, op, checks.shape());
  }
}

void residual_layernorm_backward(ExecutionContext& ctx, const ResidualLayerNormGradient& op) {
  const RowChecks checks("residual_layernorm_backward", "sum", op.sum);
  checks.matrix("d_normed", op.d_normed);
  checks.per_column("gain", op.gain);
  checks.per_row("mean", op.mean);
  checks.per_row("inv_std", op.inv_std);
  checks.matrix("d_sum", op.d_sum);
  checks.matrix("d_branch", op.d_branch);
  checks.per_column("d_gain", op.d_gain);
  checks.per_column("d_bias", op.d_bias);
  checks.dropout(op.branch_dropout);
  if (op.branch_dropout && op.d_branch.raw() != nullptr && op.d_branch.raw() == op.d_sum.raw()) {
    throw ShapeError(
        "residual_layernorm_backward: d_branch aliases d_sum, expected memory of its own: with "
        "dropout of the "
        "branch the two differ");
  }
  const bool one_result = op.d_branch.raw() == op.d_sum.raw();
  const OpScope scope =
      profile_scope(ctx, "residual_layernorm_backward", checks.shape(), 17, one_result ? 16 : 20);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::residual_layernorm_backward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      return cuda::residual_layernorm_backward(ctx, op, checks.shape());
  }
}

}  // namespace ovid::kernels
