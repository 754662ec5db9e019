#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/embedding/embedding_cuda_scratch.h"
#include "kernels/embedding/embedding_cuda_sort.cuh"

// A radix sort by digits of 8 bits, from the least; every pass keeps the order of equal digits
// (Knuth, The Art of Computer Programming 3, 5.2.5). A block owns 2,048 consecutive keys, each of
// its 8 warps 256 of them in order. A pass counts each block's digits, turns the counts into first
// places by one running sum over (digit, block), and moves keys there. No atomics: places depend on
// the keys alone.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = static_cast<int>(kSortThreads);
constexpr int kWarps = kThreads / kWarp;
constexpr int kRounds = static_cast<int>(kSortKeysPerThread);  // of 32 keys a warp
constexpr int kDigits = static_cast<int>(kSortDigits);
constexpr int kScanThreads = 1024;
constexpr int kNone = -1;  // the digit of no key

// The digits of this lane's keys, one each round.
struct WarpKeys {
  std::int64_t first;  // of this lane, in round 0
  int digits[kRounds];

  __device__ __forceinline__ WarpKeys(const std::int32_t* keys, std::int64_t count, int shift) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    first = static_cast<std::int64_t>(blockIdx.x) * kSortKeysPerBlock + warp * (kRounds * kWarp) +
            static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
    for (int r = 0; r < kRounds; ++r) {
      const std::int64_t at = first + r * kWarp;
      digits[r] = at < count ? (keys[at] >> shift) % kDigits : kNone;
    }
  }
};

// Adds this warp's keys to its counts, all zero before.
__device__ __forceinline__ void count_digits_of_warp(const WarpKeys& keys, int* counts) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int r = 0; r < kRounds; ++r) {
    const unsigned same = __match_any_sync(kAllLanes, keys.digits[r]);
    if (keys.digits[r] != kNone && lane == __ffs(static_cast<int>(same)) - 1) {
      counts[keys.digits[r]] += __popc(same);
    }
    __syncwarp();
  }
}

__device__ __forceinline__ void clear(int (&counts)[kWarps][kDigits]) {
  for (int d = static_cast<int>(threadIdx.x); d < kDigits; d += kThreads) {
#pragma unroll
    for (int w = 0; w < kWarps; ++w) counts[w][d] = 0;
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads)
    count_digits(const std::int32_t* keys, std::int64_t count, int shift, std::int32_t* totals) {
  __shared__ int counts[kWarps][kDigits];
  clear(counts);
  const WarpKeys own(keys, count, shift);
  count_digits_of_warp(own, counts[threadIdx.x / kWarp]);
  __syncthreads();
  for (int d = static_cast<int>(threadIdx.x); d < kDigits; d += kThreads) {
    int total = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) total += counts[w][d];
    totals[static_cast<std::int64_t>(d) * gridDim.x + blockIdx.x] = total;
  }
}

// Each number becomes the sum of those before it. One block.
__global__ void __launch_bounds__(kScanThreads) sum_before(std::int32_t* totals, int length) {
  __shared__ int sums_of_warps[kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  int before = 0;  // the sum of all earlier steps
  for (int begin = 0; begin < length; begin += kScanThreads) {
    const int at = begin + static_cast<int>(threadIdx.x);
    const int value = at < length ? totals[at] : 0;
    int sum = value;  // up to this lane, then up to this thread
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const int other = __shfl_up_sync(kAllLanes, sum, distance);
      if (lane >= distance) sum += other;
    }
    __syncthreads();  // the step before may still read
    if (lane == kWarp - 1) sums_of_warps[warp] = sum;
    __syncthreads();
    const int of_warp = sums_of_warps[lane];
    const int earlier = __reduce_add_sync(kAllLanes, lane < warp ? of_warp : 0);
    const int step = __reduce_add_sync(kAllLanes, of_warp);
    if (at < length) totals[at] = before + earlier + sum - value;
    before += step;
  }
}

// places: null in the first pass, where a key's place is its index
__global__ void __launch_bounds__(kThreads)
    move_keys(const std::int32_t* keys, const std::int32_t* places, std::int64_t count, int shift,
              const std::int32_t* first_places, std::int32_t* moved_keys,
              std::int32_t* moved_places) {
  __shared__ int next[kWarps][kDigits];  // of a warp and a digit: counts, then the next place
  clear(next);
  const WarpKeys own(keys, count, shift);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  int* const next_of_warp = next[threadIdx.x / kWarp];
  count_digits_of_warp(own, next_of_warp);
  __syncthreads();
  for (int d = static_cast<int>(threadIdx.x); d < kDigits; d += kThreads) {
    int place = first_places[static_cast<std::int64_t>(d) * gridDim.x + blockIdx.x];
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const int of_warp = next[w][d];
      next[w][d] = place;
      place += of_warp;
    }
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < kRounds; ++r) {
    const int digit = own.digits[r];
    const unsigned same = __match_any_sync(kAllLanes, digit);
    const int rank = __popc(same & ((1u << lane) - 1u));
    const int place = digit != kNone ? next_of_warp[digit] + rank : 0;
    __syncwarp();
    if (digit != kNone) {
      const std::int64_t at = own.first + r * kWarp;
      if (rank == 0) next_of_warp[digit] = place + __popc(same);
      moved_keys[place] = keys[at];
      moved_places[place] = places != nullptr ? places[at] : static_cast<std::int32_t>(at);
    }
    __syncwarp();
  }
}

}  // namespace

SortedKeys sort_keys(ExecutionContext& ctx, ScratchFrame& scratch, const std::int32_t* keys,
                     std::int64_t count, std::int64_t limit) {
  const int passes = sort_passes(limit);
  const std::int64_t blocks = sort_blocks(count);
  std::int32_t* moved_keys[2];
  std::int32_t* moved_places[2];
  for (int pair = 0; pair < (passes > 1 ? 2 : 1); ++pair) {
    moved_keys[pair] = scratch.take<std::int32_t>(count).data();
    moved_places[pair] = scratch.take<std::int32_t>(count).data();
  }
  std::int32_t* const totals = scratch.take<std::int32_t>(blocks * kSortDigits).data();
  const auto grid = static_cast<unsigned>(blocks);
  const std::int32_t* places = nullptr;
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = pass * kSortDigitBits, to = pass % 2;
    count_digits<<<grid, kThreads, 0, stream_of(ctx)>>>(keys, count, shift, totals);
    check_launch("embedding_backward: count_digits");
    sum_before<<<1, kScanThreads, 0, stream_of(ctx)>>>(totals,
                                                       static_cast<int>(blocks * kSortDigits));
    check_launch("embedding_backward: sum_before");
    move_keys<<<grid, kThreads, 0, stream_of(ctx)>>>(keys, places, count, shift, totals,
                                                     moved_keys[to], moved_places[to]);
    check_launch("embedding_backward: move_keys");
    keys = moved_keys[to];
    places = moved_places[to];
  }
  return {keys, places};
}

}  // namespace ovid::kernels::cuda
