#pragma once

#include "kernels/attention/attention.h"

// The kernels among which attention_cuda.cu chooses. Inside the CUDA module only. All are enqueued
// on ctx, and each head's bits depend on its own operands alone.
namespace ovid::kernels::cuda {

// Statistics of one row for the backward pass.
struct alignas(8) AttentionRowStatistics {
  float log_sum_exp;  // times log2(e)
  float delta;        // d_out . out
};

// Whether the kernels for tensor cores do heads of this width in these operands: 16-bit numbers,
// widths of 8 to 128 in steps of 8, 16-byte addresses.
bool attention_takes_mma(const ConstView& qkv, const ConstView& out, const AttentionShape& shape);

// By tensor cores, what attention_takes_mma.
void attention_forward_mma(ExecutionContext& ctx, const Attention& op, const AttentionShape& shape);
// `statistics` (B, H, T) as attention_row_statistics has written them.
void attention_backward_mma(ExecutionContext& ctx, const AttentionGradient& op,
                            const AttentionShape& shape, const AttentionRowStatistics* statistics);

// In float, of every width and number type.
void attention_forward_plain(ExecutionContext& ctx, const Attention& op,
                             const AttentionShape& shape);
void attention_backward_plain(ExecutionContext& ctx, const AttentionGradient& op,
                              const AttentionShape& shape,
                              const AttentionRowStatistics* statistics);

// Row by row, of every number type and heads of up to 2,048 columns: slow; to check the others.
void attention_forward_naive(ExecutionContext& ctx, const Attention& op,
                             const AttentionShape& shape);
void attention_backward_naive(ExecutionContext& ctx, const AttentionGradient& op,
                              const AttentionShape& shape);

// Writes statistics (B, H, T).
void attention_row_statistics(ExecutionContext& ctx, const AttentionGradient& op,
                              const AttentionShape& shape, AttentionRowStatistics* statistics);

}  // namespace ovid::kernels::cuda
