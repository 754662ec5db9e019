// D = A B^T for sm_90a: tiles copied by tensor maps, completion by mbarrier, products by wgmma with
// operands in 128-byte-swizzled shared memory; one warp group produces, one consumes, two stages.
#include <cuda.h>
#include <cuda_bf16.h>

#include "check.cuh"

constexpr int kM = 64, kN = 64, kK = 64, kStages = 2;
constexpr int kTileBytes = 64 * kK * 2;

__device__ unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

__device__ void barrier_init(unsigned barrier, unsigned count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}
__device__ void barrier_expect(unsigned barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
__device__ void barrier_arrive(unsigned barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
__device__ void barrier_wait(unsigned barrier, unsigned parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "wait:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra finished;\n"
      "bra wait;\n"
      "finished:\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
__device__ void copy_tile(unsigned shared, const CUtensorMap* map, unsigned barrier, int column,
                          int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, "
      "%4}], [%2];" ::"r"(shared),
      "l"(map), "r"(barrier), "r"(column), "r"(row)
      : "memory");
}
// K-major, 128-byte swizzle: 8 rows of 128 bytes are 1,024 bytes apart.
__device__ unsigned long long descriptor(unsigned address) {
  return static_cast<unsigned long long>((address & 0x3FFFF) >> 4) | (1ULL << 16) | (64ULL << 32) |
         (1ULL << 62);
}
__device__ void multiply(float (&d)[32], unsigned long long a, unsigned long long b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
      "%20, %21, %22, %23, "
      "%24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, 1, 1, 1, 0, 0;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "l"(a), "l"(b));
}

__global__ void __launch_bounds__(256)
    matmul(const __grid_constant__ CUtensorMap a_map, const __grid_constant__ CUtensorMap b_map,
           float* d, int M, int N, int K) {
  extern __shared__ __align__(1024) unsigned char tiles[];
  __shared__ __align__(8) unsigned long long full[kStages], empty[kStages];
  const unsigned base = shared_address(tiles);
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      barrier_init(shared_address(&full[i]), 1);
      barrier_init(shared_address(&empty[i]), 128);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  const int steps = K / kK;
  if (threadIdx.x >= 128) {  // the producing warp group
    if (threadIdx.x == 128) {
      for (int i = 0; i < steps; ++i) {
        const int stage = i % kStages;
        if (i >= kStages) barrier_wait(shared_address(&empty[stage]), (i / kStages - 1) & 1);
        barrier_expect(shared_address(&full[stage]), 2 * kTileBytes);
        copy_tile(base + stage * 2 * kTileBytes, &a_map, shared_address(&full[stage]), i * kK,
                  blockIdx.y * kM);
        copy_tile(base + stage * 2 * kTileBytes + kTileBytes, &b_map, shared_address(&full[stage]),
                  i * kK, blockIdx.x * kN);
      }
    }
    return;
  }
  float sums[32] = {};
  for (int i = 0; i < steps; ++i) {
    const int stage = i % kStages;
    barrier_wait(shared_address(&full[stage]), (i / kStages) & 1);
    const unsigned a_tile = base + stage * 2 * kTileBytes, b_tile = a_tile + kTileBytes;
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    for (int k = 0; k < kK / 16; ++k)
      multiply(sums, descriptor(a_tile + 32 * k), descriptor(b_tile + 32 * k));
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    barrier_arrive(shared_address(&empty[stage]));
  }
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int i = 0; i < 8; ++i) {
    for (int e = 0; e < 4; ++e) {
      const int row = blockIdx.y * kM + warp * 16 + lane / 4 + 8 * (e / 2);
      const int column = blockIdx.x * kN + i * 8 + lane % 4 * 2 + e % 2;
      if (row < M && column < N) d[static_cast<long>(row) * N + column] = sums[i * 4 + e];
    }
  }
}

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                            const cuuint64_t*, const cuuint32_t*, const cuuint32_t*,
                            CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                            CUtensorMapFloatOOBfill);

CUtensorMap map_of(Encode encode, __nv_bfloat16* data, int rows, int columns) {
  CUtensorMap map;
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(columns) * 2};
  const cuuint32_t box[2] = {kK, 64}, steps[2] = {1, 1};
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, data, sizes, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    std::fprintf(stderr, "cuTensorMapEncodeTiled: error %d\n", static_cast<int>(result));
    std::exit(1);
  }
  return map;
}

int main() {
  const int M = 150, N = 100, K = 256;  // rows beyond the matrices arrive as zeros
  std::vector<__nv_bfloat16> a(M * K), b(N * K);
  for (int i = 0; i < M * K; ++i) a[i] = __float2bfloat16(noise(i, 7));
  for (int i = 0; i < N * K; ++i) b[i] = __float2bfloat16(noise(i, 8));
  DeviceArray<__nv_bfloat16> d_a(a), d_b(b);
  DeviceArray<float> d_d(M * N);
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found;
  CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault,
                                         &found));
  if (found != cudaDriverEntryPointSuccess) return 1;
  const auto encode = reinterpret_cast<Encode>(entry);
  const CUtensorMap a_map = map_of(encode, d_a.data, M, K), b_map = map_of(encode, d_b.data, N, K);
  const int bytes = kStages * 2 * kTileBytes;
  CHECK(cudaFuncSetAttribute(matmul, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  matmul<<<dim3((N + kN - 1) / kN, (M + kM - 1) / kM), 256, bytes>>>(a_map, b_map, d_d.data, M, N,
                                                                     K);
  CHECK(cudaGetLastError());
  const auto got = d_d.host();
  Comparison comparison;
  for (int i = 0; i < M; ++i) {
    for (int j = 0; j < N; ++j) {
      double expected = 0;
      for (int k = 0; k < K; ++k)
        expected += double{__bfloat162float(a[i * K + k])} * __bfloat162float(b[j * K + k]);
      comparison.add(got[i * N + j], expected, 1e-4, 0);
    }
  }
  return comparison.finish("wgmma with tensor maps");
}
