#include "kernels/cpu/simd.h"
#include "kernels/embedding/embedding.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/embedding/embedding_cpu.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/parallel_for.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// out = a + b, element by element; out may be a.
void add_embedding_rows(const float* a, const float* b, float* out, std::int64_t count) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
  }
  for (; i < count; ++i) out[i] = a[i] + b[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <cassert>

namespace ovid::kernels::cpu {

HWY_EXPORT(add_embedding_rows);

namespace {

constexpr std::int64_t kRowsPerPiece = 16;
// The gradient's unit of work is a block of columns over all rows of the batch: each element of a
// table is then touched by one thread, in the order of the batch, without sorting the tokens.
constexpr std::int64_t kColumnsPerPiece = 64;

std::int64_t position_of(const std::int32_t* positions, std::int64_t n, std::int64_t T) {
  return positions != nullptr ? positions[n] : n % T;
}

}  // namespace

void embedding_forward(ExecutionContext& ctx, const Embedding& op, const EmbeddingShape& shape) {
  if (ctx.only_measures()) return;
  const std::int64_t T = shape.length;
  const std::int64_t C = shape.width;
  const std::int32_t* tokens = op.tokens.data<std::int32_t>();
  const std::int32_t* positions = op.positions ? op.positions->data<std::int32_t>() : nullptr;
  const float* token_embedding = op.token_embedding.data<float>();
  const float* position_embedding = op.position_embedding.data<float>();
  float* out = op.out.data<float>();
  const auto add = HWY_DYNAMIC_DISPATCH(add_embedding_rows);
  parallel_for(
      ctx.threads(), shape.sequences * T, kRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
          const std::int64_t position = position_of(positions, n, T);
          assert(tokens[n] >= 0 && tokens[n] < shape.vocabulary);
          assert(position >= 0 && position < shape.positions);
          add(token_embedding + tokens[n] * C, position_embedding + position * C, out + n * C, C);
        }
      });
}

void embedding_backward(ExecutionContext& ctx, const EmbeddingGradient& op,
                        const EmbeddingShape& shape) {
  if (ctx.only_measures()) return;
  const std::int64_t T = shape.length;
  const std::int64_t C = shape.width;
  const std::int64_t rows = shape.sequences * T;
  const std::int32_t* tokens = op.tokens.data<std::int32_t>();
  const std::int32_t* positions = op.positions ? op.positions->data<std::int32_t>() : nullptr;
  const float* d_out = op.d_out.data<float>();
  float* d_token = op.d_token_embedding ? op.d_token_embedding->data<float>() : nullptr;
  float* d_position = op.d_position_embedding ? op.d_position_embedding->data<float>() : nullptr;
  if (d_token == nullptr && d_position == nullptr) return;
  const auto add = HWY_DYNAMIC_DISPATCH(add_embedding_rows);
  parallel_for(ctx.threads(), C, kColumnsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = 0; n < rows; ++n) {
      const float* row = d_out + n * C + begin;
      if (d_token != nullptr) {
        assert(tokens[n] >= 0 && tokens[n] < shape.vocabulary);
        float* token_row = d_token + tokens[n] * C + begin;
        add(token_row, row, token_row, end - begin);
      }
      if (d_position != nullptr) {
        const std::int64_t position = position_of(positions, n, T);
        assert(position >= 0 && position < shape.positions);
        float* position_row = d_position + position * C + begin;
        add(position_row, row, position_row, end - begin);
      }
    }
  });
}

}  // namespace ovid::kernels::cpu
#endif
