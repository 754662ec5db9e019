#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "kernels/cuda/approximate.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector_access.cuh"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

// (N, V) logits. A block owns every gridDim.x-th row, from the last one on, which the product
// before has just written and the second cache may still hold. A row is `packs` packs of 16 bytes
// and the elements behind them (all of them where rows begin at no multiple of 16 bytes); of both,
// thread t owns the t-th and every blockDim.x-th after it. The first `kept` packs wait in shared
// memory, each in a slot that its owner alone reads and writes, so that no barrier guards them:
//   load     asynchronous copies into the slots, in kStages groups
//   compute  as groups arrive, each thread's largest logit and its sum of exponentials; then the
//            block's
//   store    from the slots d_logits, and at once into each slot the load of the next row, so that
//            memory is read while it is written
// Packs that shared memory has no room for (float32 rows of GPT-2's vocabulary on sm_80) are read a
// second time. What a row's result is depends neither on the grid nor on `kept`.
namespace ovid::kernels::cuda {

namespace {

constexpr int kStages = 4;

template <class T>
struct Operands {
  T* logits;
  const std::int32_t* targets;
  float* losses;
  std::int64_t N;
  std::int64_t row_stride;
  int V;
  int packs;
  int kept;   // all packs, or a multiple of blockDim.x
  int stage;  // packs of a stage, a multiple of blockDim.x
  float scale;
  bool write_gradient;

  __device__ __forceinline__ T* row(std::int64_t r) const {
    return logits + (N - 1 - r) * row_stride;
  }
  // The r-th row's, and kIgnoreTarget behind the last.
  __device__ __forceinline__ std::int32_t target(std::int64_t r) const {
    return r < N ? targets[N - 1 - r] : kIgnoreTarget;
  }
  __device__ __forceinline__ int first_single() const { return packs * kPack<T>; }
  __device__ __forceinline__ bool owns(std::int32_t element) const {
    const int single = element - first_single();
    return (single < 0 ? element / kPack<T> : single) % blockDim.x == threadIdx.x;
  }
};

// Calls visit(i) for this thread's share of [first, last), first a multiple of blockDim.x.
template <class Visit>
__device__ __forceinline__ void for_own(int first, int last, Visit visit) {
  for (int i = first + static_cast<int>(threadIdx.x); i < last; i += static_cast<int>(blockDim.x)) {
    visit(i);
  }
}
template <class T, class Visit>
__device__ __forceinline__ void for_own_slots(const Operands<T>& op, int stage, Visit visit) {
  for_own(stage * op.stage, min((stage + 1) * op.stage, op.kept), visit);
}

template <class T>
__device__ __forceinline__ void load_slot(uint4* slots, const T* row, int p) {
  __pipeline_memcpy_async(slots + p, row + p * kPack<T>, sizeof(uint4));
}
template <class T>
__device__ __forceinline__ void load_row(const Operands<T>& op, uint4* slots, const T* row) {
#pragma unroll
  for (int s = 0; s < kStages; ++s) {
    for_own_slots(op, s, [&](int p) { load_slot(slots, row, p); });
    __pipeline_commit();
  }
}

// Of the logits seen so far: the largest, and the sum of exp(logit - largest).
struct Partial {
  float largest = -INFINITY;
  float sum = 0.0f;
};

// What is subtracted from logits: anything finite while all of them are -infinity.
__device__ __forceinline__ float shift_of(float largest) {
  return largest == -INFINITY ? 0.0f : largest;
}
// The difference first: a product of large logits with log2(e) would lose their last bits.
__device__ __forceinline__ float exponential(float logit, float shift) {
  return exp2_approximate((logit - shift) * 1.4426950408889634f);
}

__device__ __forceinline__ void add(Partial& partial, float logit) {
  const float largest = fmaxf(partial.largest, logit);
  const float shift = shift_of(largest);
  const float earlier = partial.sum * exponential(partial.largest, shift);
  partial = {largest, earlier + exponential(logit, shift)};
}
template <class T>
__device__ __forceinline__ void add(Partial& partial, const Pack<T>& pack) {
  float largest = partial.largest;
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) largest = fmaxf(largest, pack.get(i));
  const float shift = shift_of(largest);
  float sum = partial.sum * exponential(partial.largest, shift);
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) sum += exponential(pack.get(i), shift);
  partial = {largest, sum};
}

// The row's, of slots that are being filled. NaN reaches the sum.
template <class T>
__device__ __forceinline__ Partial sum_row(const Operands<T>& op, const uint4* slots, const T* row,
                                           float* shared) {
  Partial mine;
#pragma unroll
  for (int s = 0; s < kStages; ++s) {
    __pipeline_wait_prior(kStages - 1 - s);
    for_own_slots(op, s, [&](int p) { add(mine, Pack<T>{slots[p]}); });
  }
  for_own(op.kept, op.packs, [&](int p) { add(mine, load_pack(row + p * kPack<T>)); });
  for_own(0, op.V - op.first_single(),
          [&](int i) { add(mine, to_float(row[op.first_single() + i])); });
  const float largest = block_reduce(mine.largest, Max{}, shared);
  const float sum = mine.sum * exponential(mine.largest, shift_of(largest));
  return {largest, block_reduce(sum, Sum{}, shared)};
}

// exp(logit - shift) * factor, and what is left to subtract stands at the target alone.
struct Gradient {
  float shift;
  float factor;  // scale / sum
  __device__ __forceinline__ float of(float logit) const {
    return exponential(logit, shift) * factor;
  }
  template <class T>
  __device__ __forceinline__ Pack<T> of(const Pack<T>& logits) const {
    Pack<T> result;
#pragma unroll
    for (int i = 0; i < kPack<T>; i += 2) {
      result.set_pair(i, of(logits.get(i)), of(logits.get(i + 1)));
    }
    return result;
  }
};

// next: the row to load into the slots, or null.
template <class T>
__device__ __forceinline__ void store_gradient(const Operands<T>& op, uint4* slots, T* row,
                                               const T* next, const Gradient& gradient) {
#pragma unroll
  for (int s = 0; s < kStages; ++s) {
    for_own_slots(op, s, [&](int p) {
      store_pack(row + p * kPack<T>, gradient.of(Pack<T>{slots[p]}));
      if (next != nullptr) load_slot(slots, next, p);
    });
    if (next != nullptr) __pipeline_commit();
  }
  for_own(op.kept, op.packs, [&](int p) {
    store_pack(row + p * kPack<T>, gradient.of(load_pack(row + p * kPack<T>)));
  });
  for_own(0, op.V - op.first_single(), [&](int i) {
    T& element = row[op.first_single() + i];
    element = from_float<T>(gradient.of(to_float(element)));
  });
}

template <class T>
__device__ __forceinline__ void store_zeros(const Operands<T>& op, T* row) {
  const Pack<T> zeros{make_uint4(0, 0, 0, 0)};
  for_own(0, op.packs, [&](int p) { store_pack(row + p * kPack<T>, zeros); });
  for_own(0, op.V - op.first_single(),
          [&](int i) { row[op.first_single() + i] = from_float<T>(0.0f); });
}

template <class T>
__device__ __forceinline__ void loss_and_gradient(const Operands<T>& op, uint4* slots,
                                                  std::int64_t r, std::int32_t target,
                                                  const T* next, float* shared) {
  T* const row = op.row(r);
  const bool owns_target = op.owns(target);
  const float logit = owns_target ? to_float(row[target]) : 0.0f;
  const Partial total = sum_row(op, slots, row, shared);
  if (owns_target) op.losses[op.N - 1 - r] = logf(total.sum) + (total.largest - logit);
  if (!op.write_gradient) {
    if (next != nullptr) load_row(op, slots, next);
    return;
  }
  const Gradient gradient{shift_of(total.largest), op.scale / total.sum};
  store_gradient(op, slots, row, next, gradient);
  if (owns_target) {  // behind its own store of the pack
    const float probability = exponential(logit, gradient.shift) / total.sum;
    row[target] = from_float<T>((probability - 1.0f) * op.scale);
  }
}

// 512 threads at most, so that two blocks of 64 registers a thread share a multiprocessor.
template <class T>
__global__ void __launch_bounds__(512, 2) cross_entropy(const Operands<T> op) {
  extern __shared__ uint4 slots[];
  __shared__ float shared[kWarp + 1];
  std::int32_t target = op.target(blockIdx.x);
  if (target != kIgnoreTarget) load_row(op, slots, op.row(blockIdx.x));
  for (std::int64_t r = blockIdx.x; r < op.N; r += gridDim.x) {
    const std::int32_t next_target = op.target(r + gridDim.x);
    const T* const next = next_target != kIgnoreTarget ? op.row(r + gridDim.x) : nullptr;
    if (target != kIgnoreTarget) {
      loss_and_gradient(op, slots, r, target, next, shared);
    } else {
      if (threadIdx.x == 0) op.losses[op.N - 1 - r] = 0.0f;
      if (op.write_gradient) store_zeros(op, op.row(r));
      if (next != nullptr) load_row(op, slots, next);
    }
    target = next_target;
  }
}

constexpr int threads_of(std::int64_t V) {
  return V < 4096 ? 128 : 512;
}

template <class T>
void launch(ExecutionContext& ctx, const SoftmaxCrossEntropy& op) {
  const std::int64_t V = op.logits.columns(), N = op.logits.rows();
  const DeviceProperties& device = state_of(ctx).properties();
  const int threads = threads_of(V);
  const bool aligned = rows_take_packs<T>(op.logits.raw(), op.logits.row_stride());
  const int packs = aligned ? static_cast<int>(V / kPack<T>) : 0;
  const auto room = static_cast<int>((device.shared_memory_bytes - 256) / sizeof(uint4));
  const int kept = packs <= room ? packs : room / threads * threads;
  const int per_thread = (kept + threads - 1) / threads;
  const Operands<T> operands{.logits = static_cast<T*>(op.logits.raw()),
                             .targets = op.targets.data<std::int32_t>(),
                             .losses = op.losses.data<float>(),
                             .N = N,
                             .row_stride = op.logits.row_stride(),
                             .V = static_cast<int>(V),
                             .packs = packs,
                             .kept = kept,
                             .stage = (per_thread + kStages - 1) / kStages * threads,
                             .scale = op.scale,
                             .write_gradient = op.write_gradient};
  const int bytes = kept * static_cast<int>(sizeof(uint4));
  check(cudaFuncSetAttribute(cross_entropy<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  int blocks_together = 0;  // on one multiprocessor
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks_together, cross_entropy<T>, threads,
                                                      static_cast<std::size_t>(bytes)));
  const std::int64_t blocks =
      std::min<std::int64_t>(N, std::max(blocks_together, 1) * device.multiprocessors);
  cross_entropy<T><<<static_cast<unsigned>(blocks), threads, bytes, stream_of(ctx)>>>(operands);
  check_launch("softmax_cross_entropy");
}

}  // namespace

void softmax_cross_entropy(ExecutionContext& ctx, const SoftmaxCrossEntropy& op) {
  if (op.logits.rows() == 0) return;
  dispatch(op.logits.dtype(), [&]<class T>() { launch<T>(ctx, op); });
}

}  // namespace ovid::kernels::cuda
