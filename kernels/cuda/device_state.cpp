#include "kernels/cuda/device_state.cuh"

#include <cublasLt.h>
#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/cudnn_attention.h"
#include "kernels/cuda/product_choices.h"

namespace ovid::kernels::cuda {

namespace {

struct RecordedEvent final : Event {
  RecordedEvent() { check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming)); }
  ~RecordedEvent() override { cudaEventDestroy(event); }
  RecordedEvent(const RecordedEvent&) = delete;
  RecordedEvent& operator=(const RecordedEvent&) = delete;
  cudaEvent_t event = nullptr;
};

struct ExecutableGraph final : Graph {
  explicit ExecutableGraph(cudaGraph_t graph) {
    const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    check(status);
  }
  ~ExecutableGraph() override { cudaGraphExecDestroy(executable); }
  ExecutableGraph(const ExecutableGraph&) = delete;
  ExecutableGraph& operator=(const ExecutableGraph&) = delete;
  cudaGraphExec_t executable = nullptr;
};

cudaEvent_t event_of(const Event& event) {
  return static_cast<const RecordedEvent&>(event).event;
}

std::string version_text(int version) {  // 13010 is 13.1
  if (version <= 0) return "";
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

DeviceProperties properties_of(int index) {
  cudaDeviceProp prop{};
  check(cudaGetDeviceProperties(&prop, index));
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver));
  check(cudaRuntimeGetVersion(&runtime));
  const std::size_t blas = cublasLtGetVersion();
  return {.name = prop.name,
          .index = index,
          .major = prop.major,
          .minor = prop.minor,
          .multiprocessors = prop.multiProcessorCount,
          .memory_bytes = prop.totalGlobalMem,
          .shared_memory_bytes = prop.sharedMemPerBlockOptin,
          .driver_version = version_text(driver),
          .runtime_version = version_text(runtime),
          .cublas_version = std::to_string(blas / 10000) + "." +
                            std::to_string(blas % 10000 / 100) + "." + std::to_string(blas % 100)};
}

std::string mebibytes(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

}  // namespace

DeviceState::DeviceState(int index) {
  const int count = count_devices();
  if (index < 0 || index >= count) {
    throw DeviceError("CUDA device " + std::to_string(index) + " does not exist: " +
                      std::to_string(count) + " visible; choose one of 0 to " +
                      std::to_string(count - 1) + ", or look at CUDA_VISIBLE_DEVICES");
  }
  properties_ = properties_of(index);
  if (properties_.capability() < 80) {
    throw DeviceError(properties_.name + " has compute capability " +
                      std::to_string(properties_.major) + "." + std::to_string(properties_.minor) +
                      ", Ovid's kernels need 8.0 or newer; set device.kind: cpu");
  }
  choices_ =
      std::make_unique<ProductChoices>(ProductLibrary{.gpu = properties_.name,
                                                      .capability = properties_.capability(),
                                                      .cublaslt_version = cublasLtGetVersion()});
  try {
    make_handles();
  } catch (...) {
    drop_handles();
    throw;
  }
}

DeviceState::~DeviceState() {
  drop_handles();
}

void DeviceState::make_handles() {
  make_current();
  for (cudaStream_t& stream : streams_) {
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  }
  check(cublasLtCreate(&cublas_));
  check(cudaMalloc(&workspace_, kWorkspaceBytes));
}

void DeviceState::drop_handles() noexcept {
  cudaSetDevice(properties_.index);
  for (const cudaStream_t stream : streams_) {
    if (stream != nullptr) cudaStreamSynchronize(stream);
  }
  cudnn_.reset();
  cudaFree(workspace_);
  if (cublas_ != nullptr) cublasLtDestroy(cublas_);
  for (const cudaStream_t stream : streams_) {
    if (stream != nullptr) cudaStreamDestroy(stream);
  }
}

void DeviceState::make_current() const {
  check(cudaSetDevice(properties_.index));
}

std::size_t DeviceState::free_memory() const {
  make_current();
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  return free;
}

void* DeviceState::allocate(std::size_t bytes, std::string_view purpose) {
  if (bytes == 0) return nullptr;
  make_current();
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky: the next call must not report it again
    throw DeviceMemoryError("cannot take " + mebibytes(bytes) + " on " + properties_.name +
                            " for " + std::string(purpose) + ": " + mebibytes(free_memory()) +
                            " of " + mebibytes(properties_.memory_bytes) +
                            " are free; choose a smaller batch.micro_sequences or batch.length, "
                            "recompute: block, or a smaller model");
  }
  check(status);
  check(cudaMemsetAsync(memory, 0, bytes, stream()));
  check(cudaStreamSynchronize(stream()));
  return memory;
}

void DeviceState::release(void* memory) noexcept {
  if (memory == nullptr) return;
  cudaSetDevice(properties_.index);
  cudaFree(memory);
}

void* DeviceState::allocate_pinned(std::size_t bytes, std::string_view purpose) {
  if (bytes == 0) return nullptr;
  make_current();
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw DeviceMemoryError("cannot take " + mebibytes(bytes) + " of pinned host memory for " +
                            std::string(purpose) +
                            "; free some memory, or raise the limit of "
                            "locked memory (ulimit -l)");
  }
  check(status);
  std::fill_n(static_cast<std::byte*>(memory), bytes, std::byte{0});
  return memory;
}

void DeviceState::release_pinned(void* memory) noexcept {
  if (memory != nullptr) cudaFreeHost(memory);
}

void DeviceState::copy_to_device(void* to, const void* from, std::size_t bytes, Queue queue) {
  if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_of(queue)));
}

void DeviceState::copy_to_host(void* to, const void* from, std::size_t bytes, Queue queue) {
  if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(queue)));
}

void DeviceState::copy_on_device(void* to, const void* from, std::size_t bytes, Queue queue) {
  if (bytes > 0)
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_of(queue)));
}

void DeviceState::copy_rows(void* to, std::size_t to_stride, const void* from,
                            std::size_t from_stride, std::size_t row_bytes, std::size_t rows,
                            Queue queue) {
  if (row_bytes == 0 || rows == 0) return;
  check(cudaMemcpy2DAsync(to, to_stride, from, from_stride, row_bytes, rows, cudaMemcpyDefault,
                          stream_of(queue)));
}

std::unique_ptr<Event> DeviceState::make_event() {
  make_current();
  return std::make_unique<RecordedEvent>();
}

void DeviceState::record(Event& event, Queue queue) {
  check(cudaEventRecord(event_of(event), stream_of(queue)));
}

void DeviceState::wait(Queue queue, const Event& event) {
  check(cudaStreamWaitEvent(stream_of(queue), event_of(event), 0));
}

void DeviceState::synchronize(const Event& event) {
  check(cudaEventSynchronize(event_of(event)));
}

void DeviceState::synchronize() {
  for (const cudaStream_t stream : streams_) check(cudaStreamSynchronize(stream));
}

void DeviceState::begin_capture() {
  check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
  capturing_ = true;
}

std::unique_ptr<Graph> DeviceState::end_capture() {
  capturing_ = false;
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream(), &graph));
  return std::make_unique<ExecutableGraph>(graph);
}

void DeviceState::launch(const Graph& graph) {
  check(cudaGraphLaunch(static_cast<const ExecutableGraph&>(graph).executable, stream()));
}

std::string DeviceState::product_choices() const {
  return choices_->to_json();
}

void DeviceState::set_product_choices(const std::string& json) {
  choices_->from_json(json);
}

void DeviceState::choose_attention(AttentionKernels kernels) {
  if (kernels == AttentionKernels::kCudnn && cudnn_ == nullptr) {
    make_current();
    cudnn_ = cudnn_module().open();
  }
  attention_ = kernels;
}

void DeviceState::push_range(const char* name) {
  nvtxRangePushA(name);
}

void DeviceState::pop_range() noexcept {
  nvtxRangePop();
}

DeviceState& state_of(ExecutionContext& ctx) {
  if (ctx.device() == nullptr) {
    throw DeviceError("an execution context of device cuda was made without a device");
  }
  return *static_cast<DeviceState*>(ctx.device());
}

int count_devices() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorNoDevice) return 0;
  check(status);
  return count;
}

std::unique_ptr<Device> open_device_state(int index) {
  return std::make_unique<DeviceState>(index);
}

}  // namespace ovid::kernels::cuda
