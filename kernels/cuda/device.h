#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

// One CUDA device as the rest of the program sees it. The class behind it lives in the CUDA module
// (a shared library that is loaded on demand, docs/decisions/0006-cuda-module.md), so this header
// names no type of CUDA.
namespace ovid::kernels::cuda {

struct DeviceProperties {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  int index = 0;     // among the visible devices
  int major = 0;     // of the compute capability
  int minor = 0;
  int multiprocessors = 0;
  std::size_t memory_bytes = 0;
  std::size_t shared_memory_bytes = 0;  // that one block may ask for
  std::string driver_version;           // "13.0", empty where there is none
  std::string runtime_version;          // "13.0"
  std::string cublas_version;           // "13.1.0"

  int capability() const { return 10 * major + minor; }  // 80, 90, 100, 120
};

// Work of one queue runs in the order in which it was enqueued; the queues run side by side.
enum class Queue : std::uint8_t {
  kCompute,  // all ops
  kCopy,     // copies that overlap with compute
};

// Which kernels compute attention in training; decoding has one kind.
enum class AttentionKernels : std::uint8_t {
  kFlash,  // ours, in tiles on tensor cores
  kCudnn,  // NVIDIA's, where the optional module libovid_cudnn.so is; 16-bit numbers, no dropout
  kNaive,  // ours, row by row: slow and plain, to check the others against
};

// A place in a queue, for another queue or the host to wait for.
class Event {
 public:
  virtual ~Event() = default;
};

// A recorded sequence of work, launched as one.
class Graph {
 public:
  virtual ~Graph() = default;
};

// All calls throw DeviceError, and DeviceMemoryError where memory is lacking. One thread at a time
// may use a device; any thread may.
class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  virtual const DeviceProperties& properties() const = 0;
  virtual std::size_t free_memory() const = 0;  // bytes, of all programs on the device

  // Zeroed device memory, 256-byte aligned; `purpose` stands in the error message. Waits for the
  // device. release() accepts null and, as destructors call it, throws nothing.
  virtual void* allocate(std::size_t bytes, std::string_view purpose) = 0;
  virtual void release(void* memory) noexcept = 0;
  // Zeroed host memory that copies may read and write while the host goes on.
  virtual void* allocate_pinned(std::size_t bytes, std::string_view purpose) = 0;
  virtual void release_pinned(void* memory) noexcept = 0;

  // Enqueued. Host memory that is not pinned is copied before the call returns.
  virtual void copy_to_device(void* to, const void* from, std::size_t bytes,
                              Queue queue = Queue::kCompute) = 0;
  virtual void copy_to_host(void* to, const void* from, std::size_t bytes,
                            Queue queue = Queue::kCompute) = 0;
  virtual void copy_on_device(void* to, const void* from, std::size_t bytes,
                              Queue queue = Queue::kCompute) = 0;
  // `rows` rows of `row_bytes`, as in cudaMemcpy2D; either side may be on the device.
  virtual void copy_rows(void* to, std::size_t to_stride, const void* from, std::size_t from_stride,
                         std::size_t row_bytes, std::size_t rows,
                         Queue queue = Queue::kCompute) = 0;

  virtual std::unique_ptr<Event> make_event() = 0;
  virtual void record(Event& event, Queue queue) = 0;
  virtual void wait(Queue queue, const Event& event) = 0;  // the queue waits, not the host
  virtual void synchronize(const Event& event) = 0;        // the host waits
  virtual void synchronize() = 0;                          // the host waits for both queues

  // What is enqueued on kCompute between the two is recorded, not run.
  virtual void begin_capture() = 0;
  virtual std::unique_ptr<Graph> end_capture() = 0;
  virtual void launch(const Graph& graph) = 0;

  // The algorithms of matrix products that were chosen by timing, as JSON; given back to a later
  // run, the same shapes take the same algorithms (and so give the same bits).
  virtual std::string product_choices() const = 0;
  virtual void set_product_choices(const std::string& json) = 0;

  // Attention takes these kernels from now on; at the start kFlash. Throws DeviceError, and changes
  // nothing, where they cannot run here.
  virtual void choose_attention(AttentionKernels kernels) = 0;
  virtual AttentionKernels attention() const = 0;

  // A range of the timeline of NVIDIA's profilers (NVTX); ranges nest.
  virtual void push_range(const char* name) = 0;
  virtual void pop_range() noexcept = 0;

 protected:
  Device() = default;
};

}  // namespace ovid::kernels::cuda
