#include "kernels/linear/linear.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

// Checks against N, K, M as the first operands give them; `op` names the caller in messages.
class LinearChecks {
 public:
  LinearChecks(const char* op, const ConstView& in, const ConstView& weight, WeightLayout layout)
      : op_(op) {
    if (weight.shape().rank() != 2) throw_shape_error(op, "weight", weight, "a matrix");
    const bool in_out = layout == WeightLayout::kInOut;
    shape_ = {.rows = in.rows(),
              .in_columns = in.columns(),
              .out_columns = weight.shape()[in_out ? 1 : 0]};
    weight_shape_ = in_out ? Shape{shape_.in_columns, shape_.out_columns}
                           : Shape{shape_.out_columns, shape_.in_columns};
    in_matrix("in", in);
    weight_like("weight", weight);
  }

  const LinearShape& shape() const { return shape_; }
  void in_matrix(const char* operand, const ConstView& view) const {
    check_matrix(op_, operand, view, DType::kFloat32, shape_.rows, shape_.in_columns);
  }
  void out_matrix(const char* operand, const ConstView& view) const {
    check_matrix(op_, operand, view, DType::kFloat32, shape_.rows, shape_.out_columns);
  }
  void weight_like(const char* operand, const ConstView& view) const {
    check_shape(op_, operand, view, DType::kFloat32, weight_shape_);
  }
  void out_vector(const char* operand, const ConstView& view) const {
    check_shape(op_, operand, view, DType::kFloat32, Shape{shape_.out_columns});
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

// products: of 2 N K M operations each; elements: of float32, read or written, beside bias and
// its gradient.
OpScope profile_scope(ExecutionContext& ctx, const char* name, const LinearShape& s,
                      double products, double elements) {
  const double flops = 2.0 * static_cast<double>(s.rows) * static_cast<double>(s.in_columns) *
                       static_cast<double>(s.out_columns);
  return {ctx,
          name,
          {s.rows, s.in_columns, s.out_columns},
          {.flops = products * flops, .bytes = 4.0 * elements}};
}

}  // namespace

void linear_forward(ExecutionContext& ctx, const Linear& op) {
  const LinearChecks checks("linear_forward", op.in, op.weight, op.layout);
  if (op.bias) checks.out_vector("bias", *op.bias);
  checks.out_matrix("out", op.out);
  checks.apart("out", op.out, "in", op.in);
  const LinearShape& s = checks.shape();
  const OpScope scope =
      profile_scope(ctx, "linear_forward", s, 1, in_size(s) + weight_size(s) + out_size(s));
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::linear_forward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      return cuda::linear_forward(ctx, op, checks.shape());
  }
}

void linear_backward(ExecutionContext& ctx, const LinearGradient& op) {
  const LinearChecks checks("linear_backward", op.in, op.weight, op.layout);
  checks.out_matrix("d_out", op.d_out);
  if (op.d_in) {
    checks.in_matrix("d_in", *op.d_in);
    checks.apart("d_in", *op.d_in, "d_out", op.d_out);
    checks.apart("d_in", *op.d_in, "in", op.in);
  }
  checks.weight_like("d_weight", op.d_weight);
  if (op.d_bias) checks.out_vector("d_bias", *op.d_bias);
  const LinearShape& s = checks.shape();
  const double d_weight = op.d_weight_mode == GradientMode::kAccumulate ? 2 : 1;
  const double d_in = op.d_in_mode == GradientMode::kAccumulate ? 2 : 1;
  const OpScope scope = profile_scope(ctx, "linear_backward", s, op.d_in ? 2 : 1,
                                      out_size(s) + in_size(s) + d_weight * weight_size(s) +
                                          (op.d_in ? weight_size(s) + d_in * in_size(s) : 0.0));
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::linear_backward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      return cuda::linear_backward(ctx, op, checks.shape());
  }
}

void linear_gelu_forward(ExecutionContext& ctx, const LinearGelu& op) {
  const LinearChecks checks("linear_gelu_forward", op.in, op.weight, WeightLayout::kInOut);
  checks.out_vector("bias", op.bias);
  checks.out_matrix("before", op.before);
  checks.out_matrix("out", op.out);
  checks.apart("before", op.before, "in", op.in);
  checks.apart("out", op.out, "in", op.in);
  const LinearShape& s = checks.shape();
  const OpScope scope = profile_scope(ctx, "linear_gelu_forward", s, 1,
                                      in_size(s) + weight_size(s) + 2 * out_size(s));
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::linear_gelu_forward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      return cuda::linear_gelu_forward(ctx, op, checks.shape());
  }
}

void linear_gelu_backward(ExecutionContext& ctx, const LinearGeluGradient& op) {
  const LinearChecks checks("linear_gelu_backward", op.in, op.weight, WeightLayout::kInOut);
  checks.out_matrix("d_out", op.d_out);
  checks.out_matrix("before", op.before);
  checks.out_matrix("d_before", op.d_before);
  checks.in_matrix("d_in", op.d_in);
  checks.apart("d_in", op.d_in, "d_before", op.d_before);
  checks.apart("d_in", op.d_in, "in", op.in);
  checks.weight_like("d_weight", op.d_weight);
  checks.out_vector("d_bias", op.d_bias);
  const double d_weight = op.d_weight_mode == GradientMode::kAccumulate ? 2 : 1;
  const LinearShape& s = checks.shape();
  const OpScope scope =
      profile_scope(ctx, "linear_gelu_backward", s, 2,
                    3 * out_size(s) + 2 * in_size(s) + (1 + d_weight) * weight_size(s));
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::linear_gelu_backward(ctx, op, checks.shape());
    case DeviceKind::kCuda:
      return cuda::linear_gelu_backward(ctx, op, checks.shape());
  }
}

}  // namespace ovid::kernels
