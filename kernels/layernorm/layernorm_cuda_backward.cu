#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/layernorm/layernorm.h"
#include "kernels/layernorm/layernorm_cuda_rows.cuh"

// The backward pass, in two kernels. In the first a block owns consecutive rows, each of its groups
// an equal part of them; a row's operands are read once, into registers, and each lane sums d_gain
// and d_bias of its columns over all its rows. The block adds its groups' sums in order and leaves
// them in scratch: partial[block][0: d_gain, 1: d_bias][turn][quad of the unit][lane of the group],
// four floats each, so that lanes side by side store side by side. The second kernel adds the
// blocks' sums in order.
namespace ovid::kernels::cuda {

namespace {

constexpr int kQuad = 4;

template <class T>
struct Rows {
  const T* d_out;
  const T* in;
  const T* gain;
  const float* mean;
  const float* inv_std;
  T* d_in;                   // with d_sum: the gradient of the branch
  T* d_sum;                  // null: no residual sum
  float* partial;            // null: neither d_gain nor d_bias is wanted
  std::int64_t partial_row;  // floats
  std::int64_t rows;
  std::int64_t rows_per_group;
  int columns;
  int warps_per_row;
  bool in_registers;
  bool whole_rows;  // rows_take_units
  bool whole_gain;
  bool dropout;
  DropoutMask mask;
};

// Of one row; averages of g = d_out gain and of g z, with z = (in - mean) inv_std.
struct RowNumbers {
  float mean, inv_std, average_g, average_gz;
};

// One unit's part of the sums over rows (d_gain, d_bias) and over the row (sums of g and g z).
template <class T>
__device__ __forceinline__ void add_to_sums(const Unit<T>& d_out, const Unit<T>& in,
                                            const Unit<T>& gain, const RowNumbers& row,
                                            float* d_gain, float* d_bias, float (&sums)[2]) {
#pragma unroll
  for (int i = 0; i < Unit<T>::kSize; ++i) {
    const float d = d_out.get(i), z = (in.get(i) - row.mean) * row.inv_std;
    d_bias[i] += d;
    d_gain[i] = fmaf(d, z, d_gain[i]);
    const float g = d * gain.get(i);
    sums[0] += g;
    sums[1] = fmaf(g, z, sums[1]);
  }
}

// d_in = inv_std (g - average(g) - z average(g z)), plus d_sum where there is one; then d_sum is
// that and d_in its product with the branch's mask. kWhole: rows of whole, aligned units.
template <bool kWhole, class T>
__device__ __forceinline__ void store_gradient(const Rows<T>& op, const Unit<T>& d_out,
                                               const Unit<T>& in, const Unit<T>& gain,
                                               const Unit<T>& d_sum, const RowNumbers& row,
                                               std::int64_t begin, int at, int columns) {
  constexpr int kSize = Unit<T>::kSize;
  float d[kSize];
  Unit<T> whole;
#pragma unroll
  for (int i = 0; i < kSize; ++i) {
    const float z = (in.get(i) - row.mean) * row.inv_std, g = d_out.get(i) * gain.get(i);
    const float centred = fmaf(-z, row.average_gz, g - row.average_g);
    d[i] = fmaf(row.inv_std, centred, d_sum.get(i));
    whole.set(i, d[i]);
  }
  const auto store = [&](T* rows) {
    if constexpr (kWhole) {
      store_whole_unit(rows + begin, at, columns, whole);
    } else {
      store_unit(rows + begin, at, columns, op.whole_rows, whole);
    }
  };
  if (op.d_sum != nullptr) store(op.d_sum);
  if (op.d_in == op.d_sum) return;
  if (op.dropout) {
    float factors[kSize];
    dropout_factors(op.mask, static_cast<std::uint64_t>(begin + at), factors);
#pragma unroll
    for (int i = 0; i < kSize; ++i) whole.set(i, d[i] * factors[i]);
  }
  store(op.d_in);
}

// The groups' sums of this block, added in order, to `partial`. slots: kNormThreads * kNormElements
// floats of shared memory; turns: of the row.
template <class T, int kHeld>
__device__ __forceinline__ void store_block_sums(const float (&sums)[kHeld * Unit<T>::kSize],
                                                 const RowGroup& group, int turns, float4* slots,
                                                 float* partial) {
  constexpr int kQuads = kHeld * Unit<T>::kSize / kQuad;  // of a lane
  const int of_group = kQuads * group.lanes;
  __syncthreads();  // what the slots held before may still be read
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    slots[group.index * of_group + q * group.lanes + group.lane] =
        make_float4(sums[kQuad * q], sums[kQuad * q + 1], sums[kQuad * q + 2], sums[kQuad * q + 3]);
  }
  __syncthreads();
  const int used = turns * (Unit<T>::kSize / kQuad) * group.lanes;
  for (int i = static_cast<int>(threadIdx.x); i < used; i += kNormThreads) {
    float4 sum = slots[i];
    for (int g = 1; g < group.count; ++g) {
      const float4 next = slots[g * of_group + i];
      sum = make_float4(sum.x + next.x, sum.y + next.y, sum.z + next.z, sum.w + next.w);
    }
    reinterpret_cast<float4*>(partial)[i] = sum;
  }
}

// kHeld: turns that registers hold, kTurns or fewer.
template <class T, int kHeld>
__global__ void __launch_bounds__(kNormThreads) gradient_rows(const Rows<T> op) {
  constexpr int kSize = Unit<T>::kSize;
  // The gain's units, and at the end the slots of store_block_sums.
  __shared__ uint4 shared[kNormThreads * kNormElements * sizeof(float) / sizeof(uint4)];
  __shared__ float exchange[kNormWarps * 2];
  const int units = (op.columns + kSize - 1) / kSize;
  for (int u = static_cast<int>(threadIdx.x); u < units; u += kNormThreads) {
    shared[u] = load_unit(op.gain, u * kSize, op.columns, op.whole_gain).bits;
  }
  __syncthreads();
  const RowGroup group(op.warps_per_row);
  const std::int64_t first =
      (static_cast<std::int64_t>(blockIdx.x) * group.count + group.index) * op.rows_per_group;
  const int warp_lane = static_cast<int>(threadIdx.x) % kWarp;
  float d_gain[kHeld * kSize] = {}, d_bias[kHeld * kSize] = {};
  float means = 0.0f, inv_stds = 0.0f;  // of 32 rows, one in each lane
  for (std::int64_t k = 0; k < op.rows_per_group; ++k) {
    const int lane_of_row = static_cast<int>(k % kWarp);
    if (lane_of_row == 0) {
      const std::int64_t row = first + k + warp_lane;
      const bool owned = k + warp_lane < op.rows_per_group && row < op.rows;
      means = owned ? op.mean[row] : 0.0f;
      inv_stds = owned ? op.inv_std[row] : 0.0f;
    }
    // Behind the last row all is zero, and adds nothing.
    const int columns = first + k < op.rows ? op.columns : 0;
    const std::int64_t begin = (first + k) * op.columns;
    RowNumbers row{.mean = __shfl_sync(kAllLanes, means, lane_of_row),
                   .inv_std = __shfl_sync(kAllLanes, inv_stds, lane_of_row)};
    Unit<T> d_out[kHeld], in[kHeld], d_sum[kHeld];
#pragma unroll
    for (int t = 0; t < kHeld; ++t) {
      const int at = (t * group.lanes + group.lane) * kSize;
      d_out[t] = load_whole_unit(op.d_out + begin, at, columns);
      in[t] = load_whole_unit(op.in + begin, at, columns);
      d_sum[t] = load_whole_unit(op.d_sum + begin, at, op.d_sum != nullptr ? columns : 0);
    }
    float sums[2] = {};
#pragma unroll
    for (int t = 0; t < kHeld; ++t) {
      const int u = t * group.lanes + group.lane;
      if (u * kSize >= columns) continue;
      add_to_sums(d_out[t], in[t], Unit<T>{shared[u]}, row, d_gain + t * kSize, d_bias + t * kSize,
                  sums);
    }
    sum_over_group(sums, group, exchange);
    row.average_g = sums[0] / static_cast<float>(op.columns);
    row.average_gz = sums[1] / static_cast<float>(op.columns);
#pragma unroll
    for (int t = 0; t < kHeld; ++t) {
      const int u = t * group.lanes + group.lane;
      if (u * kSize >= columns) continue;
      store_gradient<true>(op, d_out[t], in[t], Unit<T>{shared[u]}, d_sum[t], row, begin, u * kSize,
                           columns);
    }
  }
  if (op.partial == nullptr) return;
  const int turns = (units + group.lanes - 1) / group.lanes;
  float* const partial = op.partial + static_cast<std::int64_t>(blockIdx.x) * 2 * op.partial_row;
  auto* const slots = reinterpret_cast<float4*>(shared);
  store_block_sums<T, kHeld>(d_gain, group, turns, slots, partial);
  store_block_sums<T, kHeld>(d_bias, group, turns, slots, partial + op.partial_row);
}

// Any rows, one after the other by the whole block: each is read twice, and the sums over rows grow
// in scratch, where every thread touches its own alone.
template <class T>
__global__ void __launch_bounds__(kNormThreads) gradient_rows_by_block(const Rows<T> op) {
  constexpr int kSize = Unit<T>::kSize, kQuads = kSize / kQuad;
  __shared__ float exchange[kNormWarps * 2];
  const RowGroup group(static_cast<int>(kNormWarps));
  const std::int64_t first = blockIdx.x * op.rows_per_group;
  const std::int64_t end = min(first + op.rows_per_group, op.rows);
  float* const partial = op.partial + static_cast<std::int64_t>(blockIdx.x) * 2 * op.partial_row;
  for (std::int64_t n = first; n < end; ++n) {
    RowNumbers row{.mean = op.mean[n], .inv_std = op.inv_std[n]};
    const std::int64_t begin = n * op.columns;
    float sums[2] = {};
#pragma unroll 1
    for (int t = 0; (t * group.lanes + group.lane) * kSize < op.columns; ++t) {
      const int at = (t * group.lanes + group.lane) * kSize;
      float sum[2][kSize] = {};  // of d_gain and of d_bias
      auto* const slots =
          reinterpret_cast<float4*>(partial) + t * kQuads * group.lanes + group.lane;
      const std::int64_t to_bias = op.partial_row / kQuad;
#pragma unroll
      for (int q = 0; q < 2 * kQuads; ++q) {
        float* const from = sum[q / kQuads] + q % kQuads * kQuad;
        if (n > first && op.partial != nullptr) {
          *reinterpret_cast<float4*>(from) = slots[q / kQuads * to_bias + q % kQuads * group.lanes];
        }
      }
      const Unit<T> d_out = load_unit(op.d_out + begin, at, op.columns, op.whole_rows);
      const Unit<T> in = load_unit(op.in + begin, at, op.columns, op.whole_rows);
      const Unit<T> gain = load_unit(op.gain, at, op.columns, op.whole_gain);
      add_to_sums(d_out, in, gain, row, sum[0], sum[1], sums);
#pragma unroll
      for (int q = 0; q < 2 * kQuads; ++q) {
        if (op.partial == nullptr) break;
        const float* const from = sum[q / kQuads] + q % kQuads * kQuad;
        slots[q / kQuads * to_bias + q % kQuads * group.lanes] =
            make_float4(from[0], from[1], from[2], from[3]);
      }
    }
    sum_over_group(sums, group, exchange);
    row.average_g = sums[0] / static_cast<float>(op.columns);
    row.average_gz = sums[1] / static_cast<float>(op.columns);
#pragma unroll 1
    for (int t = 0; (t * group.lanes + group.lane) * kSize < op.columns; ++t) {
      const int at = (t * group.lanes + group.lane) * kSize;
      const Unit<T> d_out = load_unit(op.d_out + begin, at, op.columns, op.whole_rows);
      const Unit<T> in = load_unit(op.in + begin, at, op.columns, op.whole_rows);
      const Unit<T> gain = load_unit(op.gain, at, op.columns, op.whole_gain);
      const Unit<T> d_sum =
          load_unit(op.d_sum + begin, at, op.d_sum != nullptr ? op.columns : 0, op.whole_rows);
      store_gradient<false>(op, d_out, in, gain, d_sum, row, begin, at, op.columns);
    }
  }
}

// Where the second kernel finds and leaves its sums.
struct BlockSums {
  const float* partial;
  std::int64_t partial_row;  // floats
  int blocks;
  int columns;
  int unit;   // columns of one
  int lanes;  // of a group
};

constexpr int kSlices = 16;

// Adds the sums of all blocks: thread (q, s) those of four columns from blocks s, s + 16, ...; then
// the 16 sums in order. blockIdx.y: 0 is d_gain, 1 d_bias; of these one may be null.
template <class G>
__global__ void __launch_bounds__(kWarp* kSlices)
    add_blocks(const BlockSums sums, G* d_gain, G* d_bias, bool whole, bool accumulate) {
  __shared__ float4 slices[kSlices][kWarp];
  const int column = (static_cast<int>(blockIdx.x) * kWarp + static_cast<int>(threadIdx.x)) * kQuad;
  const bool bias = blockIdx.y == 1;
  G* const gradient = bias ? d_bias : d_gain;
  if (gradient == nullptr) return;
  float4 sum{};
  if (column < sums.columns) {
    const int unit = column / sums.unit, quad = column % sums.unit / kQuad;
    const int slot =
        (unit / sums.lanes * (sums.unit / kQuad) + quad) * sums.lanes + unit % sums.lanes;
    const float* at = sums.partial + (bias ? sums.partial_row : 0) + slot * kQuad;
#pragma unroll 4
    for (int b = static_cast<int>(threadIdx.y); b < sums.blocks; b += kSlices) {
      const float4 next = *reinterpret_cast<const float4*>(at + 2 * b * sums.partial_row);
      sum = make_float4(sum.x + next.x, sum.y + next.y, sum.z + next.z, sum.w + next.w);
    }
  }
  slices[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0) return;
  for (int s = 1; s < kSlices; ++s) {
    const float4 next = slices[s][threadIdx.x];
    sum = make_float4(sum.x + next.x, sum.y + next.y, sum.z + next.z, sum.w + next.w);
  }
  Unit<G, kQuad> before{};
  if (accumulate) before = load_unit<G, kQuad>(gradient, column, sums.columns, whole);
  Unit<G, kQuad> result;
  result.set(0, before.get(0) + sum.x);
  result.set(1, before.get(1) + sum.y);
  result.set(2, before.get(2) + sum.z);
  result.set(3, before.get(3) + sum.w);
  store_unit(gradient, column, sums.columns, whole, result);
}

// The operands of both ops; without a residual sum d_sum is null.
struct Operands {
  const ConstView& d_out;
  const ConstView& in;
  const ConstView& gain;
  const ConstView& mean;
  const ConstView& inv_std;
  const View& d_in;
  const View* d_sum;
  const std::optional<View>& d_gain;
  const std::optional<View>& d_bias;
  GradientMode mode;
  std::optional<DropoutMask> mask = std::nullopt;
};

template <class T>
Rows<T> rows_of(const Operands& op, RowShape shape, float* partial) {
  const std::int64_t N = shape.rows, C = shape.columns;
  const auto whole = [C](const ConstView& view) { return rows_take_units<T>(view.raw(), C); };
  const bool whole_rows = whole(op.d_out) && whole(op.in) && whole(op.d_in) &&
                          (op.d_sum == nullptr || whole(*op.d_sum));
  const bool in_registers = whole_rows && norm_row_fits_registers(C);
  const std::int64_t warps = in_registers ? norm_warps_per_row(C) : kNormWarps;
  return {.d_out = static_cast<const T*>(op.d_out.raw()),
          .in = static_cast<const T*>(op.in.raw()),
          .gain = static_cast<const T*>(op.gain.raw()),
          .mean = op.mean.data<float>(),
          .inv_std = op.inv_std.data<float>(),
          .d_in = static_cast<T*>(op.d_in.raw()),
          .d_sum = op.d_sum != nullptr ? static_cast<T*>(op.d_sum->raw()) : nullptr,
          .partial = partial,
          .partial_row = norm_partial_row(C, sizeof(T)),
          .rows = N,
          .rows_per_group = norm_gradient_rows_per_block(N, C) * warps / kNormWarps,
          .columns = static_cast<int>(C),
          .warps_per_row = static_cast<int>(warps),
          .in_registers = in_registers,
          .whole_rows = whole_rows,
          .whole_gain = rows_take_units<T>(op.gain.raw(), 0),
          .dropout = op.mask.has_value(),
          .mask = op.mask.value_or(DropoutMask{})};
}

void add_block_sums(ExecutionContext& ctx, const Operands& op, const BlockSums& sums) {
  const auto across = static_cast<unsigned>((sums.columns + kQuad * kWarp - 1) / (kQuad * kWarp));
  void* const d_gain = op.d_gain ? op.d_gain->raw() : nullptr;
  void* const d_bias = op.d_bias ? op.d_bias->raw() : nullptr;
  dispatch(op.d_gain ? op.d_gain->dtype() : op.d_bias->dtype(), [&]<class G>() {
    const bool whole = rows_take_units<G, kQuad>(d_gain, 0) && rows_take_units<G, kQuad>(d_bias, 0);
    add_blocks<<<dim3(across, 2), dim3(kWarp, kSlices), 0, stream_of(ctx)>>>(
        sums, static_cast<G*>(d_gain), static_cast<G*>(d_bias), whole,
        op.mode == GradientMode::kAccumulate);
  });
}

void launch(ExecutionContext& ctx, const char* name, const Operands& op, RowShape shape) {
  const std::int64_t N = shape.rows, C = shape.columns;
  const std::size_t element_bytes = bytes_of(op.in.dtype());
  const std::int64_t blocks = norm_gradient_blocks(N, C);
  const std::int64_t partial_row = norm_partial_row(C, element_bytes);
  ScratchFrame scratch(ctx);
  const bool wants_sums = op.d_gain || op.d_bias;
  float* const partial =
      wants_sums ? scratch.take<float>(2 * blocks * partial_row).data() : nullptr;
  BlockSums sums{.partial = partial,
                 .partial_row = partial_row,
                 .blocks = static_cast<int>(blocks),
                 .columns = static_cast<int>(C),
                 .unit = static_cast<int>(kNormUnitBytes / static_cast<int>(element_bytes)),
                 .lanes = kWarp};
  if (blocks > 0) {
    dispatch(op.in.dtype(), [&]<class T>() {
      const Rows<T> rows = rows_of<T>(op, shape, partial);
      sums.lanes = rows.warps_per_row * kWarp;
      constexpr int kFewer = kTurns<T> / 4 * 3;  // all of GPT-2's 768 columns
      const auto kernel = !rows.in_registers                          ? gradient_rows_by_block<T>
                          : C <= kFewer * sums.lanes * Unit<T>::kSize ? gradient_rows<T, kFewer>
                                                                      : gradient_rows<T, kTurns<T>>;
      kernel<<<static_cast<unsigned>(blocks), kNormThreads, 0, stream_of(ctx)>>>(rows);
    });
    check_launch(name);
  }
  if (!wants_sums) return;
  add_block_sums(ctx, op, sums);
  check_launch(name);
}

}  // namespace

void layernorm_backward(ExecutionContext& ctx, const LayerNormGradient& op, RowShape shape) {
  launch(ctx, "layernorm_backward",
         {.d_out = op.d_out,
          .in = op.in,
          .gain = op.gain,
          .mean = op.mean,
          .inv_std = op.inv_std,
          .d_in = op.d_in,
          .d_sum = nullptr,
          .d_gain = op.d_gain,
          .d_bias = op.d_bias,
          .mode = op.d_gain_mode},
         shape);
}

void residual_layernorm_backward(ExecutionContext& ctx, const ResidualLayerNormGradient& op,
                                 RowShape shape) {
  launch(ctx, "residual_layernorm_backward",
         {.d_out = op.d_normed,
          .in = op.sum,
          .gain = op.gain,
          .mean = op.mean,
          .inv_std = op.inv_std,
          .d_in = op.d_branch,
          .d_sum = &op.d_sum,
          .d_gain = op.d_gain,
          .d_bias = op.d_bias,
          .mode = op.d_gain_mode,
          .mask = op.branch_dropout},
         shape);
}

}  // namespace ovid::kernels::cuda
