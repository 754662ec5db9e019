// Causal attention, forward: tiles of 64 queries x 64 keys, head dimension 64, bf16 products by
// mma.sync, operands by ldmatrix from swizzled shared memory, keys and values by cp.async in two
// buffers, online softmax.
#include <cuda_bf16.h>

#include "check.cuh"

constexpr int kRows = 64, kDepth = 64, kThreads = 128;
constexpr int kTileBytes = kRows * kDepth * 2;

// Byte offset of 8 values (16 bytes) in a tile of 128-byte rows; conflict-free for ldmatrix and for
// row copies.
__device__ int swizzled(int row, int chunk) {
  return row * 128 + ((chunk ^ (row % 8)) * 16);
}

__device__ unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

__device__ void copy_async(unsigned shared, const void* global, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global),
               "r"(valid ? 16 : 0)
               : "memory");
}

// 64 rows of one head from (T, 3, H, 64) to a tile; rows from T on are zero.
__device__ void load_tile(unsigned tile, const __nv_bfloat16* rows, int first, int length,
                          int stride) {
  for (int i = threadIdx.x; i < kRows * 8; i += kThreads) {
    const int row = i / 8, chunk = i % 8;
    const bool valid = first + row < length;
    copy_async(tile + swizzled(row, chunk),
               rows + static_cast<long>(valid ? first + row : 0) * stride + chunk * 8, valid);
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

__device__ void load_matrices(unsigned (&r)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

__device__ void load_matrices_transposed(unsigned (&r)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

__device__ void multiply(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ unsigned pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&pair);
}

__global__ void attention(const __nv_bfloat16* qkv, __nv_bfloat16* out, float* log_sums, int T,
                          int H, float scale) {
  __shared__ __align__(128) unsigned char shared[5 * kTileBytes];
  const unsigned base = shared_address(shared);
  const unsigned q_tile = base;
  const int stride = 3 * H * kDepth, head = blockIdx.y, first_query = blockIdx.x * kRows;
  const __nv_bfloat16* q = qkv + head * kDepth;
  const __nv_bfloat16* k = q + H * kDepth;
  const __nv_bfloat16* v = k + H * kDepth;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, in_group = lane % 4;

  load_tile(q_tile, q, first_query, T, stride);
  load_tile(base + kTileBytes, k, 0, T, stride);
  load_tile(base + 2 * kTileBytes, v, 0, T, stride);

  float accumulator[8][4] = {};
  float maximum[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
  unsigned q_fragments[4][4];
  const int tiles = first_query / kRows + 1;
  for (int tile = 0; tile < tiles; ++tile) {
    const unsigned k_tile = base + (1 + 2 * (tile % 2)) * kTileBytes, v_tile = k_tile + kTileBytes;
    if (tile + 1 < tiles) {
      const unsigned next = base + (1 + 2 * ((tile + 1) % 2)) * kTileBytes;
      load_tile(next, k, (tile + 1) * kRows, T, stride);
      load_tile(next + kTileBytes, v, (tile + 1) * kRows, T, stride);
      asm volatile("cp.async.wait_group 2;" ::: "memory");
    } else {
      asm volatile("cp.async.wait_group 0;" ::: "memory");
    }
    __syncthreads();
    if (tile == 0) {
      for (int i = 0; i < 4; ++i) {
        load_matrices(q_fragments[i], q_tile + swizzled(warp * 16 + lane % 16, 2 * i + lane / 16));
      }
    }
    float scores[8][4] = {};
    for (int i = 0; i < 4; ++i) {  // 16 of the 64 dimensions
#pragma unroll
      for (int j = 0; j < 4; ++j) {  // 16 of the 64 keys
        unsigned b[4];
        load_matrices(b,
                      k_tile + swizzled(j * 16 + lane % 8 + lane / 16 * 8, 2 * i + lane / 8 % 2));
        multiply(scores[2 * j], q_fragments[i], b[0], b[1]);
        multiply(scores[2 * j + 1], q_fragments[i], b[2], b[3]);
      }
    }
    for (int half = 0; half < 2; ++half) {
      const int query = first_query + warp * 16 + group + 8 * half;
      float largest = maximum[half];
      for (int j = 0; j < 8; ++j) {
        for (int e = 0; e < 2; ++e) {
          const int key = tile * kRows + j * 8 + in_group * 2 + e;
          float& score = scores[j][2 * half + e];
          score = key <= query ? score * scale : -INFINITY;
          largest = fmaxf(largest, score);
        }
      }
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFU, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFU, largest, 2));
      const float correction = __expf(maximum[half] - largest);
      maximum[half] = largest;
      float row_sum = 0;
      for (int j = 0; j < 8; ++j) {
        for (int e = 0; e < 2; ++e) {
          float& score = scores[j][2 * half + e];
          score = __expf(score - largest);
          row_sum += score;
          accumulator[j][2 * half + e] *= correction;
        }
      }
      sum[half] = sum[half] * correction + row_sum;
    }
    for (int i = 0; i < 4; ++i) {  // 16 of the 64 keys
      const unsigned p[4] = {pack(scores[2 * i][0], scores[2 * i][1]),
                             pack(scores[2 * i][2], scores[2 * i][3]),
                             pack(scores[2 * i + 1][0], scores[2 * i + 1][1]),
                             pack(scores[2 * i + 1][2], scores[2 * i + 1][3])};
#pragma unroll
      for (int j = 0; j < 4; ++j) {  // 16 of the 64 dimensions
        unsigned b[4];
        load_matrices_transposed(b, v_tile + swizzled(i * 16 + lane % 16, 2 * j + lane / 16));
        multiply(accumulator[2 * j], p, b[0], b[1]);
        multiply(accumulator[2 * j + 1], p, b[2], b[3]);
      }
    }
    __syncthreads();
  }
  for (int half = 0; half < 2; ++half) {
    const int query = first_query + warp * 16 + group + 8 * half;
    float total = sum[half];
    total += __shfl_xor_sync(0xFFFFFFFFU, total, 1);
    total += __shfl_xor_sync(0xFFFFFFFFU, total, 2);
    if (query >= T) continue;
    for (int j = 0; j < 8; ++j) {
      const unsigned pair =
          pack(accumulator[j][2 * half] / total, accumulator[j][2 * half + 1] / total);
      *reinterpret_cast<unsigned*>(out + (static_cast<long>(query) * H + head) * kDepth + j * 8 +
                                   in_group * 2) = pair;
    }
    if (in_group == 0) log_sums[head * T + query] = maximum[half] + __logf(total);
  }
}

int main() {
  const int T = 200, H = 2;
  std::vector<__nv_bfloat16> qkv(T * 3 * H * kDepth);
  for (std::size_t i = 0; i < qkv.size(); ++i)
    qkv[i] = __float2bfloat16(2 * noise(static_cast<unsigned>(i)));
  DeviceArray<__nv_bfloat16> d_qkv(qkv), out(T * H * kDepth);
  DeviceArray<float> log_sums(H * T);
  const float scale = 0.125F;
  attention<<<dim3((T + kRows - 1) / kRows, H), kThreads>>>(d_qkv.data, out.data, log_sums.data, T,
                                                            H, scale);
  CHECK(cudaGetLastError());
  const auto got = out.host();
  const auto got_sums = log_sums.host();
  const auto value = [&](int t, int part, int h, int d) {
    return static_cast<double>(__bfloat162float(qkv[((t * 3 + part) * H + h) * kDepth + d]));
  };
  Comparison comparison;
  for (int h = 0; h < H; ++h) {
    for (int t = 0; t < T; ++t) {
      std::vector<double> weights(t + 1);
      double sum = 0, result[kDepth] = {};
      for (int s = 0; s <= t; ++s) {
        double score = 0;
        for (int d = 0; d < kDepth; ++d) score += value(t, 0, h, d) * value(s, 1, h, d);
        sum += weights[s] = std::exp(score * scale);
      }
      for (int s = 0; s <= t; ++s) {
        for (int d = 0; d < kDepth; ++d) result[d] += weights[s] / sum * value(s, 2, h, d);
      }
      // Probabilities and the result are rounded to bf16: 2^-9 each, of values up to 2.
      for (int d = 0; d < kDepth; ++d) {
        comparison.add(__bfloat162float(got[(t * H + h) * kDepth + d]), result[d], 2.0 / 512,
                       1.0 / 256);
      }
      comparison.add(got_sums[h * T + t], std::log(sum), 1e-4, 1e-5);
    }
  }
  return comparison.finish("attention with mma, ldmatrix and cp.async");
}
