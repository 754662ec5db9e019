#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector_access.cuh"
#include "kernels/linear/linear_cuda_rows.cuh"

// Products for decoding. N rows of K, weight of K by M. A block owns up to 8 rows (grid y) and some
// columns (grid x), all of K: it reads its part of the weight once, in packs of 16 bytes. Which
// thread adds which k, and the tree that joins the threads' sums, follow from K alone, so that a
// row's bits depend neither on the others nor on how many there are.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kMostRows = 8;

template <class T>
struct Arguments {
  std::int64_t N, K, M;
  const T* in;
  std::int64_t in_stride;
  const T* weight;
  std::int64_t weight_stride;
  const T* bias;
  T* values;
  std::int64_t values_stride;
  T* gelu;
  std::int64_t gelu_stride;
};

// Elements [first, first + kPack) of a row that ends at `end`, 0 behind it.
template <class T, bool kPacked>
__device__ __forceinline__ Pack<T> load_group(const T* row, std::int64_t first, std::int64_t end) {
  if (kPacked && first + kPack<T> <= end) return load_pack(row + first);
  Pack<T> pack{};
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) {
    if (first + i < end) reinterpret_cast<T*>(&pack.bits)[i] = row[first + i];
  }
  return pack;
}

// Rows of `in` from first_row on; rows behind the last are 0.
template <class T, int R, bool kPacked>
__device__ __forceinline__ void load_rows(const Arguments<T>& op, std::int64_t first_row,
                                          std::int64_t k, Pack<T> (&x)[R]) {
#pragma unroll
  for (int r = 0; r < R; ++r) {
    x[r] = first_row + r < op.N
               ? load_group<T, kPacked>(op.in + (first_row + r) * op.in_stride, k, op.K)
               : Pack<T>{};
  }
}

// Adds the lanes' values over the lanes whose numbers differ in the bits kLowest to 16, in a tree
// that is the same for every kCount. A step halves the values that a lane keeps; when one is left,
// all lanes keep it. The lane's values are then those from the returned index on.
template <int kDistance, int kLowest, int kCount>
__device__ __forceinline__ int add_lanes(float* values) {
  if constexpr (kDistance < kLowest) {
    return 0;
  } else if constexpr (kCount == 1) {
    values[0] += __shfl_xor_sync(kAllLanes, values[0], kDistance);
    return add_lanes<kDistance / 2, kLowest, 1>(values);
  } else {
    constexpr int kHalf = kCount / 2;
    const bool upper = (threadIdx.x & kDistance) != 0;
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      const float other =
          __shfl_xor_sync(kAllLanes, upper ? values[i] : values[i + kHalf], kDistance);
      values[i] = (upper ? values[i + kHalf] : values[i]) + other;
    }
    return (upper ? kHalf : 0) + add_lanes<kDistance / 2, kLowest, kHalf>(values);
  }
}
// Steps from distance 16 down to kLowest.
constexpr int number_of_steps(int lowest) {
  int steps = 0;
  for (int distance = 16; distance >= lowest; distance /= 2) ++steps;
  return steps;
}
// How many values add_lanes leaves to a lane.
constexpr int values_left(int count, int lowest) {
  const int left = count >> number_of_steps(lowest);
  return left > 0 ? left : 1;
}
// Whether this lane is the first of those that add_lanes leaves with the same values.
template <int kLowest, int kCount>
__device__ __forceinline__ bool is_first_holder() {
  int mask = 0;
  int count = kCount;
#pragma unroll
  for (int distance = 16; distance >= kLowest; distance /= 2) {
    if (count == 1) mask |= distance;
    count = count > 1 ? count / 2 : 1;
  }
  return (static_cast<int>(threadIdx.x) & mask) == 0;
}

template <class T>
__device__ __forceinline__ void store_result(const Arguments<T>& op, std::int64_t row,
                                             std::int64_t column, float sum) {
  if (row >= op.N || column >= op.M) return;
  if (op.bias != nullptr) sum += to_float(op.bias[column]);
  if (op.gelu != op.values) op.values[row * op.values_stride + column] = from_float<T>(sum);
  if (op.gelu != nullptr) op.gelu[row * op.gelu_stride + column] = from_float<T>(gelu(sum));
}

// W is (K, M). A block owns 16 columns: a thread a pack of them, and of each round over K (2 KiB of
// a row of `in`, or 1 KiB of float32) the k of one pack: it multiplies a square of the weight.
template <class T>
inline constexpr int kColumns = 16;

template <class T, int R, bool kPacked>
__global__ void __launch_bounds__(kThreads) rows_by_in_out(const Arguments<T> op) {
  constexpr int kSide = kPack<T>, kColumnPacks = kColumns<T> / kSide;
  constexpr int kSumLanes = kThreads / kColumnPacks;
  const int column_pack = static_cast<int>(threadIdx.x) % kColumnPacks;
  const std::int64_t block_column = static_cast<std::int64_t>(blockIdx.x) * kColumns<T>;
  const std::int64_t column = block_column + column_pack * kSide;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.y) * R;
  float sums[R * kSide] = {};
  for (std::int64_t k = static_cast<int>(threadIdx.x) / kColumnPacks * kSide; k < op.K;
       k += kSumLanes * kSide) {
    Pack<T> w[kSide], x[R];
#pragma unroll
    for (int j = 0; j < kSide; ++j) {
      w[j] = k + j < op.K
                 ? load_group<T, kPacked>(op.weight + (k + j) * op.weight_stride, column, op.M)
                 : Pack<T>{};
    }
    load_rows<T, R, kPacked>(op, first_row, k, x);
#pragma unroll
    for (int j = 0; j < kSide; ++j) {
#pragma unroll
      for (int r = 0; r < R; ++r) {
        const float factor = x[r].get(j);
#pragma unroll
        for (int i = 0; i < kSide; ++i) {
          sums[r * kSide + i] = fmaf(factor, w[j].get(i), sums[r * kSide + i]);
        }
      }
    }
  }
  // A lane is left with kLeft values, from `first` = kLeft g on; value i lies at [i][pack][g],
  // where the distance between the i puts writers and readers into different banks.
  constexpr int kLeft = values_left(R * kSide, kColumnPacks);
  constexpr int kGroups = R * kSide / kLeft, kStride = kWarp + kSide / 2;
  __shared__ float shared[kWarps][kLeft * kStride];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int first = add_lanes<16, kColumnPacks, R * kSide>(sums);
  if (is_first_holder<kColumnPacks, R * kSide>()) {
#pragma unroll
    for (int i = 0; i < kLeft; ++i) {
      shared[warp][i * kStride + column_pack * kGroups + first / kLeft] = sums[i];
    }
  }
  __syncthreads();
  const int own = static_cast<int>(threadIdx.x);
  if (own >= R * kColumns<T>) return;
  const int r = own / kColumns<T>, c = own % kColumns<T>;
  const int value = r * kSide + c % kSide;
  const int place = value % kLeft * kStride + c / kSide * kGroups + value / kLeft;
  float sum = 0.0f;
#pragma unroll
  for (int part = 0; part < kWarps; ++part) sum += shared[part][place];
  store_result(op, first_row + r, block_column + c, sum);
}

// W is (M, K). A warp owns 4 rows of it, hence 4 columns of the result; a lane every 32nd pack of
// K.
constexpr int kWeightRows = 4;

template <class T, int R, bool kPacked>
__global__ void __launch_bounds__(kThreads) rows_by_out_in(const Arguments<T> op) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t block_column = static_cast<std::int64_t>(blockIdx.x) * kWarps * kWeightRows;
  const std::int64_t column = block_column + warp * kWeightRows;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.y) * R;
  float sums[R * kWeightRows] = {};
  for (std::int64_t k = lane * kPack<T>; k < op.K; k += kWarp * kPack<T>) {
    Pack<T> w[kWeightRows], x[R];
#pragma unroll
    for (int q = 0; q < kWeightRows; ++q) {
      w[q] = column + q < op.M
                 ? load_group<T, kPacked>(op.weight + (column + q) * op.weight_stride, k, op.K)
                 : Pack<T>{};
    }
    load_rows<T, R, kPacked>(op, first_row, k, x);
#pragma unroll
    for (int j = 0; j < kPack<T>; ++j) {
#pragma unroll
      for (int r = 0; r < R; ++r) {
#pragma unroll
        for (int q = 0; q < kWeightRows; ++q) {
          sums[r * kWeightRows + q] = fmaf(x[r].get(j), w[q].get(j), sums[r * kWeightRows + q]);
        }
      }
    }
  }
  // The distance between warps puts the columns of a row into different banks.
  constexpr int kStride = kWarp + kWeightRows;
  __shared__ float shared[kWarps][kStride];
  const int first = add_lanes<16, 1, R * kWeightRows>(sums);  // one value is left
  if (is_first_holder<1, R * kWeightRows>()) {
    shared[warp][first] = sums[0];
  }
  __syncthreads();
  const int own = static_cast<int>(threadIdx.x);
  if (own >= R * kWarps * kWeightRows) return;
  const int r = own / (kWarps * kWeightRows), c = own % (kWarps * kWeightRows);
  store_result(op, first_row + r, block_column + c,
               shared[c / kWeightRows][r * kWeightRows + c % kWeightRows]);
}

template <class T, int R, bool kPacked>
void launch(ExecutionContext& ctx, const Arguments<T>& op, WeightLayout layout) {
  const bool in_out = layout == WeightLayout::kInOut;
  const int columns = in_out ? kColumns<T> : kWarps * kWeightRows;
  const dim3 grid(static_cast<unsigned>((op.M + columns - 1) / columns),
                  static_cast<unsigned>((op.N + R - 1) / R));
  const auto kernel = in_out ? rows_by_in_out<T, R, kPacked> : rows_by_out_in<T, R, kPacked>;
  kernel<<<grid, kThreads, 0, stream_of(ctx)>>>(op);
  check_launch(in_out ? "rows_by_in_out" : "rows_by_out_in");
}

template <class T>
Arguments<T> arguments_of(const RowsProduct& op) {
  return {.N = op.shape.rows,
          .K = op.shape.in_columns,
          .M = op.shape.out_columns,
          .in = static_cast<const T*>(op.in.raw()),
          .in_stride = op.in.row_stride(),
          .weight = static_cast<const T*>(op.weight.raw()),
          .weight_stride = op.weight.row_stride(),
          .bias = op.bias ? static_cast<const T*>(op.bias->raw()) : nullptr,
          .values = static_cast<T*>(op.values.raw()),
          .values_stride = op.values.row_stride(),
          .gelu = op.gelu ? static_cast<T*>(op.gelu->raw()) : nullptr,
          .gelu_stride = op.gelu ? op.gelu->row_stride() : 0};
}

// The grid's limit in y.
constexpr std::int64_t kMostRowsOfGrid = 65535LL * kMostRows;

}  // namespace

void multiply_rows(ExecutionContext& ctx, const RowsProduct& op) {
  if (op.shape.rows == 0 || op.shape.out_columns == 0) return;
  if (op.shape.rows > kMostRowsOfGrid) {
    throw ShapeError("linear_forward: " + std::to_string(op.shape.rows) +
                     " rows with row_independent, expected at most " +
                     std::to_string(kMostRowsOfGrid) + "; take them in parts");
  }
  dispatch(op.in.dtype(), [&]<class T>() {
    const Arguments<T> arguments = arguments_of<T>(op);
    const bool packed = rows_take_packs<T>(op.in.raw(), op.in.row_stride()) &&
                        rows_take_packs<T>(op.weight.raw(), op.weight.row_stride());
    if (!packed) return launch<T, kMostRows, false>(ctx, arguments, op.layout);
    if (op.shape.rows == 1) return launch<T, 1, true>(ctx, arguments, op.layout);
    launch<T, kMostRows, true>(ctx, arguments, op.layout);
  });
}

}  // namespace ovid::kernels::cuda
