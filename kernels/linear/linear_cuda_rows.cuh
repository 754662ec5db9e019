#pragma once

#include <optional>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"
#include "kernels/linear/linear.h"

namespace ovid::kernels::cuda {

// u = in W + bias is written to values and, where gelu is given, gelu(u) there; gelu may be values,
// which then keeps no u. Each row's bits are those it would have alone.
struct RowsProduct {
  ConstView in;                                  // (N, K) A
  ConstView weight;                              // (K, M) or (M, K) A
  std::optional<ConstView> bias = std::nullopt;  // (M) A
  View values;                                   // (N, M) A
  std::optional<View> gelu = std::nullopt;       // (N, M) A
  WeightLayout layout = WeightLayout::kInOut;
  LinearShape shape;
};
// Enqueued on ctx. Reads the weight once for every 8 rows: meant for few.
void multiply_rows(ExecutionContext& ctx, const RowsProduct& op);

}  // namespace ovid::kernels::cuda
