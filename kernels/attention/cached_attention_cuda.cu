#include <cmath>
#include <limits>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_cuda_scratch.h"
#include "kernels/cuda/approximate.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector_access.cuh"

// Attention over the cache. First all rows' k and v are written to it. Then a block owns 128 cached
// positions (a part) of one row and head: scores, their maximum and exponentials, weighted sum of
// values. With more parts than one, a third kernel joins those that the row sees, in order; parts
// begin at fixed positions, so a row's bits do not depend on its neighbours or on the cache.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 128;
constexpr int kPart = static_cast<int>(kCachedPositionsOfPart);
static_assert(kPart == kThreads, "a thread has the exponential of one position");
constexpr float kLog2E = 1.4426950408889634f;

template <class T>
struct Operands {
  const T* qkv;                   // (N, 3C)
  const std::int32_t* sequences;  // (N)
  const std::int32_t* positions;  // (N)
  T* keys;                        // (S, P, C)
  T* values;                      // (S, P, C)
  T* out;                         // (N, C)
  // (rows at once, H, parts): D weighted values, a maximum times scale log2(e), a sum; null for one
  // part
  float* parts;
  std::int64_t cache_sequences, cache_positions, C;
  int head_width, lanes;
  float scale_log2;
};

// The place of row n, which the host has not seen. A row outside of the cache changes nothing
// there; its result is NaN.
struct Place {
  std::int64_t sequence, position;
  bool inside;
};
template <class T>
__device__ __forceinline__ Place place_of(const Operands<T>& op, std::int64_t n) {
  const std::int64_t sequence = op.sequences[n], position = op.positions[n];
  return {sequence, position,
          sequence >= 0 && sequence < op.cache_sequences && position >= 0 &&
              position < op.cache_positions};
}

// Block (piece of a row, row): k and v of the row to the cache.
template <class T, bool kPacks>
__global__ void __launch_bounds__(kThreads) write_cache(const Operands<T> op) {
  constexpr int kColumns = kPacks ? kPack<T> : 1;
  const std::int64_t n = blockIdx.x;
  const Place place = place_of(op, n);
  const std::int64_t column =
      (static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x) * kColumns;
  if (!place.inside || column >= op.C) return;
  const T* from = op.qkv + n * 3 * op.C + column;
  const std::int64_t to = (place.sequence * op.cache_positions + place.position) * op.C + column;
  if constexpr (kPacks) {
    store_pack(op.keys + to, load_pack(from + op.C));
    store_pack(op.values + to, load_pack(from + 2 * op.C));
  } else {
    op.keys[to] = from[op.C];
    op.values[to] = from[2 * op.C];
  }
}

// The maximum over the part's positions, the sum of exponentials, and p[position]. Groups of
// `lanes` threads take a position at a time; a lane holds kColumns columns at lane kColumns, and of
// wide heads every kColumns lanes-th further.
template <class T, bool kPacks>
__device__ __forceinline__ void weigh_positions(const Operands<T>& op, const T* q, const T* keys,
                                                int count, float* p, float& largest, float& sum) {
  constexpr int kColumns = kPacks ? kPack<T> : 1;
  __shared__ float partials[kWarp + 1];
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % op.lanes, groups = kThreads / op.lanes;
  // The same number of turns for all: whole warps exchange sums.
  for (int first = 0; first < count; first += groups) {
    const int position = first + thread / op.lanes;
    float score = 0.0f;
    if (position < count) {
      const T* key = keys + position * op.C;
      for (int column = lane * kColumns; column < op.head_width; column += op.lanes * kColumns) {
        if constexpr (kPacks) {
          const Pack<T> a = load_pack(q + column), b = load_pack(key + column);
#pragma unroll
          for (int i = 0; i < kColumns; ++i) score = fmaf(a.get(i), b.get(i), score);
        } else {
          score = fmaf(to_float(q[column]), to_float(key[column]), score);
        }
      }
    }
    for (int distance = op.lanes / 2; distance > 0; distance /= 2) {
      score += __shfl_xor_sync(kAllLanes, score, distance);
    }
    if (lane == 0 && position < count) p[position] = score * op.scale_log2;
  }
  __syncthreads();
  const float score = thread < count ? p[thread] : Max::identity();
  largest = block_reduce(score, Max{}, partials);
  const float e = exp2_approximate(score - largest);
  p[thread] = e;
  sum = block_reduce(e, Sum{}, partials);  // its barriers show p to all
}

// Of one of a pack's columns, for all threads: 32 consecutive columns lie in 32 banks.
template <class T>
constexpr int kSharedStride = kThreads + kWarp / kPack<T>;

// Each thread's share of the sums of p[j] values[j]: groups of lanes take every groups-th position.
template <class T>
__device__ __forceinline__ void add_values_by_packs(const Operands<T>& op, const T* values,
                                                    int count, const float* p, float* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % op.lanes, group = thread / op.lanes, groups = kThreads / op.lanes;
  float sums[kPack<T>] = {};
  const bool has_columns = lane * kPack<T> < op.head_width;
  for (int j = group; has_columns && j < count; j += groups) {
    const Pack<T> v = load_pack(values + j * op.C + lane * kPack<T>);
#pragma unroll
    for (int i = 0; i < kPack<T>; ++i) sums[i] = fmaf(p[j], v.get(i), sums[i]);
  }
  // Neighbours write neighbouring words, and read such that are this far apart.
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) shared[i * kSharedStride<T> + thread] = sums[i];
}

// Block (part, head, row): `first_row` is row 0 of this launch.
template <class T, bool kPacks>
__global__ void __launch_bounds__(kThreads)
    attend_to_part(const Operands<T> op, std::int64_t first_row) {
  __shared__ float p[kPart];
  __shared__ float shared[kPacks ? kSharedStride<T> * kPack<T> : 1];
  const std::int64_t n = first_row + blockIdx.z, head = blockIdx.y;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kPart;
  const int thread = static_cast<int>(threadIdx.x), D = op.head_width;
  const Place place = place_of(op, n);
  T* out = op.out + n * op.C + head * D;
  if (!place.inside) {
    if (op.parts == nullptr) {
      for (int c = thread; c < D; c += kThreads) out[c] = from_float<T>(NAN);
    }
    return;
  }
  if (first > place.position) return;
  const auto count = static_cast<int>(min(place.position + 1 - first, std::int64_t{kPart}));
  const std::int64_t cached = (place.sequence * op.cache_positions + first) * op.C + head * D;
  float largest, sum;
  weigh_positions<T, kPacks>(op, op.qkv + n * 3 * op.C + head * D, op.keys + cached, count, p,
                             largest, sum);
  if constexpr (kPacks) {
    add_values_by_packs(op, op.values + cached, count, p, shared);
    __syncthreads();
  }
  float* part =
      op.parts == nullptr
          ? nullptr
          : op.parts + ((blockIdx.z * static_cast<std::int64_t>(gridDim.y) + head) * gridDim.x +
                        blockIdx.x) *
                           cached_attention_floats_of_part(D);
  if (part != nullptr && thread < 2) part[D + thread] = thread == 0 ? largest : sum;
  for (int c = thread; c < D; c += kThreads) {
    float total = 0.0f;
    if constexpr (kPacks) {
      const int groups = kThreads / op.lanes;
      for (int group = 0; group < groups; ++group) {
        total += shared[c % kPack<T> * kSharedStride<T> + group * op.lanes + c / kPack<T>];
      }
    } else {
      const T* values = op.values + cached + c;
      for (int j = 0; j < count; ++j) total = fmaf(p[j], to_float(values[j * op.C]), total);
    }
    if (part != nullptr) {
      part[c] = total;
    } else {
      out[c] = from_float<T>(total * (1.0f / sum));
    }
  }
}

// Block (head, row): joins the parts that the row sees.
template <class T>
__global__ void __launch_bounds__(kThreads)
    join_parts(const Operands<T> op, std::int64_t first_row, int parts) {
  const std::int64_t n = first_row + blockIdx.y, head = blockIdx.x;
  const int D = op.head_width;
  const Place place = place_of(op, n);
  T* out = op.out + n * op.C + head * D;
  const int seen = place.inside ? static_cast<int>(place.position / kPart) + 1 : 0;
  const float* part = op.parts + (blockIdx.y * static_cast<std::int64_t>(gridDim.x) + head) *
                                     parts * cached_attention_floats_of_part(D);
  const auto stride = static_cast<int>(cached_attention_floats_of_part(D));
  float largest = Max::identity();
  for (int i = 0; i < seen; ++i) largest = fmaxf(largest, part[i * stride + D]);
  for (int c = static_cast<int>(threadIdx.x); c < D; c += kThreads) {
    float sum = 0.0f, total = 0.0f;
    for (int i = 0; i < seen; ++i) {
      const float weight = exp2_approximate(part[i * stride + D] - largest);
      sum = fmaf(weight, part[i * stride + D + 1], sum);
      total = fmaf(weight, part[i * stride + c], total);
    }
    out[c] = from_float<T>(place.inside ? total * (1.0f / sum) : NAN);
  }
}

// Packs need whole ones in a head, and one for each lane.
template <class T>
bool takes_packs(const CachedAttention& op, const CachedAttentionShape& shape) {
  const std::int64_t D = shape.head_width;
  return rows_take_packs<T>(op.qkv.raw(), D) && rows_take_packs<T>(op.keys.raw(), D) &&
         rows_take_packs<T>(op.values.raw(), D) && D <= kWarp * kPack<T>;
}

template <class T>
int lanes_of(std::int64_t D, bool packs) {
  int lanes = 1;
  while (lanes < kWarp && lanes < (packs ? D / kPack<T> : D)) lanes *= 2;
  return lanes;
}

void check_grid(const CachedAttention& op, const CachedAttentionShape& shape) {
  constexpr std::int64_t kMost = 65535;  // of a grid's second dimension
  if (shape.heads > kMost || shape.rows > std::numeric_limits<int>::max() ||
      shape.heads * shape.head_width > kMost * kThreads) {
    throw ShapeError("cached_attention_forward: qkv is " + op.qkv.shape().text() +
                     "; the CUDA kernels take at most 65535 heads, rows of 3 x 8388480 numbers and "
                     "2^31 - 1 rows");
  }
}

template <class T>
void forward(ExecutionContext& ctx, const CachedAttention& op, const CachedAttentionShape& shape) {
  const std::int64_t D = shape.head_width, H = shape.heads, C = H * D;
  const bool packs = takes_packs<T>(op, shape);
  const std::int64_t parts = cached_attention_parts(shape);
  ScratchFrame scratch(ctx);
  const std::int64_t floats = cached_attention_scratch_floats(shape);
  const Operands<T> operands{.qkv = static_cast<const T*>(op.qkv.raw()),
                             .sequences = op.sequences.data<std::int32_t>(),
                             .positions = op.positions.data<std::int32_t>(),
                             .keys = static_cast<T*>(op.keys.raw()),
                             .values = static_cast<T*>(op.values.raw()),
                             .out = static_cast<T*>(op.out.raw()),
                             .parts = floats == 0 ? nullptr : scratch.take<float>(floats).data(),
                             .cache_sequences = shape.sequences,
                             .cache_positions = shape.positions,
                             .C = C,
                             .head_width = static_cast<int>(D),
                             .lanes = lanes_of<T>(D, packs),
                             .scale_log2 = kLog2E / std::sqrt(static_cast<float>(D))};
  const std::int64_t columns_of_block = kThreads * (packs ? kPack<T> : 1);
  const dim3 pieces(static_cast<unsigned>(shape.rows),
                    static_cast<unsigned>((C + columns_of_block - 1) / columns_of_block));
  const auto write = packs ? write_cache<T, true> : write_cache<T, false>;
  write<<<pieces, kThreads, 0, stream_of(ctx)>>>(operands);
  check_launch("cached_attention_forward (cache)");
  const auto attend = packs ? attend_to_part<T, true> : attend_to_part<T, false>;
  for (std::int64_t first = 0; first < shape.rows; first += kCachedRowsAtOnce) {
    const auto rows = static_cast<unsigned>(std::min(kCachedRowsAtOnce, shape.rows - first));
    const auto heads = static_cast<unsigned>(H);
    attend<<<dim3(static_cast<unsigned>(parts), heads, rows), kThreads, 0, stream_of(ctx)>>>(
        operands, first);
    check_launch("cached_attention_forward (parts)");
    if (operands.parts == nullptr) continue;
    join_parts<T><<<dim3(heads, rows), kThreads, 0, stream_of(ctx)>>>(operands, first,
                                                                      static_cast<int>(parts));
    check_launch("cached_attention_forward (join)");
  }
}

}  // namespace

void cached_attention_forward(ExecutionContext& ctx, const CachedAttention& op,
                              const CachedAttentionShape& shape) {
  if (shape.rows == 0) return;
  check_grid(op, shape);
  dispatch(op.qkv.dtype(), [&]<class T>() { forward<T>(ctx, op, shape); });
}

}  // namespace ovid::kernels::cuda
