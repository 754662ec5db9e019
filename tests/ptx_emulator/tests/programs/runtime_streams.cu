// Streams, events and copies: what must be ordered is, what need not be is seen late.
#include <chrono>
#include <thread>

#include <dlfcn.h>

#include "runtime_case.cuh"

namespace {

constexpr int kCount = 1000;
constexpr std::size_t kBytes = kCount * sizeof(float);

struct TwoStreams {
  TwoStreams() {
    CHECK(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    CHECK(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    CHECK(cudaMalloc(&values, kBytes));
    CHECK(cudaMallocHost(&host, kBytes));
    CHECK(cudaMemset(values, 0, kBytes));
    CHECK(cudaDeviceSynchronize());
  }
  cudaStream_t a = nullptr, b = nullptr;
  float* values = nullptr;
  float* host = nullptr;
};

// Prints 5 where the consumer saw all five additions.
int consume(bool wait) {
  TwoStreams t;
  cudaEvent_t ready;
  CHECK(cudaEventCreate(&ready));
  for (int i = 0; i < 5; ++i) launch_add_one(t.values, kCount, t.a);
  CHECK(cudaEventRecord(ready, t.a));
  if (wait) CHECK(cudaStreamWaitEvent(t.b, ready, 0));
  CHECK(cudaMemcpyAsync(t.host, t.values, kBytes, cudaMemcpyDeviceToHost, t.b));
  CHECK(cudaDeviceSynchronize());
  std::printf("saw %g\n", t.host[kCount - 1]);
  return 0;
}
int missing_wait() {
  return consume(false);
}
int with_wait() {
  return consume(true);
}

// The target of a late copy is read before anybody waited for it.
int missing_synchronise() {
  TwoStreams t;
  t.host[0] = -1;
  launch_add_one(t.values, kCount, t.a);
  CHECK(cudaMemcpyAsync(t.host, t.values, kBytes, cudaMemcpyDeviceToHost, t.a));
  std::printf("saw %g", t.host[0]);
  CHECK(cudaStreamSynchronize(t.a));
  std::printf(" then %g\n", t.host[0]);
  return 0;
}

// A pinned source is read when the copy runs, a pageable one before the call returns.
int source_reuse() {
  TwoStreams t;
  std::vector<float> pageable(kCount, 3);
  float back = 0;
  for (float* source : {t.host, pageable.data()}) {
    source[7] = 3;
    CHECK(cudaMemcpyAsync(t.values, source, kBytes, cudaMemcpyHostToDevice, t.a));
    source[7] = 4;
    CHECK(cudaStreamSynchronize(t.a));
    CHECK(cudaMemcpy(&back, t.values + 7, sizeof back, cudaMemcpyDeviceToHost));
    std::printf("%g ", back);
  }
  std::printf("\n");
  return 0;
}

// The legacy default stream and blocking streams wait for each other.
int default_stream() {
  constexpr int kRounds = 6;
  cudaStream_t blocking;
  CHECK(cudaStreamCreate(&blocking));
  float *values, *copies;
  CHECK(cudaMalloc(&values, kBytes));
  CHECK(cudaMalloc(&copies, kRounds * kBytes));
  CHECK(cudaMemsetAsync(values, 0, kBytes, blocking));
  for (int i = 0; i < kRounds; ++i) {
    launch_add_one(values, kCount);
    CHECK(cudaMemcpyAsync(copies + i * kCount, values, kBytes, cudaMemcpyDeviceToDevice, blocking));
  }
  std::vector<float> host(kRounds * kCount);
  CHECK(cudaMemcpy(host.data(), copies, kRounds * kBytes, cudaMemcpyDeviceToHost));
  for (int i = 0; i < kRounds; ++i) EXPECT(host[i * kCount + 1] == static_cast<float>(i + 1));
  CHECK(cudaStreamDestroy(blocking));
  CHECK(cudaFree(values));
  CHECK(cudaFree(copies));
  return 0;
}

int events() {
  TwoStreams t;
  cudaEvent_t begin, end, untimed;
  CHECK(cudaEventCreate(&begin));
  CHECK(cudaEventCreate(&end));
  CHECK(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
  float ms = -1;
  EXPECT_STATUS(cudaEventQuery(begin), cudaSuccess);
  EXPECT_STATUS(cudaEventElapsedTime(&ms, begin, end), cudaErrorInvalidResourceHandle);
  CHECK(cudaEventRecord(begin, t.a));
  launch_add_one(t.values, kCount, t.a);
  CHECK(cudaEventRecord(end, t.a));
  EXPECT_STATUS(cudaEventElapsedTime(&ms, begin, end), cudaErrorNotReady);
  EXPECT_STATUS(cudaStreamQuery(t.a), cudaErrorNotReady);
  int polls = 0;
  while (cudaEventQuery(end) == cudaErrorNotReady) ++polls;
  EXPECT(polls >= 1 && polls < 10);
  EXPECT_STATUS(cudaStreamQuery(t.a), cudaSuccess);
  CHECK(cudaEventElapsedTime(&ms, begin, end));
  EXPECT(ms > 0 && ms < 60000);
  CHECK(cudaEventRecord(untimed, t.a));
  CHECK(cudaEventSynchronize(untimed));
  EXPECT_STATUS(cudaEventElapsedTime(&ms, begin, untimed), cudaErrorInvalidResourceHandle);
  CHECK(cudaEventDestroy(untimed));
  EXPECT_STATUS(cudaEventQuery(untimed), cudaErrorInvalidResourceHandle);
  cudaGetLastError();
  return 0;
}

void CUDART_CB append(void* data) {
  static_cast<std::vector<int>*>(data)->push_back(1);
}
void CUDART_CB append_called(cudaStream_t, cudaError_t status, void* data) {
  static_cast<std::vector<int>*>(data)->push_back(status == cudaSuccess ? 2 : -1);
}
int host_functions() {
  TwoStreams t;
  std::vector<int> order;
  CHECK(cudaLaunchHostFunc(t.a, append, &order));
  CHECK(cudaStreamAddCallback(t.a, append_called, &order, 0));
  EXPECT(order.empty());
  CHECK(cudaStreamSynchronize(t.a));
  EXPECT(order == (std::vector<int>{1, 2}));
  return 0;
}

__global__ void raise_flag(volatile int* flag) {
  *flag = 1;
}
// The host polls mapped memory, and goes on calling the runtime or not.
int poll_flag(bool calls) {
  int* flag;
  CHECK(cudaHostAlloc(&flag, sizeof *flag, cudaHostAllocMapped));
  *flag = 0;
  int* device_flag;
  CHECK(cudaHostGetDevicePointer(&device_flag, flag, 0));
  raise_flag<<<1, 1>>>(device_flag);
  const volatile int* seen = flag;
  const auto begin = std::chrono::steady_clock::now();
  while (*seen == 0) {
    std::size_t free_bytes, total_bytes;
    if (calls) CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
    if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(20)) return 1;
  }
  CHECK(cudaDeviceSynchronize());
  return 0;
}
int polling() {
  return poll_flag(false);
}
int polling_with_calls() {
  return poll_flag(true);
}

// A library queues work from a callback: what it gave away is used once and destroyed once.
using Enqueue = int (*)(cudaStream_t, void (*)(void*), void*, void (*)(void*), const char*);
struct ForeignData {
  int used = 0, destroyed = 0;
};
struct FromCallback {
  cudaStream_t stream;
  Enqueue enqueue;
  ForeignData* data;
  int status = -1;
};
void CUDART_CB queue_from_callback(void* argument) {
  auto& call = *static_cast<FromCallback*>(argument);
  call.status = call.enqueue(
      call.stream, [](void* data) { ++static_cast<ForeignData*>(data)->used; }, call.data,
      [](void* data) { ++static_cast<ForeignData*>(data)->destroyed; }, "foreign work");
}
int foreign_callback() {
  TwoStreams t;
  ForeignData data;
  FromCallback call{t.b, reinterpret_cast<Enqueue>(dlsym(RTLD_DEFAULT, "ptxEmulatorEnqueue")),
                    &data};
  EXPECT(call.enqueue != nullptr);
  CHECK(cudaLaunchHostFunc(t.a, queue_from_callback, &call));
  CHECK(cudaStreamSynchronize(t.a));
  EXPECT(call.status == cudaSuccess);
  EXPECT(data.destroyed == data.used);
  CHECK(cudaDeviceSynchronize());
  EXPECT(data.used == 1 && data.destroyed == 1);
  return 0;
}

// Memory that a stream frees is gone when the stream gets there, not before.
int stream_ordered_memory() {
  TwoStreams t;
  float* values;
  CHECK(cudaMallocAsync(&values, kBytes, t.a));
  CHECK(cudaMemsetAsync(values, 0, kBytes, t.a));
  launch_add_one(values, kCount, t.a);
  CHECK(cudaMemcpyAsync(t.host, values, kBytes, cudaMemcpyDeviceToHost, t.a));
  CHECK(cudaFreeAsync(values, t.a));
  CHECK(cudaStreamSynchronize(t.a));
  EXPECT(t.host[kCount - 1] == 1);
  EXPECT_STATUS(cudaMemset(values, 0, 4), cudaErrorInvalidValue);
  cudaMemPool_t pool;
  CHECK(cudaDeviceGetDefaultMemPool(&pool, 0));
  std::uint64_t used = 1;
  CHECK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
  EXPECT(used == 0);
  return 0;
}

__managed__ float managed_values[kCount];
int managed_memory() {
  float* values;
  CHECK(cudaMallocManaged(&values, kBytes));
  for (int i = 0; i < kCount; ++i) values[i] = static_cast<float>(i);
  launch_add_one(values, kCount);
  managed_values[3] = 5;
  launch_add_one(managed_values, kCount);
  CHECK(cudaDeviceSynchronize());
  for (int i = 0; i < kCount; ++i) EXPECT(values[i] == static_cast<float>(i + 1));
  EXPECT(managed_values[3] == 6 && managed_values[4] == 1);
  CHECK(cudaFree(values));
  return 0;
}

int planes_and_volumes() {
  float* rows;
  std::size_t pitch;
  CHECK(cudaMallocPitch(&rows, &pitch, 10 * sizeof(float), 6));
  EXPECT(pitch % 512 == 0);
  CHECK(cudaMemset2D(rows, pitch, 0, 10 * sizeof(float), 6));
  std::vector<float> host(60);
  for (int i = 0; i < 60; ++i) host[i] = static_cast<float>(i);
  CHECK(cudaMemcpy2D(rows, pitch, host.data(), 10 * sizeof(float), 10 * sizeof(float), 6,
                     cudaMemcpyHostToDevice));
  std::vector<float> back(60, -1);
  cudaMemcpy3DParms p{};
  p.srcPtr = make_cudaPitchedPtr(rows, pitch, 10 * sizeof(float), 3);
  p.dstPtr = make_cudaPitchedPtr(back.data(), 10 * sizeof(float), 10, 3);
  p.extent = make_cudaExtent(9 * sizeof(float), 3, 2);
  p.srcPos = make_cudaPos(sizeof(float), 0, 0);
  p.kind = cudaMemcpyDeviceToHost;
  CHECK(cudaMemcpy3D(&p));
  for (int i = 0; i < 60; ++i) EXPECT(back[i] == (i % 10 == 9 ? -1 : static_cast<float>(i + 1)));
  EXPECT_STATUS(cudaMemcpy2D(rows, 8, host.data(), 40, 40, 6, cudaMemcpyHostToDevice),
                cudaErrorInvalidPitchValue);
  cudaGetLastError();
  return 0;
}

int threads() {
  std::vector<std::thread> workers;
  std::vector<int> wrong(4, 1);
  for (int t = 0; t < 4; ++t) {
    workers.emplace_back([&wrong, t] {
      cudaStream_t stream;
      CHECK(cudaStreamCreate(&stream));
      float* values;
      CHECK(cudaMalloc(&values, kBytes));
      CHECK(cudaMemsetAsync(values, 0, kBytes, stream));
      for (int i = 0; i < 20; ++i) launch_add_one(values, kCount, stream);
      std::vector<float> host(kCount);
      CHECK(cudaMemcpyAsync(host.data(), values, kBytes, cudaMemcpyDeviceToHost, stream));
      CHECK(cudaStreamSynchronize(stream));
      wrong[t] = 0;
      for (const float value : host) wrong[t] += value != 20;
      CHECK(cudaFree(values));
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const int count : wrong) EXPECT(count == 0);
  return 0;
}

// cudaStreamPerThread waits for the legacy stream as a blocking stream does, and is one of each
// thread.
int per_thread_default() {
  float* values;
  CHECK(cudaMalloc(&values, kBytes));
  CHECK(cudaMemset(values, 0, kBytes));
  for (int i = 0; i < 3; ++i) {
    launch_add_one(values, kCount, cudaStreamPerThread);
    launch_add_one(values, kCount, cudaStreamLegacy);
  }
  unsigned long long mine = 0, other = 0;
  CHECK(cudaStreamGetId(cudaStreamPerThread, &mine));
  std::thread([&other] { CHECK(cudaStreamGetId(cudaStreamPerThread, &other)); }).join();
  EXPECT(mine != other);
  std::vector<float> host(kCount);
  CHECK(cudaMemcpy(host.data(), values, kBytes, cudaMemcpyDeviceToHost));
  EXPECT(host[kCount - 1] == 6);
  return 0;
}

constexpr Case kCases[] = {
    {"per_thread_default", per_thread_default},
    {"missing_wait", missing_wait},
    {"with_wait", with_wait},
    {"missing_synchronise", missing_synchronise},
    {"source_reuse", source_reuse},
    {"default_stream", default_stream},
    {"events", events},
    {"host_functions", host_functions},
    {"polling", polling},
    {"polling_with_calls", polling_with_calls},
    {"foreign_callback", foreign_callback},
    {"stream_ordered_memory", stream_ordered_memory},
    {"managed_memory", managed_memory},
    {"planes_and_volumes", planes_and_volumes},
    {"threads", threads},
};

}  // namespace

int main(int argc, char** argv) {
  return run_case(kCases, argc, argv);
}
