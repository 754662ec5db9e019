#pragma once
// What follows the product: bias, activation, gradients, auxiliary output.

#include <cstdint>

#include "tests/ptx_emulator/stand_ins/support/matrix_product.h"

namespace ptx_emulator::stand_ins {

// GELU, tanh form, and its derivative. Source: Hendrycks and Gimpel 2016, equation 2.
template <class Real>
Real gelu(Real x);
template <class Real>
Real gelu_derivative(Real x);

// Applies the plan's epilogue to `values` ((m, n), column-major, alpha and beta already applied) of
// matrix `index` of the batch, in place, but for bias gradients of A and B. Adds to the running
// maxima, which start at 0.
struct RunningMaxima {
  double result = 0.0;
  double aux = 0.0;
};
template <class Real>
void apply_epilogue(const ProductPlan& plan, std::int64_t index, Real* values,
                    RunningMaxima& maxima);

// Stores sums of op(A) or op(B) over k as the bias gradient. `operand` is (stored rows, stored
// cols) with `ld`; `sum_columns`: the sum runs over stored columns, else over stored rows.
template <class Real>
void store_operand_sums(const ProductPlan& plan, std::int64_t index, const Real* operand,
                        std::int64_t ld, bool sum_columns, std::int64_t length);

}  // namespace ptx_emulator::stand_ins
