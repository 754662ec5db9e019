#pragma once

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Negative log-likelihood of the targets under softmax(logits), and its gradient (Bridle 1990;
// docs/math/cross_entropy.md).
//   loss_n = log sum_v exp(logits_nv) - logits_n,target                                     (1)
//   d_logits = (softmax(logits) - one_hot(target)) * scale                                  (2)
namespace ovid::kernels {

inline constexpr std::int32_t kIgnoreTarget = -1;  // adds no loss and a zero gradient

struct SoftmaxCrossEntropy {
  // (N, V) float32, on CUDA also bfloat16 or float16; rows may be padded, and padding is neither
  // read nor written; replaced by d_logits where write_gradient
  View logits;
  ConstView targets;   // (N) int32 in [0, V) or kIgnoreTarget; the caller has checked the range
  View losses;         // (N) float32, nats, written
  float scale = 1.0f;  // usually 1 / (valid targets of the global batch)
  bool write_gradient = true;  // false: logits stay as they are
};

// Memory sees one pass over each row: the row stays in the caches, on CUDA in shared memory. Rows
// that begin at multiples of 16 bytes are fastest. Enqueued on ctx; throws ShapeError.
void softmax_cross_entropy(ExecutionContext& ctx, const SoftmaxCrossEntropy& op);

namespace cpu {
void softmax_cross_entropy(ExecutionContext& ctx, const SoftmaxCrossEntropy& op);
}
namespace cuda {
void softmax_cross_entropy(ExecutionContext& ctx, const SoftmaxCrossEntropy& op);
}

}  // namespace ovid::kernels
