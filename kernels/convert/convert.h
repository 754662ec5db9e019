#pragma once

#include <optional>

#include "kernels/common/execution_context.h"
#include "kernels/common/random.h"
#include "kernels/common/view.h"

namespace ovid::kernels {

// Copies with a change of dtype among float32, bfloat16 and float16; to a narrower one by rounding
// to nearest, ties to even; NaN stays NaN, what is too large becomes infinity.
struct Convert {
  ConstView in;  // (n) contiguous
  View out;      // (n) contiguous, written; does not overlap in
  // out = scale in, multiplied in float32 before it is rounded; not with `rounding`.
  float scale = 1.0f;
  // Rounds to a 16-bit type up or down at random instead, so that the mean is the number itself
  // (kernels/common/stochastic_rounding.h): element i by word i mod 4 of the stream's i / 4, on
  // every device. Numbers that `out` can hold stay. Absent: to nearest.
  std::optional<RandomStream> rounding = std::nullopt;
};

// Sets all bytes of `out` to zero; contiguous, any dtype.
struct SetZero {
  View out;
};

// Enqueued on ctx; throw ShapeError.
void convert(ExecutionContext& ctx, const Convert& op);
void set_zero(ExecutionContext& ctx, const SetZero& op);

namespace cpu {
void convert(ExecutionContext& ctx, const Convert& op);
void set_zero(ExecutionContext& ctx, const SetZero& op);
}  // namespace cpu
namespace cuda {
void convert(ExecutionContext& ctx, const Convert& op);
void set_zero(ExecutionContext& ctx, const SetZero& op);
}  // namespace cuda

}  // namespace ovid::kernels
