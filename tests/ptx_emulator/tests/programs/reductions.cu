// Sums of one array by six ways of reducing, and the last block's finish with a fence and an
// atomic ticket.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

#include <cub/block/block_reduce.cuh>
#include <cub/device/device_reduce.cuh>
#include <cub/device/device_scan.cuh>

#include "check.cuh"

namespace cg = cooperative_groups;

__device__ float block_sum_shuffle(float value, float* shared) {
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_down_sync(0xFFFFFFFFU, value, offset);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  value = threadIdx.x < blockDim.x / 32 ? shared[threadIdx.x] : 0.0F;
  if (threadIdx.x < 32) {
    for (int offset = 16; offset > 0; offset /= 2)
      value += __shfl_xor_sync(0xFFFFFFFFU, value, offset);
  }
  return value;
}

__global__ void sum_shuffle(const float* in, float* out, int n) {
  __shared__ float shared[32];
  float value = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    value += in[i];
  value = block_sum_shuffle(value, shared);
  if (threadIdx.x == 0) atomicAdd(out, value);
}

__global__ void sum_tree(const float* in, float* out, int n) {
  __shared__ float shared[256];
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  shared[threadIdx.x] = i < n ? in[i] : 0.0F;
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) atomicAdd(out, shared[0]);
}

__device__ unsigned tickets;

__global__ void sum_last_block(const float* in, float* partial, float* out, int n) {
  __shared__ float shared[32];
  __shared__ bool is_last;
  float value = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    value += in[i];
  value = block_sum_shuffle(value, shared);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = value;
    __threadfence();
    is_last = atomicAdd(&tickets, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  value = threadIdx.x < gridDim.x ? partial[threadIdx.x] : 0.0F;
  value = block_sum_shuffle(value, shared);
  if (threadIdx.x == 0) *out = value;
}

__global__ void sum_groups(const float* in, float* out, int n) {
  const auto tile = cg::tiled_partition<16>(cg::this_thread_block());
  float value = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    value += in[i];
  value = cg::reduce(tile, value, cg::plus<float>());
  if (tile.thread_rank() == 0) atomicAdd(out, value);
}

// Tiles of four warps meet in the shared memory that the system keeps.
__global__ void sum_warp_groups(const float* in, float* out, int n) {
  const auto tile = cg::tiled_partition<128>(cg::this_thread_block());
  float value = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    value += in[i];
  for (int round = 0; round < 3; ++round) tile.sync();
  value = cg::reduce(tile, value, cg::plus<float>());
  if (tile.thread_rank() == 0) atomicAdd(out, value);
}

__global__ void sum_grid(const float* in, float* partial, float* out, int n) {
  __shared__ typename cub::BlockReduce<float, 256>::TempStorage storage;
  float value = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    value += in[i];
  value = cub::BlockReduce<float, 256>(storage).Sum(value);
  if (threadIdx.x == 0) partial[blockIdx.x] = value;
  cg::this_grid().sync();
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    float sum = 0;
    for (int i = 0; i < gridDim.x; ++i) sum += partial[i];
    *out = sum;
  }
}

int main() {
  const int n = 70001, blocks = 8;
  std::vector<float> in(n);
  double expected = 0, magnitude = 0;
  for (int i = 0; i < n; ++i) {
    in[i] = noise(i);
    expected += in[i];
    magnitude += std::fabs(in[i]);
  }
  DeviceArray<float> d_in(in), partial(blocks), out(7);
  CHECK(cudaMemset(out.data, 0, 7 * sizeof(float)));
  sum_shuffle<<<blocks, 256>>>(d_in.data, out.data, n);
  sum_tree<<<(n + 255) / 256, 256>>>(d_in.data, out.data + 1, n);
  sum_last_block<<<blocks, 256>>>(d_in.data, partial.data, out.data + 2, n);
  sum_groups<<<blocks, 256>>>(d_in.data, out.data + 3, n);
  sum_warp_groups<<<blocks, 256>>>(d_in.data, out.data + 6, n);
  const float* in_argument = d_in.data;
  float *partial_argument = partial.data, *out_argument = out.data + 4;
  int n_argument = n;
  void* arguments[] = {&in_argument, &partial_argument, &out_argument, &n_argument};
  CHECK(cudaLaunchCooperativeKernel(reinterpret_cast<void*>(sum_grid), dim3(blocks), dim3(256),
                                    arguments, 0, nullptr));
  std::size_t bytes = 0;
  CHECK(cub::DeviceReduce::Sum(nullptr, bytes, d_in.data, out.data + 5, n));
  DeviceArray<char> storage(bytes);
  CHECK(cub::DeviceReduce::Sum(storage.data, bytes, d_in.data, out.data + 5, n));
  // A scan by decoupled look-back: later blocks wait for earlier ones.
  std::vector<int> ones(20000, 1);
  DeviceArray<int> d_ones(ones), scanned(ones.size());
  bytes = 0;
  CHECK(cub::DeviceScan::InclusiveSum(nullptr, bytes, d_ones.data, scanned.data,
                                      static_cast<int>(ones.size())));
  DeviceArray<char> scan_storage(bytes);
  CHECK(cub::DeviceScan::InclusiveSum(scan_storage.data, bytes, d_ones.data, scanned.data,
                                      static_cast<int>(ones.size())));

  Comparison comparison;
  for (const float sum : out.host()) comparison.add(sum, expected, 64 * 6e-8 * magnitude, 0);
  const std::vector<int> counts = scanned.host();
  for (std::size_t i = 0; i < counts.size(); ++i)
    comparison.add(counts[i], static_cast<double>(i + 1), 0, 0);
  return comparison.finish("reductions");
}
