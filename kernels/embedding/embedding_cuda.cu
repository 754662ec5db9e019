#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/row_units.cuh"
#include "kernels/embedding/embedding.h"
#include "kernels/embedding/embedding_cuda_scratch.h"
#include "kernels/embedding/embedding_cuda_sort.cuh"

// Forward: a warp owns a row of the batch. Backward: the batch's rows are sorted by their row of
// the table; the warp at the first of equal keys adds them all, in the order of the batch, to the
// table's row, which nobody else touches. Where positions are the columns of the batch no sort is
// needed: a thread adds the same element of all sequences.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kQuad = 4;
constexpr int kQuads = 8;  // of a lane, in registers: a warp holds up to 1,024 columns

template <class T>
struct Lookup {
  const std::int32_t* tokens;
  const std::int32_t* positions;  // null: the column
  const T* token_embedding;
  const T* position_embedding;
  T* out;
  std::int64_t rows;  // B T
  std::int64_t length;
  std::int64_t width;
  bool whole;  // rows_take_units
};

template <class T>
__global__ void __launch_bounds__(kThreads) look_up_rows(const Lookup<T> op) {
  constexpr int kSize = Unit<T>::kSize;
  const std::int64_t row =
      static_cast<std::int64_t>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (row >= op.rows) return;
  const std::int64_t C = op.width;
  const std::int64_t position = op.positions != nullptr ? op.positions[row] : row % op.length;
  const T* const token_row = op.token_embedding + op.tokens[row] * C;
  const T* const position_row = op.position_embedding + position * C;
#pragma unroll 2
  for (std::int64_t at = threadIdx.x % kWarp * kSize; at < C; at += kWarp * kSize) {
    const Unit<T> token = load_unit(token_row, at, C, op.whole);
    const Unit<T> place = load_unit(position_row, at, C, op.whole);
    Unit<T> sum;
#pragma unroll
    for (int i = 0; i < kSize; ++i) sum.set(i, token.get(i) + place.get(i));
    store_unit(op.out + row * C, at, C, op.whole, sum);
  }
}

template <class T, class G>
struct Scatter {
  SortedKeys sorted;
  const T* d_out;  // (count, width)
  G* d_table;      // (rows, width)
  std::int64_t count;
  std::int64_t width;
  bool whole_rows;  // rows_take_units by quads
  bool whole_table;
};

template <class T, int N>
__device__ __forceinline__ void add_unit(float* sums, const Unit<T, N>& unit) {
#pragma unroll
  for (int i = 0; i < N; ++i) sums[i] += unit.get(i);
}

template <int kHeld, class T>
__device__ __forceinline__ Unit<T, kQuad> load_quad(const T* row, std::int64_t at, std::int64_t C,
                                                    bool whole) {
  if constexpr (kHeld == kQuads) return load_whole_unit<T, kQuad>(row, at, C);
  return load_unit<T, kQuad>(row, at, C, whole);
}

// kHeld: quads of a lane; kQuads where all rows are made of whole, aligned quads, 1 where not.
template <int kHeld, class T, class G>
__global__ void __launch_bounds__(kThreads) add_sorted_rows(const Scatter<T, G> op) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t i =
      static_cast<std::int64_t>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (i >= op.count) return;
  const std::int32_t near = lane < 2 && i + lane > 0 ? op.sorted.keys[i - 1 + lane] : -1;
  const std::int32_t key = __shfl_sync(kAllLanes, near, 1);
  if (__shfl_sync(kAllLanes, near, 0) == key) return;
  const std::int64_t C = op.width;
  const std::int64_t begin = (static_cast<std::int64_t>(blockIdx.y) * kHeld * kWarp + lane) * kQuad;
  G* const table_row = op.d_table + key * C;
  float sums[kHeld * kQuad];
#pragma unroll
  for (int q = 0; q < kHeld; ++q) {
    const auto before = load_quad<kHeld>(table_row, begin + q * kWarp * kQuad, C, op.whole_table);
#pragma unroll
    for (int e = 0; e < kQuad; ++e) sums[q * kQuad + e] = before.get(e);
  }
  for (std::int64_t from = i;; from += kWarp) {
    const bool inside = from + lane < op.count;
    const bool same = inside && op.sorted.keys[from + lane] == key;
    const std::int32_t places = same ? op.sorted.places[from + lane] : 0;
    const int rows = __popc(__ballot_sync(kAllLanes, same));  // equal keys stand together
#pragma unroll 1
    for (int r = 0; r < rows; ++r) {
      const T* const row = op.d_out + __shfl_sync(kAllLanes, places, r) * C;
#pragma unroll
      for (int q = 0; q < kHeld; ++q) {
        add_unit(sums + q * kQuad,
                 load_quad<kHeld>(row, begin + q * kWarp * kQuad, C, op.whole_rows));
      }
    }
    if (rows < kWarp) break;
  }
#pragma unroll
  for (int q = 0; q < kHeld; ++q) {
    Unit<G, kQuad> after;
#pragma unroll
    for (int e = 0; e < kQuad; ++e) after.set(e, sums[q * kQuad + e]);
    store_unit(table_row, begin + q * kWarp * kQuad, C, op.whole_table, after);
  }
}

// The T C elements of one sequence as one row: thread t owns quad t, in all sequences.
template <class T, class G>
__global__ void __launch_bounds__(kThreads)
    add_sequences(const T* d_out, G* d_table, std::int64_t sequences, std::int64_t elements,
                  bool whole_rows, bool whole_table) {
  const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kQuad;
  if (at >= elements) return;
  const auto before = load_unit<G, kQuad>(d_table, at, elements, whole_table);
  float sums[kQuad];
#pragma unroll
  for (int e = 0; e < kQuad; ++e) sums[e] = before.get(e);
#pragma unroll 4
  for (std::int64_t b = 0; b < sequences; ++b) {
    add_unit(sums, load_unit<T, kQuad>(d_out + b * elements, at, elements, whole_rows));
  }
  Unit<G, kQuad> after;
#pragma unroll
  for (int e = 0; e < kQuad; ++e) after.set(e, sums[e]);
  store_unit(d_table, at, elements, whole_table, after);
}

// Calls visit.template operator()<T, G>() for the types of a gradient and its table: G is T or
// float.
template <class Visit>
void dispatch_gradient(DType compute, DType table, Visit&& visit) {
  dispatch(compute, [&]<class T>() {
    if (table == DType::kFloat32) {
      visit.template operator()<T, float>();
    } else {
      visit.template operator()<T, T>();
    }
  });
}

const std::int32_t* data_of(const std::optional<ConstView>& positions) {
  return positions ? positions->data<std::int32_t>() : nullptr;
}

struct Keys {
  const std::int32_t* keys;  // (rows of d_out)
  std::int64_t limit;
};

void add_by_key(ExecutionContext& ctx, const ConstView& d_out, const Keys& keys,
                const View& d_table) {
  const std::int64_t C = d_out.columns(), count = d_out.rows();
  ScratchFrame scratch(ctx);
  const SortedKeys sorted = sort_keys(ctx, scratch, keys.keys, count, keys.limit);
  dispatch_gradient(d_out.dtype(), d_table.dtype(), [&]<class T, class G>() {
    const Scatter<T, G> op{.sorted = sorted,
                           .d_out = static_cast<const T*>(d_out.raw()),
                           .d_table = static_cast<G*>(d_table.raw()),
                           .count = count,
                           .width = C,
                           .whole_rows = rows_take_units<T, kQuad>(d_out.raw(), C),
                           .whole_table = rows_take_units<G, kQuad>(d_table.raw(), C)};
    const bool whole = op.whole_rows && op.whole_table;
    const std::int64_t across = kWarp * kQuad * (whole ? kQuads : 1);
    const dim3 grid(static_cast<unsigned>((count + kWarps - 1) / kWarps),
                    static_cast<unsigned>((C + across - 1) / across));
    const auto kernel = whole ? add_sorted_rows<kQuads, T, G> : add_sorted_rows<1, T, G>;
    kernel<<<grid, kThreads, 0, stream_of(ctx)>>>(op);
  });
  check_launch("embedding_backward: add_sorted_rows");
}

void add_by_column(ExecutionContext& ctx, const ConstView& d_out, const EmbeddingShape& shape,
                   const View& d_table) {
  const std::int64_t elements = shape.length * shape.width;
  constexpr std::int64_t kPerBlock = kThreads * kQuad;
  const auto blocks = static_cast<unsigned>((elements + kPerBlock - 1) / kPerBlock);
  dispatch_gradient(d_out.dtype(), d_table.dtype(), [&]<class T, class G>() {
    add_sequences<<<blocks, kThreads, 0, stream_of(ctx)>>>(
        static_cast<const T*>(d_out.raw()), static_cast<G*>(d_table.raw()), shape.sequences,
        elements, rows_take_units<T, kQuad>(d_out.raw(), elements),
        rows_take_units<G, kQuad>(d_table.raw(), 0));
  });
  check_launch("embedding_backward: add_sequences");
}

}  // namespace

void embedding_forward(ExecutionContext& ctx, const Embedding& op, const EmbeddingShape& shape) {
  const std::int64_t rows = shape.sequences * shape.length, C = shape.width;
  if (rows == 0 || C == 0) return;
  dispatch(op.out.dtype(), [&]<class T>() {
    const Lookup<T> lookup{.tokens = op.tokens.data<std::int32_t>(),
                           .positions = data_of(op.positions),
                           .token_embedding = static_cast<const T*>(op.token_embedding.raw()),
                           .position_embedding = static_cast<const T*>(op.position_embedding.raw()),
                           .out = static_cast<T*>(op.out.raw()),
                           .rows = rows,
                           .length = shape.length,
                           .width = C,
                           .whole = rows_take_units<T>(op.token_embedding.raw(), C) &&
                                    rows_take_units<T>(op.position_embedding.raw(), C) &&
                                    rows_take_units<T>(op.out.raw(), C)};
    const auto blocks = static_cast<unsigned>((rows + kWarps - 1) / kWarps);
    look_up_rows<<<blocks, kThreads, 0, stream_of(ctx)>>>(lookup);
  });
  check_launch("embedding_forward");
}

void embedding_backward(ExecutionContext& ctx, const EmbeddingGradient& op,
                        const EmbeddingShape& shape) {
  if (shape.sequences * shape.length == 0 || shape.width == 0) return;
  if (op.d_token_embedding) {
    add_by_key(ctx, op.d_out, {.keys = op.tokens.data<std::int32_t>(), .limit = shape.vocabulary},
               *op.d_token_embedding);
  }
  if (!op.d_position_embedding) return;
  if (op.positions) {
    add_by_key(ctx, op.d_out,
               {.keys = op.positions->data<std::int32_t>(), .limit = shape.positions},
               *op.d_position_embedding);
  } else {
    add_by_column(ctx, op.d_out, shape, *op.d_position_embedding);
  }
}

}  // namespace ovid::kernels::cuda
