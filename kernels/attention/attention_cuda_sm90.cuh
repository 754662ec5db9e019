#pragma once

#include "kernels/attention/attention.h"

// Attention for sm_90a: wgmma and tensor-map copies. Inside the CUDA module only.
namespace ovid::kernels::cuda {

// Whether attention_forward_sm90 does this op on this device: compute capability 9.0 and a module
// that was compiled for it, bfloat16 or float16, heads of 64 or 128 columns, no dropout, operands
// 16-byte aligned.
bool attention_forward_sm90_takes(ExecutionContext& ctx, const Attention& op,
                                  const AttentionShape& shape);

// As attention_forward, for what attention_forward_sm90_takes. Takes no scratch. Each head's bits
// depend on its own q, k and v alone. Throws DeviceError.
void attention_forward_sm90(ExecutionContext& ctx, const Attention& op,
                            const AttentionShape& shape);

// The same for attention_backward: heads of 64 columns. Takes attention_backward_sm90_statistics
// floats of scratch. Sums in a fixed order.
bool attention_backward_sm90_takes(ExecutionContext& ctx, const AttentionGradient& op,
                                   const AttentionShape& shape);
void attention_backward_sm90(ExecutionContext& ctx, const AttentionGradient& op,
                             const AttentionShape& shape);
std::int64_t attention_backward_sm90_statistics(const AttentionShape& shape);

}  // namespace ovid::kernels::cuda
