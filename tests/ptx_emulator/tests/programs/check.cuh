#pragma once
// What the test programs share: errors end the program, comparisons keep NaN, the last line says
// how it went.

#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

inline void check(cudaError_t status, const char* what, int line) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "line %d: %s: %s (%d)\n", line, what, cudaGetErrorString(status),
               static_cast<int>(status));
  std::exit(1);
}
#define CHECK(call) check((call), #call, __LINE__)

// Numbers that look random and are the same everywhere: in [-1, 1).
inline float noise(unsigned index, unsigned seed = 1) {
  unsigned x = index * 2654435761U + seed * 40503U;
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  x ^= x >> 16;
  return static_cast<float>(x >> 8) / 8388608.0F - 1.0F;
}

template <typename T>
struct DeviceArray {
  explicit DeviceArray(std::size_t count) : size(count) {
    CHECK(cudaMalloc(&data, count * sizeof(T)));
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    CHECK(cudaMemcpy(data, values.data(), size * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~DeviceArray() { cudaFree(data); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  std::vector<T> host() const {
    std::vector<T> values(size);
    CHECK(cudaMemcpy(values.data(), data, size * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }
  T* data = nullptr;
  std::size_t size;
};

struct Comparison {
  double worst = 0;  // |got - expected| - relative * |expected|, at most
  std::size_t at = 0, wrong = 0, count = 0;
  // A NaN never passes, unlike in fmax(worst, difference).
  void add(double got, double expected, double absolute, double relative) {
    const double difference = std::fabs(got - expected) - relative * std::fabs(expected);
    if (!(difference <= absolute)) {
      if (wrong++ == 0) at = count;
    }
    if (!(difference <= worst)) worst = difference;
    ++count;
  }
  // The program's exit code.
  int finish(const char* name) const {
    if (wrong == 0) {
      std::printf("%s: right, %zu values, worst difference %.3g\n", name, count, worst);
      return 0;
    }
    std::printf("%s: WRONG, %zu of %zu values, the first is number %zu, worst difference %.3g\n",
                name, wrong, count, at, worst);
    return 1;
  }
};
