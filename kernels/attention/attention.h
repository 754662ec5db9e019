#pragma once

#include <optional>

#include "kernels/common/dropout_mask.h"
#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Causal multi-head self-attention by tiled online softmax (Vaswani et al. 2017; Dao et al. 2022;
// docs/math/attention.md). For each sequence and head, with q, k, v of D = C / H columns:
//   S_ij = q_i . k_j / sqrt(D)  for j <= i,  -infinity beyond                               (1)
//   P_ij = exp(S_ij - l_i),  l_i = log sum_j exp(S_ij)                                      (2)
//   o_i  = sum_j dropout(P)_ij v_j                                                          (3)
// No T x T matrix is stored: the backward pass computes P again from l. Tiles beyond the diagonal
// are skipped in both passes. Bits do not depend on threads, nor on the other sequences of the
// batch. Number type A: float32, on CUDA also bfloat16 or float16, where P and the gradient of S
// are rounded to A as operands of products; all sums are float32.
namespace ovid::kernels {

struct Attention {
  ConstView qkv;     // (B, T, 3C) A: q | k | v, each H heads of D
  View out;          // (B, T, C) A, written
  View log_sum_exp;  // (B, H, T) float32 l, written, kept for backward
  std::int64_t heads;
  // On P; the index of element (b, h, i, j) is ((b H + h) T + i) 4 ceil(T / 4) + j.
  std::optional<DropoutMask> dropout = std::nullopt;
};

struct AttentionGradient {
  ConstView d_out;        // (B, T, C) A
  ConstView qkv;          // (B, T, 3C) A
  ConstView out;          // (B, T, C) A, the forward pass's
  ConstView log_sum_exp;  // (B, H, T) float32, the forward pass's
  View d_qkv;             // (B, T, 3C) A, overwritten; aliases nothing
  std::int64_t heads;
  std::optional<DropoutMask> dropout = std::nullopt;  // the forward pass's
};

// Attention of new rows over cached keys and values, for decoding. Row n belongs to sequence
// sequences[n] at position positions[n]: its k and v are first written to the cache there; then it
// attends to positions 0 .. positions[n] of its sequence. Several rows may belong to one sequence
// (a prompt); no two to the same place. Each row's bits are those it would have alone. A sequence
// or position out of range: ShapeError on the CPU; on CUDA, where the host does not see them, the
// row's result is NaN and the cache is left alone.
struct CachedAttention {
  ConstView qkv;        // (N, 3C) A: float32, on CUDA also bfloat16 or float16
  ConstView sequences;  // (N) int32 in [0, S)
  ConstView positions;  // (N) int32 in [0, P)
  View keys;            // (S, P, C) A, read and written
  View values;          // (S, P, C) A, read and written
  View out;             // (N, C) A, written
  std::int64_t heads;
};

// Enqueued on ctx; throw ShapeError.
void attention_forward(ExecutionContext& ctx, const Attention& op);
void attention_backward(ExecutionContext& ctx, const AttentionGradient& op);
void cached_attention_forward(ExecutionContext& ctx, const CachedAttention& op);

struct AttentionShape {
  std::int64_t sequences, length, heads, head_width;  // B, T, H, D
};
struct CachedAttentionShape {
  std::int64_t rows, sequences, positions, heads, head_width;  // N, S, P, H, D
};
namespace cpu {
void attention_forward(ExecutionContext& ctx, const Attention& op, const AttentionShape& shape);
void attention_backward(ExecutionContext& ctx, const AttentionGradient& op,
                        const AttentionShape& shape);
void cached_attention_forward(ExecutionContext& ctx, const CachedAttention& op,
                              const CachedAttentionShape& shape);
}  // namespace cpu
namespace cuda {
void attention_forward(ExecutionContext& ctx, const Attention& op, const AttentionShape& shape);
void attention_backward(ExecutionContext& ctx, const AttentionGradient& op,
                        const AttentionShape& shape);
void cached_attention_forward(ExecutionContext& ctx, const CachedAttention& op,
                              const CachedAttentionShape& shape);
}  // namespace cuda

}  // namespace ovid::kernels
