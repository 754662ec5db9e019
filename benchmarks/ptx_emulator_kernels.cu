// Kernels for the speed of the PTX emulator: arithmetic in registers, streaming memory, shared
// memory and barriers, integer
// addresses, and a layer norm with a warp for each row.

extern "C" {
__global__ void fma_loop(float* out, int n, float a, float b) {
  float x0 = threadIdx.x, x1 = x0 + 1, x2 = x0 + 2, x3 = x0 + 3;
  for (int i = 0; i < n; ++i) {
    x0 = x0 * a + b;
    x1 = x1 * a + b;
    x2 = x2 * a + b;
    x3 = x3 * a + b;
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = x0 + x1 + x2 + x3;
}
__global__ void saxpy(float* y, const float* x, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
__global__ void reduce(float* out, const float* in, int n) {
  __shared__ float s[256];
  float acc = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    acc += in[i];
  s[threadIdx.x] = acc;
  __syncthreads();
  for (int d = 128; d > 0; d >>= 1) {
    if (threadIdx.x < d) s[threadIdx.x] += s[threadIdx.x + d];
    __syncthreads();
  }
  if (threadIdx.x == 0) atomicAdd(out, s[0]);
}
__global__ void addresses(unsigned* out, const unsigned* in, int n, unsigned mask) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x, acc = 0, h = i;
  for (int k = 0; k < n; ++k) {
    h = h * 1664525u + 1013904223u;
    acc ^= in[((h >> 9) ^ k) & mask];
  }
  out[i] = acc;
}
__global__ void layernorm(float* out, const float* in, const float* w, const float* b, int C) {
  int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x & 31;
  const float* x = in + (size_t)row * C;
  float* y = out + (size_t)row * C;
  float s = 0;
  for (int i = lane; i < C; i += 32) s += x[i];
  for (int d = 16; d; d >>= 1) s += __shfl_xor_sync(~0u, s, d);
  float m = s / C, v = 0;
  for (int i = lane; i < C; i += 32) {
    float t = x[i] - m;
    v += t * t;
  }
  for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(~0u, v, d);
  float r = rsqrtf(v / C + 1e-5f);
  for (int i = lane; i < C; i += 32) y[i] = (x[i] - m) * r * w[i] + b[i];
}
}
