#pragma once

#include <optional>
#include <string>

#include "kernels/common/errors.h"
#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Checks of operands, shared by all ops; each runs once, before the backend is chosen. Messages
// read "linear_forward: weight is float32 (768, 2304), expected float32 (768, 768)".
namespace ovid::kernels {

inline std::string describe(const ConstView& view) {
  return std::string(name_of(view.dtype())) + " " + view.shape().text();
}

[[noreturn]] inline void throw_shape_error(const char* op, const char* operand,
                                           const ConstView& view, const std::string& expected) {
  throw ShapeError(std::string(op) + ": " + operand + " is " + describe(view) + ", expected " +
                   expected);
}

// `rows` and `columns` of the operand seen as a matrix, whatever its rank.
inline void check_matrix(const char* op, const char* operand, const ConstView& view, DType dtype,
                         std::int64_t rows, std::int64_t columns) {
  if (view.dtype() != dtype || view.rows() != rows || view.columns() != columns) {
    throw_shape_error(op, operand, view,
                      std::string(name_of(dtype)) + " with rows of " + std::to_string(columns) +
                          ", " + std::to_string(rows) + " of them");
  }
}

inline void check_shape(const char* op, const char* operand, const ConstView& view, DType dtype,
                        const Shape& shape) {
  if (view.dtype() != dtype || !(view.shape() == shape)) {
    throw_shape_error(op, operand, view, std::string(name_of(dtype)) + " " + shape.text());
  }
}

inline void check_shape(const char* op, const char* operand, const std::optional<ConstView>& view,
                        DType dtype, const Shape& shape) {
  if (view) check_shape(op, operand, *view, dtype, shape);
}

// The number type that an op computes in is that of its first operand: float32, bfloat16 or
// float16. The CPU backend computes in float32 alone.
inline void check_compute_dtype(const ExecutionContext& ctx, const char* op, const char* operand,
                                const ConstView& view) {
  const DType dtype = view.dtype();
  if (dtype != DType::kFloat32 && dtype != DType::kBfloat16 && dtype != DType::kFloat16) {
    throw_shape_error(op, operand, view, "float32, bfloat16 or float16");
  }
  if (ctx.device_kind() == DeviceKind::kCpu && dtype != DType::kFloat32) {
    throw_shape_error(op, operand, view, "float32: the CPU computes in no other precision");
  }
}

// The gradient of a parameter: in the op's own number type, or in float32, which loses nothing
// where many micro-batches add to it.
inline void check_gradient_dtype(const char* op, const char* operand, const ConstView& view,
                                 DType compute) {
  if (view.dtype() != compute && view.dtype() != DType::kFloat32) {
    throw_shape_error(
        op, operand, view,
        compute == DType::kFloat32 ? "float32" : std::string(name_of(compute)) + " or float32");
  }
}

// Takes `bytes` for the length of a dry run's op: what the CUDA kernels will take.
inline void measure_scratch(ExecutionContext& ctx, std::size_t bytes) {
  ScratchFrame scratch(ctx);
  scratch.take<std::byte>(static_cast<std::int64_t>(bytes));
}

inline void check_contiguous(const char* op, const char* operand, const ConstView& view) {
  if (!view.contiguous()) throw_shape_error(op, operand, view, "contiguous rows");
}

}  // namespace ovid::kernels
