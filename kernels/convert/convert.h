#pragma once

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

namespace ovid::kernels {

// Copies with a change of dtype among float32, bfloat16 and float16; to a narrower one by rounding
// to nearest, ties to even; NaN stays NaN, what is too large becomes infinity.
struct Convert {
  ConstView in;  // (n) contiguous
  View out;      // (n) contiguous, written; does not overlap in
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
