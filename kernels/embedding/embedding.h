#pragma once

#include <optional>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Token and position embedding (Radford et al. 2019; docs/math/embedding.md).
//   out[n] = token_embedding[tokens[n]] + position_embedding[positions[n]]                  (1)
namespace ovid::kernels {

struct Embedding {
  ConstView tokens;  // (B, T) int32 in [0, V); the caller has checked the range
  // (B, T) int32 in [0, P). Absent: the column, 0 .. T-1, in each row of `tokens`.
  std::optional<ConstView> positions = std::nullopt;
  ConstView token_embedding;     // (V, C) float32, on CUDA also bfloat16 or float16
  ConstView position_embedding;  // (P, C) as token_embedding, P >= T
  View out;                      // (B, T, C) as token_embedding, written
};

// Both embeddings accumulate. Rows are added in the order of the batch, so the bits do not depend
// on threads. A sum is rounded to its table's type once, behind the last row.
struct EmbeddingGradient {
  ConstView tokens;
  std::optional<ConstView> positions = std::nullopt;
  ConstView d_out;  // (B, T, C) float32, on CUDA also bfloat16 or float16
  // (V, C) and (P, C) as d_out, or float32; accumulated. Absent: frozen.
  std::optional<View> d_token_embedding = std::nullopt;
  std::optional<View> d_position_embedding = std::nullopt;
};

// Enqueued on ctx; throws ShapeError.
void embedding_forward(ExecutionContext& ctx, const Embedding& op);
void embedding_backward(ExecutionContext& ctx, const EmbeddingGradient& op);

struct EmbeddingShape {
  std::int64_t sequences, length, width, vocabulary, positions;  // B, T, C, V, P
};
namespace cpu {
void embedding_forward(ExecutionContext& ctx, const Embedding& op, const EmbeddingShape& shape);
void embedding_backward(ExecutionContext& ctx, const EmbeddingGradient& op,
                        const EmbeddingShape& shape);
}  // namespace cpu
namespace cuda {
void embedding_forward(ExecutionContext& ctx, const Embedding& op, const EmbeddingShape& shape);
void embedding_backward(ExecutionContext& ctx, const EmbeddingGradient& op,
                        const EmbeddingShape& shape);
}  // namespace cuda

}  // namespace ovid::kernels
