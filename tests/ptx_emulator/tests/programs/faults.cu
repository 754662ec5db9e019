// Every fault that the emulator names, and beside it an innocent twin that does nearly the same and
// must stay silent:
//   faults CASE bad|good
// The kernels take `bad` as an argument, so that both run the same code. Prints the status that the
// runtime gave.
#include <cuda_pipeline.h>

#include <cassert>
#include <cstring>

#include "check.cuh"

__global__ void global_bounds(float* data, int n, bool bad) {
  data[bad ? n + 64 * threadIdx.x : threadIdx.x] = 1;
}

__global__ void global_read_bounds(const float* data, float* out, int n, bool bad) {
  out[threadIdx.x] = data[bad ? threadIdx.x - 40 : threadIdx.x];
}

__global__ void shared_bounds(float* out, int bytes, bool bad) {
  extern __shared__ float tile[];
  tile[bad ? bytes / 4 + threadIdx.x : threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = bad ? 0 : tile[threadIdx.x];
}

__global__ void local_bounds(float* out, int index) {
  float values[8];
  for (int i = 0; i < 8; ++i) values[i] = i;
  out[threadIdx.x] = values[index + static_cast<int>(threadIdx.x) % 2];
}

__global__ void misaligned(float* data, bool bad) {
  *reinterpret_cast<float4*>(reinterpret_cast<char*>(data) + (bad ? 4 : 16) + 16 * threadIdx.x) =
      float4{};
}

__global__ void fill(float* data, float value, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) data[i] = value;
}

__global__ void write_constant(const float* data) {
  const_cast<float*>(data)[threadIdx.x] = 1;
}
__constant__ float table[32];

__global__ void asserting(int limit) {
  assert(static_cast<int>(threadIdx.x) < limit);
}

__global__ void trapping(bool bad) {
  if (bad && threadIdx.x == 5) __trap();
}

__global__ void divergent_barrier(float* out, bool bad) {
  __shared__ float tile[64];
  tile[threadIdx.x] = threadIdx.x;
  if (!bad || threadIdx.x % 2 == 0) __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
}

// Threads that have ended do not count; threads that wait elsewhere for ever do.
__global__ void barrier_deadlock(int* out, bool bad) {
  __shared__ int ready;
  if (threadIdx.x < 32) {
    asm volatile("bar.sync 1, 64;" ::: "memory");
    ready = 1;
  } else {
    if (bad) {
      asm volatile("bar.sync 2, 64;" ::: "memory");
    } else {
      asm volatile("bar.sync 1, 64;" ::: "memory");
    }
  }
  __syncthreads();
  out[threadIdx.x] = ready;
}

__global__ void endless(volatile int* flag, bool bad) {
  while (bad && *flag == 0) {
  }
  flag[1] = 1;
}

__global__ void shared_race(float* out, bool bad) {
  __shared__ float tile[64];
  tile[threadIdx.x] = threadIdx.x;
  if (!bad) __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];
}

// The second barrier of a loop: without it a warp overwrites what another still reads.
__global__ void shared_race_reuse(float* out, bool bad) {
  __shared__ float tile[64];
  float sum = 0;
  for (int i = 0; i < 3; ++i) {
    tile[threadIdx.x] = threadIdx.x + i;
    __syncthreads();
    sum += tile[(threadIdx.x + 32) % 64];
    if (!bad) __syncthreads();
  }
  out[threadIdx.x] = sum;
}

__global__ void warp_race(float* out, bool bad) {
  __shared__ float tile[32];
  tile[threadIdx.x] = threadIdx.x;
  if (!bad) __syncwarp();
  out[threadIdx.x] = tile[31 - threadIdx.x];
}

// Threads of two warps write neighbouring bytes, which is no race, and then read each other's.
__global__ void byte_race(float* out, bool bad) {
  __shared__ unsigned char bytes[64];
  const int own = static_cast<int>(threadIdx.x % 32 * 2 + threadIdx.x / 32);
  bytes[own] = static_cast<unsigned char>(threadIdx.x);
  if (!bad) __syncthreads();
  out[threadIdx.x] = bytes[own ^ 1];
}

__global__ void block_race(float* data, float* out, bool bad) {
  data[threadIdx.x] = threadIdx.x;
  if (!bad) __syncthreads();
  out[threadIdx.x] = data[63 - threadIdx.x];
}

__global__ void global_race(float* out, bool bad) {
  if (threadIdx.x == 0) {
    if (bad) {
      *out += 1;
    } else {
      atomicAdd(out, 1.0F);
    }
  }
}

__device__ unsigned arrived;
// The last block reads what the others wrote: right only with a fence before the ticket.
__global__ void last_block(float* partial, float* out, bool bad) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = blockIdx.x;
    if (!bad) __threadfence();
    last = atomicAdd(&arrived, 1) == gridDim.x - 1;
    if (last) {
      if (!bad) __threadfence();
      float sum = 0;
      for (unsigned i = 0; i < gridDim.x; ++i) sum += partial[i];
      *out = sum;
    }
  }
}

__global__ void uninitialised_global(const float* in, float* out) {
  out[threadIdx.x] = in[threadIdx.x];
}

__global__ void uninitialised_shared(float* out, bool bad) {
  __shared__ float tile[64];
  if (!bad || threadIdx.x < 60) tile[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
}

// A copy that has not been waited for.
__global__ void async_copy(const float* in, float* out, bool bad) {
  __shared__ __align__(16) float tile[128];
  __pipeline_memcpy_async(tile + 4 * threadIdx.x, in + 4 * threadIdx.x, 16);
  __pipeline_commit();
  if (!bad) __pipeline_wait_prior(0);
  out[threadIdx.x] = tile[4 * threadIdx.x];
}

__global__ void invalid_mask(int* out, bool bad) {
  if (threadIdx.x < 16)
    out[threadIdx.x] =
        __shfl_sync(bad ? 0xFFFF0000U : 0x0000FFFFU, static_cast<int>(threadIdx.x), 3);
}

__device__ __noinline__ int deep(int n) {
  volatile int frame[64];
  frame[n % 64] = n;
  return n == 0 ? 0 : deep(n - 1) + frame[n % 64];
}
__global__ void recursion(int* out, int depth) {
  out[threadIdx.x] = deep(depth);
}

void report() {
  const cudaError_t status = cudaDeviceSynchronize();
  std::printf("status %d %s\n", static_cast<int>(status), cudaGetErrorName(status));
}

// Runs a case; false where the name is none.
bool run(const char* name, bool bad) {
  const auto is = [&](const char* other) { return std::strcmp(name, other) == 0; };
  float *data = nullptr, *out = nullptr;
  CHECK(cudaMalloc(&data, 4096));
  CHECK(cudaMalloc(&out, 4096));
  CHECK(cudaMemset(out, 0, 4096));
  if (!is("uninitialised_global")) CHECK(cudaMemset(data, 0, 4096));
  if (is("global_bounds")) {
    global_bounds<<<1, 64>>>(data, 1024, bad);
  } else if (is("global_read_bounds")) {
    global_read_bounds<<<1, 64>>>(data, out, 1024, bad);
  } else if (is("shared_bounds")) {
    shared_bounds<<<1, 64, 256>>>(out, 256, bad);
  } else if (is("local_bounds")) {
    local_bounds<<<1, 64>>>(out, bad ? 1 << 20 : 2);
  } else if (is("misaligned")) {
    misaligned<<<1, 32>>>(data, bad);
  } else if (is("use_after_free")) {
    float* freed = nullptr;
    CHECK(cudaMalloc(&freed, 4096));
    if (bad) CHECK(cudaFree(freed));
    fill<<<1, 64>>>(freed, 1, 64);
    report();
    if (!bad) CHECK(cudaFree(freed));
  } else if (is("host_pointer")) {
    static float host[64];
    float* pinned = nullptr;
    CHECK(cudaMallocHost(&pinned, sizeof host));
    fill<<<1, 64>>>(bad ? host : pinned, 1, 64);
  } else if (is("device_pointer_on_host")) {
    float* pinned = nullptr;
    CHECK(cudaMallocHost(&pinned, 4096));
    std::printf("first value %g\n",
                static_cast<double>(*static_cast<volatile float*>(bad ? data + 3 : pinned)));
  } else if (is("copy_past_end")) {
    std::vector<float> host(2048);
    const cudaError_t status =
        cudaMemcpy(host.data(), data, bad ? 8192 : 4096, cudaMemcpyDeviceToHost);
    std::printf("copy %d %s\n", static_cast<int>(status), cudaGetErrorName(status));
  } else if (is("write_constant")) {
    void* address = nullptr;
    CHECK(cudaGetSymbolAddress(&address, table));
    write_constant<<<1, 32>>>(bad ? static_cast<const float*>(address) : data);
  } else if (is("device_assert")) {
    asserting<<<2, 64>>>(bad ? 63 : 64);
  } else if (is("trap")) {
    trapping<<<1, 32>>>(bad);
  } else if (is("divergent_barrier")) {
    divergent_barrier<<<1, 64>>>(out, bad);
  } else if (is("barrier_deadlock")) {
    barrier_deadlock<<<1, 64>>>(reinterpret_cast<int*>(out), bad);
  } else if (is("endless_loop")) {
    endless<<<1, 32>>>(reinterpret_cast<int*>(out), bad);
  } else if (is("shared_race")) {
    shared_race<<<1, 64>>>(out, bad);
  } else if (is("shared_race_reuse")) {
    shared_race_reuse<<<1, 64>>>(out, bad);
  } else if (is("warp_race")) {
    warp_race<<<1, 32>>>(out, bad);
  } else if (is("byte_race")) {
    byte_race<<<1, 64>>>(out, bad);
  } else if (is("block_race")) {
    block_race<<<1, 64>>>(data, out, bad);
  } else if (is("global_race")) {
    global_race<<<4, 32>>>(out, bad);
  } else if (is("missing_fence")) {
    last_block<<<8, 32>>>(data, out, bad);
  } else if (is("uninitialised_global")) {
    if (!bad) CHECK(cudaMemset(data, 0, 4096));
    uninitialised_global<<<1, 64>>>(data, out);
  } else if (is("uninitialised_shared")) {
    uninitialised_shared<<<1, 64>>>(out, bad);
  } else if (is("async_copy")) {
    async_copy<<<1, 32>>>(data, out, bad);
  } else if (is("invalid_mask")) {
    invalid_mask<<<1, 32>>>(reinterpret_cast<int*>(out), bad);
  } else if (is("stack_overflow")) {
    recursion<<<1, 32>>>(reinterpret_cast<int*>(out), bad ? 100000 : 3);
  } else {
    return false;
  }
  report();
  return true;
}

int main(int argc, char** argv) {
  if (argc != 3 || (std::strcmp(argv[2], "bad") != 0 && std::strcmp(argv[2], "good") != 0) ||
      !run(argv[1], std::strcmp(argv[2], "bad") == 0)) {
    std::fprintf(stderr, "usage: faults CASE bad|good\n");
    return 2;
  }
  return 0;
}
