#pragma once

#include <optional>
#include <span>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// What is done around the products where the library's kernels do not do it. All enqueue on ctx.
namespace ovid::kernels::cuda {

// u = values + bias (absent: zero), written back to values; out, where given, is gelu(u). out may
// be values, which then keeps no u.
struct BiasAndGelu {
  View values;                                   // (N, M) A
  std::optional<ConstView> bias = std::nullopt;  // (M) A
  std::optional<View> out = std::nullopt;        // (N, M) A
};
void add_bias_and_gelu(ExecutionContext& ctx, const BiasAndGelu& op);

// d = d_out gelu'(before); without before d is d_out. d is written where d_in is given, and summed
// over blocks of rows where sums is given: (linear_row_blocks(N), M), in an order that shapes give.
struct GeluGradientAndSums {
  ConstView d_out;                                 // (N, M) A
  std::optional<ConstView> before = std::nullopt;  // (N, M) A
  std::optional<View> d_in = std::nullopt;         // (N, M) A; may be d_out
  std::span<float> sums = {};
};
void gelu_gradient_and_sums(ExecutionContext& ctx, const GeluGradientAndSums& op);

// out = or += the sum of `rows` rows of parts (rows, M), first row first; dtype: of the parts,
// float32 or out's.
struct SumOfParts {
  const void* parts;
  DType dtype;
  std::int64_t rows;
  View out;  // (M) G
  GradientMode mode = GradientMode::kOverwrite;
};
void add_parts(ExecutionContext& ctx, const SumOfParts& op);

}  // namespace ovid::kernels::cuda
