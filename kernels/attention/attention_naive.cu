#include <cmath>

#include "kernels/attention/attention_cuda.cuh"
#include "kernels/attention/attention_cuda_dropout.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/reduce.cuh"

// Attention row by row, to check the fast kernels against on a user's own GPU: no tiles, no tensor
// cores, no online softmax, accurate exponentials, and nothing shared with the other kernels but
// the dropout mask. A block owns one row of one head; each of its threads does every kThreads-th
// product with another row, then every kThreads-th column of the result.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 128;
// Of the columns in shared memory: four rows of float in the 48 KB that any kernel may have.
constexpr std::int64_t kWidestHead = 2048;
constexpr std::int64_t kMostBlocks = 65535;  // of a grid's second dimension

template <class T>
struct Operands {
  const T* d_out;      // (B, T, C), backward only
  const T* qkv;        // (B, T, 3C)
  T* out;              // (B, T, C), written by the forward pass
  float* log_sum_exp;  // (B, H, T), written by the forward pass
  T* d_qkv;            // (B, T, 3C), backward only
  int length, heads, head_width;
  float scale;
  bool drops;
  DropoutMask dropout;
};

// Rows of one head.
template <class T>
struct Head {
  const T *q, *k, *v;
  std::int64_t at_qkv, at_out;  // of row 0
  std::int64_t qkv_row, out_row;
  attention::HeadDropout dropout;

  __device__ explicit Head(const Operands<T>& op) {
    const std::int64_t head = blockIdx.x, width = op.head_width, C = op.heads * width;
    const std::int64_t first = head / op.heads * op.length;
    qkv_row = 3 * C;
    out_row = C;
    at_qkv = first * qkv_row + head % op.heads * width;
    at_out = first * out_row + head % op.heads * width;
    q = op.qkv + at_qkv;
    k = q + C;
    v = k + C;
    dropout = attention::head_dropout(op.dropout, head, op.length);
  }
  __device__ float factor(const Operands<T>& op, int query, int key) const {
    if (!op.drops) return 1.0f;
    return (dropout.kept(query, key / 4 * 4) >> key % 4 & 1u) != 0 ? op.dropout.keep_scale() : 0.0f;
  }
};

template <class T>
__device__ void load_row(float* row, const T* from, int width) {
  for (int d = static_cast<int>(threadIdx.x); d < width; d += kThreads) row[d] = to_float(from[d]);
}

template <class T>
__device__ float dot(const float* a, const T* b, int width) {
  float sum = 0.0f;
  for (int d = 0; d < width; ++d) sum = fmaf(a[d], to_float(b[d]), sum);
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kThreads) naive_forward(const Operands<T> op) {
  extern __shared__ float rows[];
  __shared__ float weights[kThreads], partial[kWarp + 1];
  float *query = rows, *sum_of_values = rows + op.head_width;
  const Head<T> head(op);
  const int D = op.head_width, me = static_cast<int>(threadIdx.x);
  for (int i = static_cast<int>(blockIdx.y); i < op.length; i += static_cast<int>(gridDim.y)) {
    __syncthreads();
    load_row(query, head.q + i * head.qkv_row, D);
    for (int d = me; d < D; d += kThreads) sum_of_values[d] = 0.0f;
    __syncthreads();
    const auto score = [&](int j) { return op.scale * dot(query, head.k + j * head.qkv_row, D); };
    float largest = Max::identity(), sum = 0.0f;
    for (int j = me; j <= i; j += kThreads) largest = fmaxf(largest, score(j));
    largest = block_reduce(largest, Max{}, partial);
    for (int j = me; j <= i; j += kThreads) sum += expf(score(j) - largest);
    sum = block_reduce(sum, Sum{}, partial);
    for (int first = 0; first <= i; first += kThreads) {
      const int j = first + me;
      __syncthreads();
      if (j <= i) weights[me] = expf(score(j) - largest) / sum * head.factor(op, i, j);
      __syncthreads();
      for (int d = me; d < D; d += kThreads) {
        for (int n = 0; n < min(kThreads, i + 1 - first); ++n) {
          const float value = to_float(head.v[(first + n) * head.qkv_row + d]);
          sum_of_values[d] = fmaf(weights[n], value, sum_of_values[d]);
        }
      }
    }
    for (int d = me; d < D; d += kThreads) {
      op.out[head.at_out + i * head.out_row + d] = from_float<T>(sum_of_values[d]);
    }
    if (me == 0) {
      op.log_sum_exp[static_cast<std::int64_t>(blockIdx.x) * op.length + i] = largest + logf(sum);
    }
  }
}

// kKeys: the rows are keys, d_k += dS^T q and d_v += P^T d_o over the queries from the row on;
// otherwise queries, d_q += dS k over the keys up to the row.
template <class T, bool kKeys>
__global__ void __launch_bounds__(kThreads) naive_backward(const Operands<T> op) {
  extern __shared__ float rows[];
  __shared__ float d_scores[kThreads], weights[kThreads], partial[kWarp + 1];
  const int D = op.head_width, me = static_cast<int>(threadIdx.x);
  float *own = rows, *own_value = rows + D, *d_own = rows + 2 * D, *d_value = rows + 3 * D;
  const Head<T> head(op);
  const T* const d_out = op.d_out + head.at_out;
  const T* const out = op.out + head.at_out;
  const float* const log_sum_exp =
      op.log_sum_exp + static_cast<std::int64_t>(blockIdx.x) * op.length;
  for (int row = static_cast<int>(blockIdx.y); row < op.length;
       row += static_cast<int>(gridDim.y)) {
    __syncthreads();
    load_row(own, (kKeys ? head.k : head.q) + row * head.qkv_row, D);
    load_row(own_value, kKeys ? head.v + row * head.qkv_row : d_out + row * head.out_row, D);
    for (int d = me; d < D; d += kThreads) d_own[d] = d_value[d] = 0.0f;
    __syncthreads();
    const auto delta_of = [&](int i) {
      float sum = 0.0f;
      for (int d = 0; d < D; ++d) {
        const std::int64_t at = i * head.out_row + d;
        sum = fmaf(to_float(d_out[at]), to_float(out[at]), sum);
      }
      return sum;
    };
    float delta = 0.0f;
    if constexpr (!kKeys) {
      for (int d = me; d < D; d += kThreads) {
        delta = fmaf(own_value[d], to_float(out[row * head.out_row + d]), delta);
      }
      delta = block_reduce(delta, Sum{}, partial);
    }
    const int end = kKeys ? op.length : row + 1;
    for (int first = kKeys ? row : 0; first < end; first += kThreads) {
      const int other = first + me, i = kKeys ? other : row, j = kKeys ? row : other;
      __syncthreads();
      if (other < end) {
        if constexpr (kKeys) delta = delta_of(i);
        const T* const with = (kKeys ? head.q : head.k) + other * head.qkv_row;
        const T* const with_value =
            kKeys ? d_out + other * head.out_row : head.v + other * head.qkv_row;
        const float p = expf(op.scale * dot(own, with, D) - log_sum_exp[i]);
        const float factor = head.factor(op, i, j);
        d_scores[me] = p * fmaf(factor, dot(own_value, with_value, D), -delta) * op.scale;
        weights[me] = p * factor;
      }
      __syncthreads();
      for (int d = me; d < D; d += kThreads) {
        for (int n = 0; n < min(kThreads, end - first); ++n) {
          const T* const with = (kKeys ? head.q : head.k) + (first + n) * head.qkv_row;
          d_own[d] = fmaf(d_scores[n], to_float(with[d]), d_own[d]);
          if constexpr (kKeys) {
            const float value = to_float(d_out[(first + n) * head.out_row + d]);
            d_value[d] = fmaf(weights[n], value, d_value[d]);
          }
        }
      }
    }
    T* const d_row = op.d_qkv + head.at_qkv + row * head.qkv_row;
    for (int d = me; d < D; d += kThreads) {
      d_row[d + (kKeys ? head.out_row : 0)] = from_float<T>(d_own[d]);
      if constexpr (kKeys) d_row[d + 2 * head.out_row] = from_float<T>(d_value[d]);
    }
  }
}

template <class T>
Operands<T> operands_of(const ConstView& qkv, const ConstView& log_sum_exp,
                        const std::optional<DropoutMask>& dropout, const AttentionShape& shape) {
  if (shape.head_width > kWidestHead) {
    throw ShapeError("attention: heads of " + std::to_string(shape.head_width) +
                     " columns; the naive CUDA kernels take at most " +
                     std::to_string(kWidestHead) + "; choose attention: flash");
  }
  return {.d_out = nullptr,
          .qkv = static_cast<const T*>(qkv.raw()),
          .out = nullptr,
          .log_sum_exp = const_cast<float*>(log_sum_exp.data<float>()),
          .d_qkv = nullptr,
          .length = static_cast<int>(shape.length),
          .heads = static_cast<int>(shape.heads),
          .head_width = static_cast<int>(shape.head_width),
          .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_width)),
          .drops = dropout.has_value(),
          .dropout = dropout.value_or(DropoutMask{})};
}

dim3 grid_of(const AttentionShape& shape) {
  return {static_cast<unsigned>(shape.sequences * shape.heads),
          static_cast<unsigned>(std::min(shape.length, kMostBlocks))};
}

// Of shared memory, for so many rows of float.
std::size_t bytes_of_rows(const AttentionShape& shape, int count) {
  return static_cast<std::size_t>(count * shape.head_width) * sizeof(float);
}

}  // namespace

void attention_forward_naive(ExecutionContext& ctx, const Attention& op,
                             const AttentionShape& shape) {
  dispatch(op.qkv.dtype(), [&]<class T>() {
    Operands<T> operands = operands_of<T>(op.qkv, op.log_sum_exp, op.dropout, shape);
    operands.out = static_cast<T*>(op.out.raw());
    naive_forward<T>
        <<<grid_of(shape), kThreads, bytes_of_rows(shape, 2), stream_of(ctx)>>>(operands);
    check_launch("attention_forward (naive)");
  });
}

void attention_backward_naive(ExecutionContext& ctx, const AttentionGradient& op,
                              const AttentionShape& shape) {
  dispatch(op.qkv.dtype(), [&]<class T>() {
    Operands<T> operands = operands_of<T>(op.qkv, op.log_sum_exp, op.dropout, shape);
    operands.d_out = static_cast<const T*>(op.d_out.raw());
    operands.out = static_cast<T*>(const_cast<void*>(op.out.raw()));
    operands.d_qkv = static_cast<T*>(op.d_qkv.raw());
    const auto launch = [&](auto kernel, const char* name) {
      kernel<<<grid_of(shape), kThreads, bytes_of_rows(shape, 4), stream_of(ctx)>>>(operands);
      check_launch(name);
    };
    launch(naive_backward<T, false>, "attention_backward (naive, queries)");
    launch(naive_backward<T, true>, "attention_backward (naive, keys)");
  });
}

}  // namespace ovid::kernels::cuda
