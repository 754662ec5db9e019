#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector_access.cuh"
#include "kernels/linear/linear_cuda_passes.cuh"
#include "kernels/linear/linear_cuda_scratch.h"

// Matrices of N rows, M columns. A block of (32, 8) threads owns 128 rows and 32 packs of columns:
// lane x owns the columns of one pack, y the rows y, y + 8, ... of the block. Where rows do not
// take packs, lane x owns the columns x, x + 32, ... instead.
namespace ovid::kernels::cuda {

namespace {

constexpr int kLanes = 32;
constexpr int kRowLanes = 8;

// The columns that a lane owns.
template <class T, bool kPacked>
struct Columns {
  std::int64_t first;  // the lane's
  std::int64_t end;    // M

  static __device__ Columns of_thread(std::int64_t columns) {
    const std::int64_t block = static_cast<std::int64_t>(blockIdx.y) * kLanes * kPack<T>;
    return {block + static_cast<int>(threadIdx.x) * (kPacked ? kPack<T> : 1), columns};
  }
  __device__ std::int64_t column(int i) const { return first + i * (kPacked ? 1 : kLanes); }
  __device__ bool whole() const { return kPacked && first + kPack<T> <= end; }

  __device__ Pack<T> load(const T* row) const {
    if (whole()) return load_pack(row + first);
    Pack<T> pack{};
#pragma unroll
    for (int i = 0; i < kPack<T>; ++i) {
      if (column(i) < end) reinterpret_cast<T*>(&pack.bits)[i] = row[column(i)];
    }
    return pack;
  }
  __device__ void store(T* row, const Pack<T>& pack) const {
    if (whole()) return store_pack(row + first, pack);
#pragma unroll
    for (int i = 0; i < kPack<T>; ++i) {
      if (column(i) < end) row[column(i)] = reinterpret_cast<const T*>(&pack.bits)[i];
    }
  }
};

template <class T>
struct Rows {
  T* data = nullptr;
  std::int64_t stride = 0;
  __device__ T* at(std::int64_t row) const { return data + row * stride; }
};
template <class T>
Rows<const T> rows_of(const ConstView& view) {
  return {static_cast<const T*>(view.raw()), view.row_stride()};
}
template <class T>
Rows<T> rows_of(const View& view) {
  return {static_cast<T*>(view.raw()), view.row_stride()};
}

__device__ std::int64_t first_row() {
  return static_cast<std::int64_t>(blockIdx.x) * kRowsPerPartialSum;
}
__device__ std::int64_t end_row(std::int64_t N) {
  const std::int64_t end = first_row() + kRowsPerPartialSum;
  return end < N ? end : N;
}

template <class T>
struct BiasAndGeluArguments {
  std::int64_t N, M;
  Rows<T> values, out;
  const T* bias;
};

template <class T, bool kPacked>
__global__ void __launch_bounds__(kLanes* kRowLanes)
    bias_and_gelu(const BiasAndGeluArguments<T> op) {
  const auto columns = Columns<T, kPacked>::of_thread(op.M);
  const Pack<T> bias = op.bias != nullptr ? columns.load(op.bias) : Pack<T>{};
  const std::int64_t end = end_row(op.N);
#pragma unroll 2
  for (std::int64_t row = first_row() + threadIdx.y; row < end; row += kRowLanes) {
    Pack<T> u = columns.load(op.values.at(row)), g;
#pragma unroll
    for (int i = 0; i < kPack<T>; ++i) {
      const float sum = u.get(i) + bias.get(i);
      u.set(i, sum);
      g.set(i, gelu(sum));
    }
    if (op.bias != nullptr && op.out.data != op.values.data) {
      columns.store(op.values.at(row), u);
    }
    if (op.out.data != nullptr) columns.store(op.out.at(row), g);
  }
}

template <class T>
struct GradientArguments {
  std::int64_t N, M;
  Rows<const T> d_out, before;
  Rows<T> d_in;
  float* sums;
};

// Shared memory is [y][i][lane]; the distance between the i puts both the lanes that write (32
// neighbours) and the columns that read (4 or 8 neighbours of each i) into 32 different banks.
template <class T>
inline constexpr int kSumStride = kLanes + kLanes / kPack<T>;

template <class T, bool kPacked>
__device__ void store_block_sums(const float (&sums)[kPack<T>], std::int64_t M, float* row) {
  __shared__ float shared[kRowLanes][kPack<T> * kSumStride<T>];
  const int lane = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) shared[y][i * kSumStride<T> + lane] = sums[i];
  __syncthreads();
  constexpr int kColumns = kLanes * kPack<T>;
  const int own = y * kLanes + lane;
  if (own >= kColumns) return;
  const int i = kPacked ? own % kPack<T> : own / kLanes;
  const int owner = kPacked ? own / kPack<T> : own % kLanes;
  float sum = 0.0f;
#pragma unroll
  for (int part = 0; part < kRowLanes; ++part) sum += shared[part][i * kSumStride<T> + owner];
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.y) * kColumns + own;
  if (column < M) row[column] = sum;
}

template <class T, bool kPacked, bool kGelu, bool kSums>
__global__ void __launch_bounds__(kLanes* kRowLanes)
    gradient_and_sums(const GradientArguments<T> op) {
  const auto columns = Columns<T, kPacked>::of_thread(op.M);
  const std::int64_t end = end_row(op.N);
  float sums[kPack<T>] = {};
#pragma unroll 4
  for (std::int64_t row = first_row() + threadIdx.y; row < end; row += kRowLanes) {
    Pack<T> d = columns.load(op.d_out.at(row));
    Pack<T> u{};
    if constexpr (kGelu) u = columns.load(op.before.at(row));
#pragma unroll
    for (int i = 0; i < kPack<T>; ++i) {
      float value = d.get(i);
      if constexpr (kGelu) value *= gelu_derivative(u.get(i));
      if constexpr (kSums) sums[i] += value;
      if constexpr (kGelu) d.set(i, value);
    }
    if constexpr (kGelu) columns.store(op.d_in.at(row), d);
  }
  if constexpr (kSums) store_block_sums<T, kPacked>(sums, op.M, op.sums + blockIdx.x * op.M);
}

// A block owns 32 columns: thread y adds the parts y, y + 8, ..., then thread 0 what they have.
template <class S, class G>
__global__ void __launch_bounds__(kLanes* kRowLanes)
    sum_of_parts(const S* parts, std::int64_t rows, std::int64_t M, G* out, bool accumulates) {
  __shared__ float shared[kRowLanes][kLanes];
  const int lane = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kLanes + lane;
  float sum = 0.0f;
  if (column < M) {
    for (std::int64_t row = y; row < rows; row += kRowLanes)
      sum += to_float(parts[row * M + column]);
  }
  shared[y][lane] = sum;
  __syncthreads();
  if (y != 0 || column >= M) return;
#pragma unroll
  for (int other = 1; other < kRowLanes; ++other) sum += shared[other][lane];
  if (accumulates) sum += to_float(out[column]);
  out[column] = from_float<G>(sum);
}

dim3 grid_of(std::int64_t N, std::int64_t M, int pack) {
  const std::int64_t columns = static_cast<std::int64_t>(kLanes) * pack;
  return {static_cast<unsigned>(linear_row_blocks(N)),
          static_cast<unsigned>((M + columns - 1) / columns)};
}

constexpr dim3 block_shape() {
  return {kLanes, kRowLanes};
}

template <class T>
bool takes_packs(const ConstView& view) {
  return rows_take_packs<T>(view.raw(), view.row_stride());
}

}  // namespace

void add_bias_and_gelu(ExecutionContext& ctx, const BiasAndGelu& op) {
  const std::int64_t N = op.values.rows(), M = op.values.columns();
  if (N == 0 || M == 0) return;
  dispatch(op.values.dtype(), [&]<class T>() {
    BiasAndGeluArguments<T> arguments{
        .N = N, .M = M, .values = rows_of<T>(op.values), .out = {}, .bias = nullptr};
    bool packed = takes_packs<T>(op.values);
    if (op.out) {
      arguments.out = rows_of<T>(*op.out);
      packed = packed && takes_packs<T>(*op.out);
    }
    if (op.bias) {
      arguments.bias = static_cast<const T*>(op.bias->raw());
      packed = packed && rows_take_packs<T>(op.bias->raw(), 0);
    }
    const auto kernel = packed ? bias_and_gelu<T, true> : bias_and_gelu<T, false>;
    kernel<<<grid_of(N, M, kPack<T>), block_shape(), 0, stream_of(ctx)>>>(arguments);
    check_launch("bias_and_gelu");
  });
}

void gelu_gradient_and_sums(ExecutionContext& ctx, const GeluGradientAndSums& op) {
  const std::int64_t N = op.d_out.rows(), M = op.d_out.columns();
  if (N == 0 || M == 0) return;
  dispatch(op.d_out.dtype(), [&]<class T>() {
    GradientArguments<T> arguments{.N = N,
                                   .M = M,
                                   .d_out = rows_of<T>(op.d_out),
                                   .before = {},
                                   .d_in = {},
                                   .sums = op.sums.data()};
    bool packed = takes_packs<T>(op.d_out);
    if (op.before) {
      arguments.before = rows_of<T>(*op.before);
      arguments.d_in = rows_of<T>(*op.d_in);
      packed = packed && takes_packs<T>(*op.before) && takes_packs<T>(*op.d_in);
    }
    auto kernel =
        packed ? gradient_and_sums<T, true, false, true> : gradient_and_sums<T, false, false, true>;
    if (op.before && op.sums.empty()) {
      kernel = packed ? gradient_and_sums<T, true, true, false>
                      : gradient_and_sums<T, false, true, false>;
    } else if (op.before) {
      kernel =
          packed ? gradient_and_sums<T, true, true, true> : gradient_and_sums<T, false, true, true>;
    }
    kernel<<<grid_of(N, M, kPack<T>), block_shape(), 0, stream_of(ctx)>>>(arguments);
    check_launch("gradient_and_sums");
  });
}

void add_parts(ExecutionContext& ctx, const SumOfParts& op) {
  const std::int64_t M = op.out.columns();
  if (M == 0) return;
  const auto blocks = static_cast<unsigned>((M + kLanes - 1) / kLanes);
  const bool accumulates = op.mode == GradientMode::kAccumulate;
  dispatch(op.out.dtype(), [&]<class G>() {
    G* out = static_cast<G*>(op.out.raw());
    if (op.dtype == DType::kFloat32) {
      sum_of_parts<float, G><<<blocks, block_shape(), 0, stream_of(ctx)>>>(
          static_cast<const float*>(op.parts), op.rows, M, out, accumulates);
    } else {
      sum_of_parts<G, G><<<blocks, block_shape(), 0, stream_of(ctx)>>>(
          static_cast<const G*>(op.parts), op.rows, M, out, accumulates);
    }
    check_launch("sum_of_parts");
  });
}

}  // namespace ovid::kernels::cuda
