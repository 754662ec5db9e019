#pragma once

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// One AdamW step (Loshchilov, Hutter 2019, with decoupled weight decay; docs/math/adamw.md).
//   g = gradient * gradient_scale
//   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2                            (1)
//   w = w (1 - learning_rate * weight_decay)                                                (2)
//   w = w - learning_rate * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon) (3)
namespace ovid::kernels {

struct AdamW {
  View weight;                  // (n) float32, updated
  ConstView gradient;           // (n) float32
  View first_moment;            // (n) float32 m, updated
  View second_moment;           // (n) float32 v, updated
  float gradient_scale = 1.0f;  // the factor of gradient clipping
  double learning_rate;
  double beta1;
  double beta2;
  double epsilon;
  double weight_decay;
  std::int64_t step;  // 1 for the first update
};

// Enqueued on ctx; throws ShapeError.
void adamw_update(ExecutionContext& ctx, const AdamW& op);

namespace cpu {
void adamw_update(ExecutionContext& ctx, const AdamW& op);
}
namespace cuda {
void adamw_update(ExecutionContext& ctx, const AdamW& op);
}

}  // namespace ovid::kernels
