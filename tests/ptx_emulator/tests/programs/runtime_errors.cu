// The codes that the runtime returns for what a program does wrong, and what it says.
#include "runtime_case.cuh"

namespace {

__constant__ int table[4] = {1, 2, 3, 4};
__device__ float counter = 2.5f;
__global__ void sum_table(int* out) {
  *out = table[0] + table[1] + table[2] + table[3];
}
__global__ void __launch_bounds__(64) bounded(int* out) {
  *out = 1;
}
__global__ void shared_user(int* out) {
  extern __shared__ int scratch[];
  scratch[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  *out = scratch[0];
}

int* device_int() {
  int* pointer;
  CHECK(cudaMalloc(&pointer, sizeof(int)));
  return pointer;
}

int symbols() {
  int* out = device_int();
  const int values[2] = {10, 20};
  CHECK(cudaMemcpyToSymbol(table, values, sizeof values, sizeof(int)));
  sum_table<<<1, 1>>>(out);
  int sum = 0;
  CHECK(cudaMemcpy(&sum, out, sizeof sum, cudaMemcpyDeviceToHost));
  EXPECT(sum == 1 + 10 + 20 + 4);
  void* address;
  std::size_t bytes;
  CHECK(cudaGetSymbolAddress(&address, counter));
  CHECK(cudaGetSymbolSize(&bytes, counter));
  float value = 0;
  CHECK(cudaMemcpyFromSymbol(&value, counter, sizeof value));
  EXPECT(bytes == 4 && value == 2.5f && address != nullptr);
  EXPECT_STATUS(cudaMemcpyToSymbol(table, values, sizeof values, 12), cudaErrorInvalidValue);
  EXPECT_STATUS(cudaGetSymbolSize(&bytes, values), cudaErrorInvalidSymbol);
  cudaGetLastError();
  return 0;
}

int launches() {
  int* out = device_int();
  const auto status = [] { return cudaGetLastError(); };
  bounded<<<0, 32>>>(out);
  EXPECT_STATUS(status(), cudaErrorInvalidConfiguration);
  bounded<<<1, 0>>>(out);
  EXPECT_STATUS(status(), cudaErrorInvalidConfiguration);
  bounded<<<1, 1025>>>(out);
  EXPECT_STATUS(status(), cudaErrorInvalidConfiguration);
  bounded<<<1, dim3(1, 1, 65)>>>(out);
  EXPECT_STATUS(status(), cudaErrorInvalidConfiguration);
  bounded<<<dim3(1, 65536), 1>>>(out);
  EXPECT_STATUS(status(), cudaErrorInvalidConfiguration);
  bounded<<<1, 65>>>(out);
  EXPECT_STATUS(status(), cudaErrorLaunchOutOfResources);
  shared_user<<<1, 32, 49 * 1024>>>(out);
  EXPECT_STATUS(status(), cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(shared_user, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 * 1024));
  shared_user<<<1, 32, 49 * 1024>>>(out);
  EXPECT_STATUS(status(), cudaSuccess);
  EXPECT_STATUS(
      cudaFuncSetAttribute(shared_user, cudaFuncAttributeMaxDynamicSharedMemorySize, 300 * 1024),
      cudaErrorInvalidValue);
  void* arguments[] = {&out};
  EXPECT_STATUS(cudaLaunchKernel(reinterpret_cast<const void*>(&printf), dim3(1), dim3(1),
                                 arguments, 0, nullptr),
                cudaErrorInvalidDeviceFunction);
  EXPECT_STATUS(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(bounded), dim3(1 << 20),
                                            dim3(64), arguments, 0, nullptr),
                cudaErrorCooperativeLaunchTooLarge);
  cudaGetLastError();
  cudaFuncAttributes attributes;
  CHECK(cudaFuncGetAttributes(&attributes, bounded));
  EXPECT(attributes.maxThreadsPerBlock == 64 && attributes.numRegs > 0);
  int blocks = 0;
  CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, shared_user, 32, 40 * 1024));
  EXPECT(blocks == 4);
  CHECK(cudaDeviceSynchronize());
  return 0;
}

int copies() {
  char* device;
  CHECK(cudaMalloc(&device, 1000));
  std::vector<char> host(4000);
  EXPECT_STATUS(cudaMemcpy(device, host.data(), 1001, cudaMemcpyHostToDevice),
                cudaErrorInvalidValue);
  EXPECT_STATUS(cudaMemcpy(host.data(), device + 500, 501, cudaMemcpyDeviceToHost),
                cudaErrorInvalidValue);
  EXPECT_STATUS(cudaMemcpy(device, host.data(), ~std::size_t{0}, cudaMemcpyHostToDevice),
                cudaErrorInvalidValue);
  EXPECT_STATUS(cudaMemcpy(host.data(), host.data(), 10, cudaMemcpyHostToDevice),
                cudaErrorInvalidValue);
  EXPECT_STATUS(cudaMemcpy(host.data(), device, 10, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_STATUS(cudaMemcpy(device, host.data(), 10, static_cast<cudaMemcpyKind>(9)),
                cudaErrorInvalidMemcpyDirection);
  EXPECT_STATUS(cudaMemset(device + 1, 0, 1000), cudaErrorInvalidValue);
  EXPECT_STATUS(cudaMemset(host.data(), 0, 10), cudaErrorInvalidValue);
  EXPECT_STATUS(cudaFree(device + 1), cudaErrorInvalidValue);
  EXPECT_STATUS(cudaFreeHost(device), cudaErrorInvalidValue);
  CHECK(cudaFree(device));
  EXPECT_STATUS(cudaFree(device), cudaErrorInvalidValue);
  EXPECT_STATUS(cudaMemcpy(device, host.data(), 10, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  CHECK(cudaFree(nullptr));
  void* much = nullptr;
  EXPECT_STATUS(cudaMalloc(&much, std::size_t{1} << 50), cudaErrorMemoryAllocation);
  EXPECT_STATUS(cudaStreamSynchronize(reinterpret_cast<cudaStream_t>(&much)),
                cudaErrorInvalidResourceHandle);
  EXPECT_STATUS(cudaPeekAtLastError(), cudaErrorInvalidResourceHandle);
  EXPECT_STATUS(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  EXPECT_STATUS(cudaGetLastError(), cudaSuccess);
  return 0;
}

// A fault ends the device: every call returns its code, and reading the last error does not clear
// it.
int sticky() {
  float* values;
  CHECK(cudaMalloc(&values, 4));
  launch_add_one(values, 1000);
  EXPECT_STATUS(cudaGetLastError(), cudaSuccess);
  EXPECT_STATUS(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  EXPECT_STATUS(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_STATUS(cudaGetLastError(), cudaErrorIllegalAddress);
  void* more;
  EXPECT_STATUS(cudaMalloc(&more, 4), cudaErrorIllegalAddress);
  CHECK(cudaDeviceReset());
  EXPECT_STATUS(cudaMalloc(&more, 4), cudaSuccess);
  return 0;
}

int host_touch() {
  float* values;
  CHECK(cudaMalloc(&values, 400));
  std::printf("%g\n", values[3]);
  return 0;
}
int host_touch_freed() {
  float* values;
  CHECK(cudaMallocHost(&values, 400));
  values[3] = 1;
  CHECK(cudaFreeHost(values));
  std::printf("%g\n", values[3]);
  return 0;
}

int unsupported() {
  cudaArray_t array;
  cudaChannelFormatDesc description{};
  EXPECT_STATUS(cudaMallocArray(&array, &description, 4, 4), cudaErrorNotSupported);
  EXPECT_STATUS(cudaMallocArray(&array, &description, 4, 4), cudaErrorNotSupported);
  cudaGetLastError();
  return 0;
}

int unwaited() {
  float* values;
  CHECK(cudaMalloc(&values, 4000));
  launch_add_one(values, 1000);
  return 0;
}

const char* const kPtx = R"(.version 7.0
.target sm_80
.address_size 64
.visible .global .align 4 .u32 offset = 5;
.visible .entry store(.param .u64 where, .param .u32 value) {
  .reg .b64 %rd<3>; .reg .b32 %r<4>;
  ld.param.u64 %rd1, [where];
  ld.param.u32 %r1, [value];
  ld.global.u32 %r2, [offset];
  add.u32 %r3, %r1, %r2;
  st.global.u32 [%rd1], %r3;
  ret;
}
)";

// Code that the program brings as text.
int library() {
  cudaLibrary_t loaded;
  CHECK(cudaLibraryLoadData(&loaded, kPtx, nullptr, nullptr, 0, nullptr, nullptr, 0));
  cudaKernel_t store;
  CHECK(cudaLibraryGetKernel(&store, loaded, "store"));
  EXPECT_STATUS(cudaLibraryGetKernel(&store, loaded, "absent"), cudaErrorSymbolNotFound);
  unsigned count = 0;
  CHECK(cudaLibraryGetKernelCount(&count, loaded));
  EXPECT(count == 1);
  int* out = device_int();
  int value = 37, result = 0;
  void* arguments[] = {&out, &value};
  CHECK(cudaLaunchKernel(reinterpret_cast<const void*>(store), dim3(1), dim3(1), arguments, 0,
                         nullptr));
  CHECK(cudaMemcpy(&result, out, sizeof result, cudaMemcpyDeviceToHost));
  EXPECT(result == 42);
  CHECK(cudaLibraryUnload(loaded));
  EXPECT_STATUS(cudaLibraryLoadData(&loaded, ".version 7.0\n.target sm_80\n.entry {", nullptr,
                                    nullptr, 0, nullptr, nullptr, 0),
                cudaErrorInvalidPtx);
  cudaGetLastError();
  return 0;
}

int driver() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  CHECK(cudaGetDriverEntryPointByVersion("cuDeviceGetCount", &function, 12000, cudaEnableDefault,
                                         &found));
  int count = 0;
  EXPECT(found == cudaDriverEntryPointSuccess);
  EXPECT(reinterpret_cast<int (*)(int*)>(function)(&count) == 0 && count == 1);
  CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                         cudaEnableDefault, &found));
  EXPECT(function != nullptr);
  CHECK(cudaGetDriverEntryPointByVersion("cuNoSuchThing", &function, 12000, cudaEnableDefault,
                                         &found));
  EXPECT(function == nullptr && found == cudaDriverEntryPointSymbolNotFound);
  return 0;
}

int properties() {
  cudaDeviceProp p;
  CHECK(cudaGetDeviceProperties(&p, 0));
  int count = 0, attribute = 0;
  CHECK(cudaGetDeviceCount(&count));
  CHECK(cudaDeviceGetAttribute(&attribute, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  EXPECT(static_cast<std::size_t>(attribute) == p.sharedMemPerBlockOptin);
  std::printf("%s %d.%d %d devices\n", p.name, p.major, p.minor, count);
  EXPECT_STATUS(cudaSetDevice(count), cudaErrorInvalidDevice);
  EXPECT(std::strcmp(cudaGetErrorName(cudaErrorInvalidDevice), "cudaErrorInvalidDevice") == 0);
  if (count > 1) {
    float *here, *there;
    CHECK(cudaMalloc(&here, 400));
    CHECK(cudaMemset(here, 0, 400));
    CHECK(cudaSetDevice(1));
    CHECK(cudaMalloc(&there, 400));
    CHECK(cudaMemset(there, 0, 400));
    CHECK(cudaDeviceEnablePeerAccess(0, 0));
    EXPECT_STATUS(cudaDeviceEnablePeerAccess(0, 0), cudaErrorPeerAccessAlreadyEnabled);
    launch_add_one(here, 100);  // device 1 reaches into device 0
    CHECK(cudaMemcpyPeer(there, 1, here, 0, 400));
    float value = 0;
    CHECK(cudaMemcpy(&value, there + 99, 4, cudaMemcpyDeviceToHost));
    EXPECT(value == 1);
  }
  cudaGetLastError();
  return 0;
}

constexpr Case kCases[] = {{"symbols", symbols},         {"launches", launches},
                           {"copies", copies},           {"library", library},
                           {"driver", driver},           {"sticky", sticky},
                           {"host_touch", host_touch},   {"host_touch_freed", host_touch_freed},
                           {"unsupported", unsupported}, {"unwaited", unwaited},
                           {"properties", properties}};

}  // namespace

int main(int argc, char** argv) {
  return run_case(kCases, argc, argv);
}
