#include "kernels/layernorm/layernorm.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"
#include "kernels/layernorm/layernorm_cuda_scratch.h"

namespace ovid::kernels {

namespace {

// Checks against N and C as the first operand gives them; `op` names the caller in messages.
class RowChecks {
 public:
  RowChecks(const ExecutionContext& ctx, const char* op, const char* operand,
            const ConstView& first)
      : op_(op), dtype_(first.dtype()), shape_{.rows = first.rows(), .columns = first.columns()} {
    check_compute_dtype(ctx, op, operand, first);
    if (shape_.columns < 1) throw_shape_error(op, operand, first, "at least one column");
    matrix(operand, first);
  }

  RowShape shape() const { return shape_; }
  void matrix(const char* operand, const ConstView& view) const {
    check_matrix(op_, operand, view, dtype_, shape_.rows, shape_.columns);
    check_contiguous(op_, operand, view);
  }
  void per_column(const char* operand, const ConstView& view) const {
    check_shape(op_, operand, view, dtype_, Shape{shape_.columns});
  }
  // Both of one type.
  void gradients(const std::optional<View>& d_gain, const std::optional<View>& d_bias) const {
    gradient("d_gain", d_gain);
    gradient("d_bias", d_bias);
    if (d_gain && d_bias)
      check_shape(op_, "d_bias", *d_bias, d_gain->dtype(), Shape{shape_.columns});
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
  void gradient(const char* operand, const std::optional<View>& view) const {
    if (!view) return;
    check_gradient_dtype(op_, operand, *view, dtype_);
    check_shape(op_, operand, *view, view->dtype(), Shape{shape_.columns});
  }

  const char* op_;
  DType dtype_;
  RowShape shape_;
};

// flops: of one element; tensors: of the rows, each read or written once; what there is for each
// row or column is nothing beside them.
OpScope profile_scope(ExecutionContext& ctx, const char* name, const ConstView& rows, double flops,
                      double tensors) {
  const auto elements = static_cast<double>(rows.elements());
  const auto bytes = static_cast<double>(bytes_of(rows.dtype()));
  return {ctx,
          name,
          {rows.rows(), rows.columns()},
          {.flops = flops * elements, .bytes = tensors * bytes * elements}};
}

void measure_backward(ExecutionContext& ctx, RowShape shape, DType dtype) {
  measure_scratch(ctx, cuda::layernorm_backward_scratch_bytes(shape, bytes_of(dtype)));
}

}  // namespace

void layernorm_forward(ExecutionContext& ctx, const LayerNorm& op) {
  const RowChecks checks(ctx, "layernorm_forward", "in", op.in);
  checks.per_column("gain", op.gain);
  checks.per_column("bias", op.bias);
  checks.matrix("out", op.out);
  checks.per_row("mean", op.mean);
  checks.per_row("inv_std", op.inv_std);
  checks.epsilon(op.epsilon);
  const OpScope scope = profile_scope(ctx, "layernorm_forward", op.in, 9, 2);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::layernorm_forward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::layernorm_forward(ctx, op, checks.shape());
  }
}

void layernorm_backward(ExecutionContext& ctx, const LayerNormGradient& op) {
  const RowChecks checks(ctx, "layernorm_backward", "in", op.in);
  checks.matrix("d_out", op.d_out);
  checks.per_column("gain", op.gain);
  checks.per_row("mean", op.mean);
  checks.per_row("inv_std", op.inv_std);
  checks.matrix("d_in", op.d_in);
  checks.gradients(op.d_gain, op.d_bias);
  const OpScope scope = profile_scope(ctx, "layernorm_backward", op.in, 16, 3);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::layernorm_backward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      if (ctx.only_measures()) {
        if (op.d_gain || op.d_bias) measure_backward(ctx, checks.shape(), op.in.dtype());
        return;
      }
      return cuda::layernorm_backward(ctx, op, checks.shape());
  }
}

void residual_layernorm_forward(ExecutionContext& ctx, const ResidualLayerNorm& op) {
  const RowChecks checks(ctx, "residual_layernorm_forward", "x", op.x);
  checks.matrix("branch", op.branch);
  checks.per_column("gain", op.gain);
  checks.per_column("bias", op.bias);
  checks.matrix("sum", op.sum);
  checks.matrix("normed", op.normed);
  checks.per_row("mean", op.mean);
  checks.per_row("inv_std", op.inv_std);
  checks.epsilon(op.epsilon);
  checks.dropout(op.branch_dropout);
  const OpScope scope = profile_scope(ctx, "residual_layernorm_forward", op.x, 10, 4);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::residual_layernorm_forward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::residual_layernorm_forward(ctx, op, checks.shape());
  }
}

void residual_layernorm_backward(ExecutionContext& ctx, const ResidualLayerNormGradient& op) {
  const RowChecks checks(ctx, "residual_layernorm_backward", "sum", op.sum);
  checks.matrix("d_normed", op.d_normed);
  checks.per_column("gain", op.gain);
  checks.per_row("mean", op.mean);
  checks.per_row("inv_std", op.inv_std);
  checks.matrix("d_sum", op.d_sum);
  checks.matrix("d_branch", op.d_branch);
  checks.gradients(op.d_gain, op.d_bias);
  checks.dropout(op.branch_dropout);
  if (op.branch_dropout && op.d_branch.raw() != nullptr && op.d_branch.raw() == op.d_sum.raw()) {
    throw ShapeError(
        "residual_layernorm_backward: d_branch aliases d_sum, expected memory of its own: with "
        "dropout of the "
        "branch the two differ");
  }
  const bool one_result = op.d_branch.raw() == op.d_sum.raw();
  const OpScope scope =
      profile_scope(ctx, "residual_layernorm_backward", op.sum, 17, one_result ? 4 : 5);
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::residual_layernorm_backward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      if (ctx.only_measures()) {
        if (op.d_gain || op.d_bias) measure_backward(ctx, checks.shape(), op.sum.dtype());
        return;
      }
      return cuda::residual_layernorm_backward(ctx, op, checks.shape());
  }
}

}  // namespace ovid::kernels
