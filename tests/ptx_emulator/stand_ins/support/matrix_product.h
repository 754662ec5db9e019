#pragma once
// D = epilogue(alpha op(A) op(B) + beta C) over operands of any format and order: what cuBLAS and
// cuBLASLt compute.

#include <cstdint>

#include "tests/ptx_emulator/stand_ins/support/number_format.h"

namespace ptx_emulator::stand_ins {

// A matrix in device memory, or a batch of them.
struct Matrix {
  NumberFormat format = NumberFormat::kFloat32;
  bool row_major = false;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t ld = 0;            // elements between columns (row_major: rows)
  std::int64_t batch_stride = 0;  // elements; unused with a pointer array
  const void* data =
      nullptr;  // device address; with `pointer_array` that of an array of device addresses
  bool pointer_array = false;

  std::int64_t stored_rows() const { return row_major ? cols : rows; }  // contiguous direction
  std::int64_t stored_cols() const { return row_major ? rows : cols; }
};

// alpha or beta.
struct Scalar {
  double value = 1.0;            // read when the call was made, unless `device` is set
  const void* device = nullptr;  // read when the product runs
  NumberFormat format = NumberFormat::kFloat32;
  bool per_row = false;           // `device` holds one value per row of D
  std::int64_t batch_stride = 0;  // of a per-row vector, elements
};

// What the inputs are rounded to before they are multiplied.
enum class InputRounding : std::uint8_t { kNone, kTf32, kFloat16, kBfloat16 };

enum class Activation : std::uint8_t { kNone, kRelu, kGelu, kReluGradient, kGeluGradient };
enum class BiasGradient : std::uint8_t { kNone, kOfResult, kOfA, kOfB };

// GELU is the tanh form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
struct Epilogue {
  Activation activation = Activation::kNone;
  bool add_bias = false;  // bias[i] to every element of row i, before the activation
  bool write_aux =
      false;  // what the activation read: values (GELU) or one bit per element, value > 0 (RELU)
  BiasGradient bias_gradient =
      BiasGradient::kNone;  // sums over columns of D, or over k of op(A), op(B)
  void* bias = nullptr;     // read (add_bias) or written (bias_gradient)
  NumberFormat bias_format = NumberFormat::kFloat32;
  std::int64_t bias_batch_stride = 0;
  void* aux = nullptr;  // written (write_aux) or read (gradients of the activations); column-major
  NumberFormat aux_format = NumberFormat::kFloat32;
  std::int64_t aux_ld = 0;  // elements; bits for RELU
  std::int64_t aux_batch_stride = 0;
  const void* aux_scale = nullptr;  // device float, factor of the stored aux
  void* aux_amax = nullptr;         // device float, largest |aux| before that factor
};

struct ProductPlan {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::int64_t batch_count = 1;
  bool transpose_a = false;
  bool transpose_b = false;
  bool in_double = false;  // accumulate in double: float64 and integer operands
  InputRounding rounding = InputRounding::kNone;
  Matrix a, b, c, d;  // c is read only where beta is not 0
  Scalar alpha, beta;
  const void* scale_a = nullptr;  // device floats, factors; absent: 1
  const void* scale_b = nullptr;
  const void* scale_c = nullptr;
  const void* scale_d = nullptr;
  void* amax_d = nullptr;  // device float: largest |value| before scale_d
  Epilogue epilogue;
  void* workspace =
      // device; whole extent checked, the used part overwritten with NaN as scratch would be
      nullptr;
  std::uint64_t workspace_bytes = 0;
  std::uint64_t workspace_used_bytes = 0;
};

// Runs now, on host memory behind the device addresses. Throws OperandFault where an operand is not
// inside one live allocation. Accumulates in float (or double) and rounds each stored element once.
void run_product(const ProductPlan& plan);

}  // namespace ptx_emulator::stand_ins
