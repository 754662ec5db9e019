#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/layernorm/layernorm.h"
#include "kernels/layernorm/layernorm_cuda_rows.cuh"

// The forward pass. A block owns 16 consecutive rows, each of its groups an equal part of them, one
// row after the other; gain and bias are read once a block. The variance takes two passes over the
// row, as on the CPU: about a first mean, which the second pass corrects.
namespace ovid::kernels::cuda {

namespace {

constexpr int kRowsPerBlock = 16;
constexpr std::int64_t kFewRows = 512;  // fewer go to as many warps as there are

template <class T>
struct Rows {
  const T* in;
  const T* branch;  // null: no residual sum
  const T* gain;
  const T* bias;
  T* sum;  // with a branch
  T* out;
  float* mean;
  float* inv_std;
  std::int64_t rows;
  int columns;
  int warps_per_row;
  int rows_per_group;
  float epsilon;
  bool whole_rows;        // rows_take_units
  bool whole_parameters;  // of gain and bias
  bool dropout;
  DropoutMask mask;
};

struct Statistics {
  float mean, inv_std;
};

// x + dropout(branch), rounded; index: of the first element in the mask
template <class T>
__device__ __forceinline__ Unit<T> added(const Rows<T>& op, const Unit<T>& x, const Unit<T>& branch,
                                         std::int64_t index) {
  constexpr int kSize = Unit<T>::kSize;
  Unit<T> sum;
  if (op.dropout) {
    float factors[kSize];
    dropout_factors(op.mask, static_cast<std::uint64_t>(index), factors);
#pragma unroll
    for (int i = 0; i < kSize; ++i) sum.set(i, x.get(i) + branch.get(i) * factors[i]);
  } else {
#pragma unroll
    for (int i = 0; i < kSize; ++i) sum.set(i, x.get(i) + branch.get(i));
  }
  return sum;
}

// deviations: the sums of x - first_mean and of its square
__device__ __forceinline__ Statistics statistics(float first_mean, const float (&deviations)[2],
                                                 int columns, float epsilon) {
  const auto C = static_cast<float>(columns);
  const float correction = deviations[0] / C;
  const float variance = deviations[1] / C - correction * correction;
  return {first_mean + correction, 1.0f / sqrtf(variance + epsilon)};
}

// elements: of the unit that the row has.
template <class T>
__device__ __forceinline__ void add_deviations(const Unit<T>& x, float mean, int elements,
                                               float (&deviations)[2]) {
#pragma unroll
  for (int i = 0; i < Unit<T>::kSize; ++i) {
    const float deviation = i < elements ? x.get(i) - mean : 0.0f;
    deviations[0] += deviation;
    deviations[1] = fmaf(deviation, deviation, deviations[1]);
  }
}

template <class T>
__device__ __forceinline__ Unit<T> normalised(const Unit<T>& x, const Statistics& s,
                                              const Unit<T>& gain, const Unit<T>& bias) {
  Unit<T> out;
#pragma unroll
  for (int i = 0; i < Unit<T>::kSize; ++i) {
    out.set(i, fmaf(gain.get(i), (x.get(i) - s.mean) * s.inv_std, bias.get(i)));
  }
  return out;
}

// The row into registers, summed with its branch; columns: 0 for a row behind the last.
template <class T>
__device__ __forceinline__ float load_row(const Rows<T>& op, std::int64_t row, int columns,
                                          const RowGroup& group, Unit<T> (&x)[kTurns<T>]) {
  constexpr int kSize = Unit<T>::kSize;
  const std::int64_t begin = row * op.columns;
#pragma unroll
  for (int t = 0; t < kTurns<T>; ++t) {
    const int at = (t * group.lanes + group.lane) * kSize;
    x[t] = load_whole_unit(op.in + begin, at, columns);
  }
  if (op.branch != nullptr) {
    Unit<T> branch[kTurns<T>];
#pragma unroll
    for (int t = 0; t < kTurns<T>; ++t) {
      const int at = (t * group.lanes + group.lane) * kSize;
      branch[t] = load_whole_unit(op.branch + begin, at, columns);
    }
#pragma unroll
    for (int t = 0; t < kTurns<T>; ++t) {
      const int at = (t * group.lanes + group.lane) * kSize;
      if (at >= columns) continue;
      x[t] = added(op, x[t], branch[t], begin + at);
      store_whole_unit(op.sum + begin, at, columns, x[t]);
    }
  }
  float sum = 0.0f;
#pragma unroll
  for (int t = 0; t < kTurns<T>; ++t) {
#pragma unroll
    for (int i = 0; i < kSize; ++i) sum += x[t].get(i);  // zeros behind the row's end
  }
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kNormThreads) normalise_rows(const Rows<T> op) {
  constexpr int kSize = Unit<T>::kSize;
  extern __shared__ uint4 parameters[];  // units of the gain, then of the bias
  __shared__ float exchange[kNormWarps * 2];
  const int units = (op.columns + kSize - 1) / kSize;
  for (int u = static_cast<int>(threadIdx.x); u < units; u += kNormThreads) {
    const int at = u * kSize;
    parameters[u] = load_unit(op.gain, at, op.columns, op.whole_parameters).bits;
    parameters[units + u] = load_unit(op.bias, at, op.columns, op.whole_parameters).bits;
  }
  __syncthreads();
  const RowGroup group(op.warps_per_row);
  const std::int64_t first =
      (static_cast<std::int64_t>(blockIdx.x) * group.count + group.index) * op.rows_per_group;
  Statistics kept{};  // of row first + lane, so that all are stored at once
  for (int k = 0; k < op.rows_per_group; ++k) {
    const std::int64_t row = first + k;
    const int columns = row < op.rows ? op.columns : 0;
    Unit<T> x[kTurns<T>];
    float sum[1] = {load_row(op, row, columns, group, x)};
    sum_over_group(sum, group, exchange);
    const float first_mean = sum[0] / static_cast<float>(op.columns);
    float deviations[2] = {};
#pragma unroll
    for (int t = 0; t < kTurns<T>; ++t) {
      const bool owned = (t * group.lanes + group.lane) * kSize < columns;
      if (owned) add_deviations(x[t], first_mean, kSize, deviations);
    }
    sum_over_group(deviations, group, exchange);
    const Statistics s = statistics(first_mean, deviations, op.columns, op.epsilon);
    if (group.lane == k) kept = s;
#pragma unroll
    for (int t = 0; t < kTurns<T>; ++t) {
      const int u = t * group.lanes + group.lane;
      if (u * kSize >= columns) continue;
      const Unit<T> out =
          normalised(x[t], s, Unit<T>{parameters[u]}, Unit<T>{parameters[units + u]});
      store_whole_unit(op.out + row * op.columns, u * kSize, columns, out);
    }
  }
  if (group.lane < op.rows_per_group && first + group.lane < op.rows) {
    op.mean[first + group.lane] = kept.mean;
    op.inv_std[first + group.lane] = kept.inv_std;
  }
}

// Any row, one a block. Each thread reads again what it has written, and nothing of others.
template <class T>
__global__ void __launch_bounds__(kNormThreads) normalise_row_by_block(const Rows<T> op) {
  constexpr int kSize = Unit<T>::kSize;
  constexpr int kStep = kNormThreads * kSize;
  __shared__ float exchange[kNormWarps * 2];
  const RowGroup group(static_cast<int>(kNormWarps));
  const std::int64_t row = blockIdx.x, begin = row * op.columns;
  const T* const summed = op.branch != nullptr ? op.sum + begin : op.in + begin;
  const int own = group.lane * kSize;
  float sum[1] = {};
  for (int at = own; at < op.columns; at += kStep) {
    Unit<T> x = load_unit(op.in + begin, at, op.columns, op.whole_rows);
    if (op.branch != nullptr) {
      const Unit<T> branch = load_unit(op.branch + begin, at, op.columns, op.whole_rows);
      x = added(op, x, branch, begin + at);
      store_unit(op.sum + begin, at, op.columns, op.whole_rows, x);
    }
#pragma unroll
    for (int i = 0; i < kSize; ++i) sum[0] += x.get(i);  // zeros behind the row's end
  }
  sum_over_group(sum, group, exchange);
  const float first_mean = sum[0] / static_cast<float>(op.columns);
  float deviations[2] = {};
  for (int at = own; at < op.columns; at += kStep) {
    const Unit<T> x = load_unit(summed, at, op.columns, op.whole_rows);
    add_deviations(x, first_mean, op.columns - at, deviations);
  }
  sum_over_group(deviations, group, exchange);
  const Statistics s = statistics(first_mean, deviations, op.columns, op.epsilon);
  for (int at = own; at < op.columns; at += kStep) {
    const Unit<T> x = load_unit(summed, at, op.columns, op.whole_rows);
    const Unit<T> gain = load_unit(op.gain, at, op.columns, op.whole_parameters);
    const Unit<T> bias = load_unit(op.bias, at, op.columns, op.whole_parameters);
    store_unit(op.out + begin, at, op.columns, op.whole_rows, normalised(x, s, gain, bias));
  }
  if (threadIdx.x == 0) {
    op.mean[row] = s.mean;
    op.inv_std[row] = s.inv_std;
  }
}

struct Operands {
  const ConstView& in;
  const ConstView* branch;
  const ConstView& gain;
  const ConstView& bias;
  const View* sum;
  const View& out;
  const View& mean;
  const View& inv_std;
  float epsilon;
  const std::optional<DropoutMask>* mask;
};

template <class T>
Rows<T> rows_of(const Operands& op, RowShape shape) {
  const std::int64_t C = shape.columns;
  const auto whole = [C](const ConstView* view) {
    return view == nullptr || rows_take_units<T>(view->raw(), C);
  };
  const bool dropout = op.mask != nullptr && op.mask->has_value();
  return {.in = static_cast<const T*>(op.in.raw()),
          .branch = op.branch != nullptr ? static_cast<const T*>(op.branch->raw()) : nullptr,
          .gain = static_cast<const T*>(op.gain.raw()),
          .bias = static_cast<const T*>(op.bias.raw()),
          .sum = op.sum != nullptr ? static_cast<T*>(op.sum->raw()) : nullptr,
          .out = static_cast<T*>(op.out.raw()),
          .mean = op.mean.data<float>(),
          .inv_std = op.inv_std.data<float>(),
          .rows = shape.rows,
          .columns = static_cast<int>(C),
          .warps_per_row = static_cast<int>(norm_warps_per_row(C)),
          .rows_per_group = 1,
          .epsilon = op.epsilon,
          .whole_rows = whole(&op.in) && whole(op.branch) && whole(op.sum) && whole(&op.out),
          .whole_parameters =
              rows_take_units<T>(op.gain.raw(), 0) && rows_take_units<T>(op.bias.raw(), 0),
          .dropout = dropout,
          .mask = dropout ? **op.mask : DropoutMask{}};
}

void launch(ExecutionContext& ctx, const char* name, const Operands& op, RowShape shape) {
  const std::int64_t N = shape.rows, C = shape.columns;
  if (N == 0) return;
  dispatch(op.in.dtype(), [&]<class T>() {
    Rows<T> rows = rows_of<T>(op, shape);
    if (!rows.whole_rows || !norm_row_fits_registers(C)) {
      normalise_row_by_block<<<static_cast<unsigned>(N), kNormThreads, 0, stream_of(ctx)>>>(rows);
      return;
    }
    const auto groups = static_cast<int>(kNormWarps) / rows.warps_per_row;
    rows.rows_per_group = N < kFewRows ? 1 : kRowsPerBlock / groups;
    const std::int64_t per_block = std::int64_t{groups} * rows.rows_per_group;
    const auto blocks = static_cast<unsigned>((N + per_block - 1) / per_block);
    const std::size_t units = (static_cast<std::size_t>(C) + Unit<T>::kSize - 1) / Unit<T>::kSize;
    normalise_rows<<<blocks, kNormThreads, 2 * units * sizeof(uint4), stream_of(ctx)>>>(rows);
  });
  check_launch(name);
}

}  // namespace

void layernorm_forward(ExecutionContext& ctx, const LayerNorm& op, RowShape shape) {
  launch(ctx, "layernorm_forward",
         {.in = op.in,
          .branch = nullptr,
          .gain = op.gain,
          .bias = op.bias,
          .sum = nullptr,
          .out = op.out,
          .mean = op.mean,
          .inv_std = op.inv_std,
          .epsilon = op.epsilon,
          .mask = nullptr},
         shape);
}

void residual_layernorm_forward(ExecutionContext& ctx, const ResidualLayerNorm& op,
                                RowShape shape) {
  launch(ctx, "residual_layernorm_forward",
         {.in = op.x,
          .branch = &op.branch,
          .gain = op.gain,
          .bias = op.bias,
          .sum = &op.sum,
          .out = op.normed,
          .mean = op.mean,
          .inv_std = op.inv_std,
          .epsilon = op.epsilon,
          .mask = &op.branch_dropout},
         shape);
}

}  // namespace ovid::kernels::cuda
