#include <limits>

#include "kernels/attention/attention_cuda.cuh"
#include "kernels/attention/attention_cuda_scratch.h"
#include "kernels/attention/attention_cuda_sm90.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/cudnn_attention.h"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector_access.cuh"

// Which kernel computes attention, and the statistics of its backward pass.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr float kLog2E = 1.4426950408889634f;
// Of the smallest tile that a grid's second dimension counts (65,535 of 64 rows).
constexpr std::int64_t kMostPositions = 65535 * 64;
constexpr std::int64_t kMostHeads = std::numeric_limits<int>::max();

// Grids count heads in the first dimension and tiles of positions in the second.
void check_grid(const char* op, const ConstView& qkv, const AttentionShape& shape) {
  if (shape.length > kMostPositions || shape.sequences > kMostHeads / shape.heads) {
    throw ShapeError(std::string(op) + ": qkv is " + qkv.shape().text() +
                     "; the CUDA kernels take sequences of at most " +
                     std::to_string(kMostPositions) + " positions and fewer than 2^31 heads in a " +
                     "batch; use shorter sequences or a smaller batch");
  }
}

// What cuDNN is asked. It knows neither our dropout mask nor float32.
CudnnAttentionProblem cudnn_problem(const ConstView& qkv, const std::optional<DropoutMask>& dropout,
                                    const AttentionShape& shape) {
  if (qkv.dtype() == DType::kFloat32 || dropout) {
    throw ShapeError("attention: qkv is " + std::string(name_of(qkv.dtype())) + " " +
                     qkv.shape().text() + (dropout ? " with dropout" : "") +
                     "; cuDNN's kernels take bfloat16 and float16 without dropout; choose "
                     "attention: flash");
  }
  return {shape.sequences, shape.length, shape.heads, shape.head_width, qkv.dtype()};
}

// Rows (b, h, t) in this order, kLanes neighbours for each: lane i of them owns columns kColumns i
// .. + kColumns, and of wide heads every kColumns kLanes-th further. Four rows of a warp are then
// 128 bytes each of d_out and out, and 32 bytes of statistics, where a head has 64 numbers of 16
// bits.
template <class T, bool kPacks>
__global__ void __launch_bounds__(kThreads)
    row_statistics(const T* d_out, const T* out, const float* log_sum_exp,
                   AttentionRowStatistics* statistics, std::int64_t rows, int length, int heads,
                   int head_width, int lanes) {
  constexpr int kColumns = kPacks ? kPack<T> : 1;
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t row = thread / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  float sum = 0.0f;
  if (row < rows) {
    const std::int64_t head = row / length, t = row % length;
    const std::int64_t at = ((head / heads * length + t) * heads + head % heads) * head_width;
    for (int column = lane * kColumns; column < head_width; column += lanes * kColumns) {
      if constexpr (kPacks) {
        const Pack<T> a = load_pack(d_out + at + column), b = load_pack(out + at + column);
#pragma unroll
        for (int i = 0; i < kColumns; ++i) sum = fmaf(a.get(i), b.get(i), sum);
      } else {
        sum = fmaf(to_float(d_out[at + column]), to_float(out[at + column]), sum);
      }
    }
  }
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, distance);
  }
  if (row < rows && lane == 0) statistics[row] = {log_sum_exp[row] * kLog2E, sum};
}

// The smallest power of two of lanes that cover a head with packs, at most a warp.
int lanes_of(std::int64_t packs) {
  int lanes = 1;
  while (lanes < packs && lanes < kWarp) lanes *= 2;
  return lanes;
}

}  // namespace

void attention_row_statistics(ExecutionContext& ctx, const AttentionGradient& op,
                              const AttentionShape& shape, AttentionRowStatistics* statistics) {
  dispatch(op.qkv.dtype(), [&]<class T>() {
    const std::int64_t D = shape.head_width;
    const bool packs = rows_take_packs<T>(op.d_out.raw(), D) && rows_take_packs<T>(op.out.raw(), D);
    const int lanes = packs ? lanes_of(D / kPack<T>) : lanes_of(D);
    const std::int64_t rows = shape.sequences * shape.heads * shape.length;
    const std::int64_t rows_of_block = kThreads / lanes;
    const auto blocks = static_cast<unsigned>((rows + rows_of_block - 1) / rows_of_block);
    const auto launch = [&](auto kernel) {
      kernel<<<blocks, kThreads, 0, stream_of(ctx)>>>(
          static_cast<const T*>(op.d_out.raw()), static_cast<const T*>(op.out.raw()),
          op.log_sum_exp.data<float>(), statistics, rows, static_cast<int>(shape.length),
          static_cast<int>(shape.heads), static_cast<int>(D), lanes);
    };
    packs ? launch(row_statistics<T, true>) : launch(row_statistics<T, false>);
    check_launch("attention_row_statistics");
  });
}

bool attention_takes_mma(const ConstView& qkv, const ConstView& out, const AttentionShape& shape) {
  const auto aligned = [](const ConstView& view) {
    return reinterpret_cast<std::uintptr_t>(view.raw()) % 16 == 0;
  };
  return qkv.dtype() != DType::kFloat32 && shape.head_width % 8 == 0 && shape.head_width <= 128 &&
         aligned(qkv) && aligned(out);
}

void attention_forward(ExecutionContext& ctx, const Attention& op, const AttentionShape& shape) {
  if (shape.sequences == 0 || shape.length == 0) return;
  check_grid("attention_forward", op.qkv, shape);
  switch (state_of(ctx).attention()) {
    case AttentionKernels::kNaive:
      return attention_forward_naive(ctx, op, shape);
    case AttentionKernels::kCudnn:
      return state_of(ctx).cudnn().forward(
          cudnn_problem(op.qkv, op.dropout, shape),
          {.qkv = op.qkv.raw(), .out = op.out.raw(), .log_sum_exp = op.log_sum_exp.raw()},
          stream_of(ctx));
    case AttentionKernels::kFlash:
      break;
  }
  if (attention_forward_sm90_takes(ctx, op, shape)) return attention_forward_sm90(ctx, op, shape);
  if (attention_takes_mma(op.qkv, op.out, shape)) return attention_forward_mma(ctx, op, shape);
  attention_forward_plain(ctx, op, shape);
}

void attention_backward(ExecutionContext& ctx, const AttentionGradient& op,
                        const AttentionShape& shape) {
  if (shape.sequences == 0 || shape.length == 0) return;
  check_grid("attention_backward", op.qkv, shape);
  switch (state_of(ctx).attention()) {
    case AttentionKernels::kNaive:
      return attention_backward_naive(ctx, op, shape);
    case AttentionKernels::kCudnn:
      return state_of(ctx).cudnn().backward(cudnn_problem(op.qkv, op.dropout, shape),
                                            {.d_out = op.d_out.raw(),
                                             .qkv = op.qkv.raw(),
                                             .out = op.out.raw(),
                                             .log_sum_exp = op.log_sum_exp.raw(),
                                             .d_qkv = op.d_qkv.raw()},
                                            stream_of(ctx));
    case AttentionKernels::kFlash:
      break;
  }
  if (attention_backward_sm90_takes(ctx, op, shape)) return attention_backward_sm90(ctx, op, shape);
  ScratchFrame scratch(ctx);
  AttentionRowStatistics* statistics =
      scratch.take<AttentionRowStatistics>(shape.sequences * shape.heads * shape.length).data();
  attention_row_statistics(ctx, op, shape, statistics);
  if (attention_takes_mma(op.qkv, op.d_out, shape) &&
      attention_takes_mma(op.d_qkv, op.d_out, shape)) {
    return attention_backward_mma(ctx, op, shape, statistics);
  }
  attention_backward_plain(ctx, op, shape, statistics);
}

}  // namespace ovid::kernels::cuda
