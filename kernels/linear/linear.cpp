#include "kernels/linear/linear.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"
#include "kernels/linear/linear_cuda_scratch.h"

namespace ovid::kernels {

namespace {

// Checks against N, K, M as the first operands give them; `op` names the caller in messages.
class LinearChecks {
 public:
  LinearChecks(const ExecutionContext& ctx, const char* op, const ConstView& in,
               const ConstView& weight, WeightLayout layout)
      : op_(op), dtype_(in.dtype()) {
    check_compute_dtype(ctx, op, "in", in);
    if (weight.shape().rank() != 2) throw_shape_error(op, "weight", weight, "a matrix");
    const bool in_out = layout == WeightLayout::kInOut;
    shape_ = {.rows = in.rows(),
              .in_columns = in.columns(),
              .out_columns = weight.shape()[in_out ? 1 : 0]};
    weight_shape_ = in_out ? Shape{shape_.in_columns, shape_.out_columns}
                           : Shape{shape_.out_columns, shape_.in_columns};
    in_matrix("in", in);
    check_shape(op_, "weight", weight, dtype_, weight_shape_);
  }

  const LinearShape& shape() const { return shape_; }
  void in_matrix(const char* operand, const ConstView& view) const {
    check_matrix(op_, operand, view, dtype_, shape_.rows, shape_.in_columns);
  }
  void out_matrix(const char* operand, const ConstView& view) const {
    check_matrix(op_, operand, view, dtype_, shape_.rows, shape_.out_columns);
  }
  void bias(const ConstView& view) const {
    check_shape(op_, "bias", view, dtype_, Shape{shape_.out_columns});
  }
  // Both of one type.
  void gradients(const std::optional<View>& d_weight, const std::optional<View>& d_bias) const {
    if (d_weight) {
      check_gradient_dtype(op_, "d_weight", *d_weight, dtype_);
      check_shape(op_, "d_weight", *d_weight, d_weight->dtype(), weight_shape_);
    }
    if (!d_bias) return;
    if (!d_weight) check_gradient_dtype(op_, "d_bias", *d_bias, dtype_);
    const DType gradient = d_weight ? d_weight->dtype() : d_bias->dtype();
    check_shape(op_, "d_bias", *d_bias, gradient, Shape{shape_.out_columns});
  }
  // `written` is written while `read` is still wanted.
  void apart(const char* operand, const ConstView& written, const char* other,
             const ConstView& read) const {
    if (written.raw() == nullptr || written.raw() != read.raw()) return;
    throw ShapeError(std::string(op_) + ": " + operand + " aliases " + other +
                     ", expected memory of its own: a product cannot be computed in place");
  }

 private:
  const char* op_;
  DType dtype_;
  LinearShape shape_{};
  Shape weight_shape_;
};

double in_size(const LinearShape& s) {
  return static_cast<double>(s.rows) * static_cast<double>(s.in_columns);
}
double out_size(const LinearShape& s) {
  return static_cast<double>(s.rows) * static_cast<double>(s.out_columns);
}
double weight_size(const LinearShape& s) {
  return static_cast<double>(s.in_columns) * static_cast<double>(s.out_columns);
}

// products: of 2 N K M operations each; elements: of `in`'s type, read or written, beside bias and
// its gradient; gradients: elements of d_weight's.
struct LinearCost {
  double products, elements, gradients = 0;
};

OpScope profile_scope(ExecutionContext& ctx, const char* name, const LinearShape& s,
                      const LinearCost& cost, DType dtype, DType gradient_dtype) {
  const double flops = 2.0 * static_cast<double>(s.rows) * static_cast<double>(s.in_columns) *
                       static_cast<double>(s.out_columns);
  return {ctx,
          name,
          {s.rows, s.in_columns, s.out_columns},
          {.flops = cost.products * flops,
           .bytes = static_cast<double>(bytes_of(dtype)) * cost.elements +
                    static_cast<double>(bytes_of(gradient_dtype)) * cost.gradients}};
}

// Once written, or read and written.
double transfers(GradientMode mode) {
  return mode == GradientMode::kAccumulate ? 2 : 1;
}

void measure_bias_gradient_scratch(ExecutionContext& ctx, const LinearShape& s) {
  const std::int64_t sums = cuda::linear_bias_gradient_scratch(s.rows, s.out_columns);
  measure_scratch(ctx, static_cast<std::size_t>(sums) * sizeof(float));
}

void check_before(const LinearGradient& op) {
  if (op.d_in && op.d_in_mode == GradientMode::kOverwrite) return;
  throw ShapeError(std::string("linear_backward: before is given and d_in is ") +
                   (op.d_in ? "added to" : "not wanted") +
                   ", expected d_in with GradientMode::kOverwrite: before makes it the gradient of "
                   "what GELU reads");
}

}  // namespace

void linear_forward(ExecutionContext& ctx, const Linear& op) {
  const LinearChecks checks(ctx, "linear_forward", op.in, op.weight, op.layout);
  if (op.bias) checks.bias(*op.bias);
  checks.out_matrix("out", op.out);
  checks.apart("out", op.out, "in", op.in);
  const LinearShape& s = checks.shape();
  const OpScope scope =
      profile_scope(ctx, "linear_forward", s,
                    {.products = 1, .elements = in_size(s) + weight_size(s) + out_size(s)},
                    op.in.dtype(), op.in.dtype());
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::linear_forward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::linear_forward(ctx, op, checks.shape());
  }
}

void linear_backward(ExecutionContext& ctx, const LinearGradient& op) {
  const LinearChecks checks(ctx, "linear_backward", op.in, op.weight, op.layout);
  checks.out_matrix("d_out", op.d_out);
  if (op.d_in) {
    checks.in_matrix("d_in", *op.d_in);
    checks.apart("d_in", *op.d_in, "d_out", op.d_out);
    checks.apart("d_in", *op.d_in, "in", op.in);
  }
  if (op.before) {
    checks.in_matrix("before", *op.before);
    check_before(op);
    checks.apart("d_in", *op.d_in, "before", *op.before);
  }
  checks.gradients(op.d_weight, op.d_bias);
  const LinearShape& s = checks.shape();
  const double d_in = op.d_in ? transfers(op.d_in_mode) + (op.before ? 1.0 : 0.0) : 0.0;
  const double d_weight = op.d_weight ? 1.0 : 0.0;
  const OpScope scope = profile_scope(
      ctx, "linear_backward", s,
      {.products = (op.d_in ? 1.0 : 0.0) + d_weight,
       .elements = out_size(s) + (d_weight + d_in) * in_size(s) + (op.d_in ? weight_size(s) : 0.0),
       .gradients = d_weight * transfers(op.d_weight_mode) * weight_size(s)},
      op.in.dtype(), op.d_weight ? op.d_weight->dtype() : op.in.dtype());
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      cpu::linear_backward(ctx, op, s);
      if (op.before && !ctx.only_measures()) {
        cpu::multiply_by_gelu_gradient(ctx, *op.before, *op.d_in);
      }
      return;
    case DeviceKind::kCuda:
      if (!ctx.only_measures()) return cuda::linear_backward(ctx, op, s);
      if (op.d_bias) measure_bias_gradient_scratch(ctx, s);
      return;
  }
}

void linear_gelu_forward(ExecutionContext& ctx, const LinearGelu& op) {
  const LinearChecks checks(ctx, "linear_gelu_forward", op.in, op.weight, WeightLayout::kInOut);
  checks.bias(op.bias);
  checks.out_matrix("before", op.before);
  checks.out_matrix("out", op.out);
  checks.apart("before", op.before, "in", op.in);
  checks.apart("out", op.out, "in", op.in);
  const LinearShape& s = checks.shape();
  const OpScope scope =
      profile_scope(ctx, "linear_gelu_forward", s,
                    {.products = 1, .elements = in_size(s) + weight_size(s) + 2 * out_size(s)},
                    op.in.dtype(), op.in.dtype());
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::linear_gelu_forward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::linear_gelu_forward(ctx, op, checks.shape());
  }
}

void linear_gelu_backward(ExecutionContext& ctx, const LinearGeluGradient& op) {
  const LinearChecks checks(ctx, "linear_gelu_backward", op.in, op.weight, WeightLayout::kInOut);
  checks.out_matrix("d_out", op.d_out);
  checks.out_matrix("before", op.before);
  checks.out_matrix("d_before", op.d_before);
  checks.in_matrix("d_in", op.d_in);
  checks.apart("d_in", op.d_in, "d_before", op.d_before);
  checks.apart("d_in", op.d_in, "in", op.in);
  checks.gradients(op.d_weight, op.d_bias);
  const LinearShape& s = checks.shape();
  const OpScope scope =
      profile_scope(ctx, "linear_gelu_backward", s,
                    {.products = 2,
                     .elements = 3 * out_size(s) + 2 * in_size(s) + weight_size(s),
                     .gradients = transfers(op.d_weight_mode) * weight_size(s)},
                    op.in.dtype(), op.d_weight.dtype());
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::linear_gelu_backward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      if (!ctx.only_measures()) return cuda::linear_gelu_backward(ctx, op, s);
      return measure_bias_gradient_scratch(ctx, s);
  }
}

}  // namespace ovid::kernels
