#pragma once

#include <optional>
#include <span>

#include "kernels/common/execution_context.h"
#include "kernels/common/random.h"
#include "kernels/common/view.h"

// One AdamW step (Loshchilov, Hutter 2019, with decoupled weight decay; docs/math/adamw.md).
//   g = gradient * gradient_scale
//   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2                            (1)
//   w = w (1 - learning_rate * weight_decay)                                                (2)
//   w = w - learning_rate * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon) (3)
//   rounded = w, rounded to its type                                                        (4)
// Moments that are kept in bfloat16 are rounded up or down at random when they are stored, so that
// the mean of what is stored is the moment of (1): to nearest, a second moment that decays by less
// than half a unit of bfloat16 (beta2 above 0.998) would never fall. (3) uses the unrounded ones.
namespace ovid::kernels {

// One tensor's share of a step. All members are contiguous and of one shape, (n).
struct AdamWTensor {
  View weight;         // (n) float32, the master weights, updated
  ConstView gradient;  // (n) float32, on CUDA also bfloat16 or float16
  View first_moment;   // (n) float32 or bfloat16 m, updated
  View second_moment;  // (n) v, updated; all moments of a call are of one type
  // (n) bfloat16 or float16, written: the copy of the weights that products read; absent: none
  std::optional<View> rounded = std::nullopt;
  double weight_decay;
  // Of element 0 in the streams of rounding, so that a part of a tensor draws the numbers that it
  // would draw as part of the whole.
  std::uint64_t first_index = 0;
};

struct AdamW {
  std::span<const AdamWTensor> tensors;  // read before the call returns
  float gradient_scale = 1.0f;           // the factor of clipping, or 1 / loss scale
  // () float32, in the device's memory: multiplied into gradient_scale when the kernel runs, so
  // that the host need not wait for it (gradient_norm writes it); absent: 1
  std::optional<ConstView> gradient_scale_on_device = std::nullopt;
  double learning_rate;
  double beta1;
  double beta2;
  double epsilon;
  std::int64_t step;  // 1 for the first update
  // Rounds (4) up or down at random, by a word that is a pure function of the stream and the
  // element's index, so that the mean is w; absent: to nearest
  std::optional<RandomStream> rounding = std::nullopt;
  // The same for moments in bfloat16, which need it: another stream than `rounding`, as both count
  // by the elements' indices. Ignored where moments are float32
  std::optional<RandomStream> moment_rounding = std::nullopt;
};

// Updates all tensors; on CUDA in one launch, fastest where memory begins at multiples of 16 bytes
// and first_index is a multiple of 4. Where the product of the two scales is NaN or infinite,
// nothing is written: the step is skipped. Enqueued on ctx; throws ShapeError.
void adamw_update(ExecutionContext& ctx, const AdamW& op);

namespace cpu {
void adamw_update(ExecutionContext& ctx, const AdamW& op);
}
namespace cuda {
void adamw_update(ExecutionContext& ctx, const AdamW& op);
}

}  // namespace ovid::kernels
