#pragma once
// Programs of several cases: the first argument names the one to run.

#include <cstring>

#include "check.cuh"

struct Case {
  const char* name;
  int (*run)();
};

// Returns the case's exit code; 2 for an unknown name.
template <std::size_t N>
int run_case(const Case (&cases)[N], int argc, char** argv) {
  for (const Case& one : cases) {
    if (argc == 2 && std::strcmp(argv[1], one.name) == 0) return one.run();
  }
  std::fprintf(stderr, "usage: program CASE\n");
  return 2;
}

// Ends the case unless it holds.
#define EXPECT(condition)                                         \
  do {                                                            \
    if (!(condition)) {                                           \
      std::printf("line %d: not so: %s\n", __LINE__, #condition); \
      return 1;                                                   \
    }                                                             \
  } while (0)
#define EXPECT_STATUS(call, status)                                                        \
  do {                                                                                     \
    const cudaError_t got = (call);                                                        \
    if (got != (status)) {                                                                 \
      std::printf("line %d: %s gave %d, not %d\n", __LINE__, #call, static_cast<int>(got), \
                  static_cast<int>(status));                                               \
      return 1;                                                                            \
    }                                                                                      \
  } while (0)

static __global__ void add_one(float* values, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) values[i] += 1;
}
inline void launch_add_one(float* values, int count, cudaStream_t stream = nullptr) {
  add_one<<<(count + 127) / 128, 128, 0, stream>>>(values, count);
}
