#include "kernels/convert/convert.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

namespace {

void check_floating(const char* operand, const ConstView& view) {
  const DType dtype = view.dtype();
  if (dtype != DType::kFloat32 && dtype != DType::kBfloat16 && dtype != DType::kFloat16) {
    throw_shape_error("convert", operand, view, "float32, bfloat16 or float16");
  }
  check_contiguous("convert", operand, view);
}

}  // namespace

void convert(ExecutionContext& ctx, const Convert& op) {
  check_floating("in", op.in);
  check_floating("out", op.out);
  if (op.out.elements() != op.in.elements()) {
    throw_shape_error("convert", "out", op.out, std::to_string(op.in.elements()) + " elements");
  }
  if (op.scale != 1.0f && op.rounding)
    throw ShapeError("convert: scale is given with rounding, expected one of them");
  const auto elements = static_cast<double>(op.in.elements());
  const auto bytes = static_cast<double>(bytes_of(op.in.dtype()) + bytes_of(op.out.dtype()));
  const OpScope scope(ctx, "convert", {op.in.elements()}, {.flops = 0, .bytes = elements * bytes});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::convert(ctx, op);
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::convert(ctx, op);
  }
}

void set_zero(ExecutionContext& ctx, const SetZero& op) {
  check_contiguous("set_zero", "out", op.out);
  const auto bytes =
      static_cast<double>(op.out.elements()) * static_cast<double>(bytes_of(op.out.dtype()));
  const OpScope scope(ctx, "set_zero", {op.out.elements()}, {.flops = 0, .bytes = bytes});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::set_zero(ctx, op);
    case DeviceKind::kCuda:
      if (ctx.only_measures()) return;
      return cuda::set_zero(ctx, op);
  }
}

}  // namespace ovid::kernels
