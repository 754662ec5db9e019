// A sum over a cluster of four blocks: each reads the others' partial sums from their shared
// memory.
#include <cooperative_groups.h>

#include "check.cuh"

namespace cg = cooperative_groups;

__global__ void __cluster_dims__(4, 1, 1)
    cluster_sum(const float* in, float* out, int n_per_block) {
  __shared__ float warp_sums[8];
  __shared__ float block_sum;
  const cg::cluster_group cluster = cg::this_cluster();
  float value = 0;
  for (int i = threadIdx.x; i < n_per_block; i += blockDim.x)
    value += in[blockIdx.x * n_per_block + i];
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_xor_sync(0xFFFFFFFFU, value, offset);
  if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x == 0) {
    float sum = 0;
    for (int i = 0; i < 8; ++i) sum += warp_sums[i];
    block_sum = sum;
  }
  cluster.sync();
  if (threadIdx.x == 0) {
    float sum = 0;
    for (unsigned rank = 0; rank < cluster.num_blocks(); ++rank)
      sum += *cluster.map_shared_rank(&block_sum, rank);
    out[blockIdx.x] = sum;
  }
  cluster.sync();  // nobody leaves while its memory may be read
}

int main() {
  const int blocks = 12, per_block = 1000;
  std::vector<float> in(blocks * per_block);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = noise(static_cast<unsigned>(i), 9);
  DeviceArray<float> d_in(in), out(blocks);
  cluster_sum<<<blocks, 256>>>(d_in.data, out.data, per_block);
  CHECK(cudaGetLastError());
  const auto got = out.host();
  Comparison comparison;
  for (int block = 0; block < blocks; ++block) {
    double sum = 0;
    for (int i = 0; i < 4 * per_block; ++i) sum += in[block / 4 * 4 * per_block + i];
    comparison.add(got[block], sum, 1e-3, 0);
  }
  return comparison.finish("cluster reduction");
}
