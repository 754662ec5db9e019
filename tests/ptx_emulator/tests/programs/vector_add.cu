// c = a + b, with a ragged end.
#include "check.cuh"

__global__ void vector_add(const float* a, const float* b, float* c, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}

int main() {
  const int n = 100003;
  std::vector<float> a(n), b(n);
  for (int i = 0; i < n; ++i) {
    a[i] = noise(i, 1);
    b[i] = noise(i, 2);
  }
  DeviceArray<float> d_a(a), d_b(b), d_c(n);
  vector_add<<<(n + 255) / 256, 256>>>(d_a.data, d_b.data, d_c.data, n);
  CHECK(cudaGetLastError());
  const std::vector<float> c = d_c.host();
  Comparison comparison;
  for (int i = 0; i < n; ++i) comparison.add(c[i], a[i] + b[i], 0, 0);
  return comparison.finish("vector add");
}
