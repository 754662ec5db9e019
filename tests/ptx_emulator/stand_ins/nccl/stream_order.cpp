#include "tests/ptx_emulator/stand_ins/nccl/stream_order.h"

#include <utility>

#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

namespace ptx_emulator::stand_ins {
namespace {

constexpr unsigned kWithoutTiming = 2;  // cudaEventDisableTiming

template <class Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(runtime_function(name));
}

using Create = int (*)(void**, unsigned);
using Record = int (*)(void*, CUstream_st*);
using Wait = int (*)(CUstream_st*, void*, unsigned);
using Destroy = int (*)(void*);

bool have_events() {
  static const bool present = runtime_function("cudaEventCreateWithFlags") != nullptr &&
                              runtime_function("cudaEventRecord") != nullptr &&
                              runtime_function("cudaStreamWaitEvent") != nullptr;
  return present;
}

// Streams and events belong to the device that is current.
class DeviceScope {
 public:
  explicit DeviceScope(int device) : before_(current_cuda_device()) { set(device); }
  ~DeviceScope() { set(before_); }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  static void set(int device) {
    static const auto call = find<int (*)(int)>("cudaSetDevice");
    if (call != nullptr && device != current_cuda_device()) call(device);
  }
  int before_;
};

int record(void* event, const StreamOfDevice& stream) {
  const DeviceScope scope(stream.device);
  return find<Record>("cudaEventRecord")(event, stream.stream);
}
int wait(const StreamOfDevice& stream, void* event) {
  const DeviceScope scope(stream.device);
  return find<Wait>("cudaStreamWaitEvent")(stream.stream, event, 0);
}
int create(void** event, int device) {
  const DeviceScope scope(device);
  return find<Create>("cudaEventCreateWithFlags")(event, kWithoutTiming);
}

}  // namespace

int current_cuda_device() {
  static const auto call = find<int (*)(int*)>("cudaGetDevice");
  int device = 0;
  if (call == nullptr || call(&device) != kCudaSuccess) device = 0;
  return device;
}

unsigned long long capture_id(const StreamOfDevice& stream) {
  const DeviceScope scope(stream.device);
  using Info = int (*)(CUstream_st*, int*, unsigned long long*, void*, void*, void*, void*);
  static const auto call = find<Info>("cudaStreamGetCaptureInfo");
  int status = 0;
  unsigned long long id = 0;
  if (call == nullptr ||
      call(stream.stream, &status, &id, nullptr, nullptr, nullptr, nullptr) != kCudaSuccess)
    return 0;
  return status == 1 ? id : 0;
}

int order_after(const StreamOfDevice& later, const StreamOfDevice& earlier) {
  if (!have_events() || later == earlier) return kCudaSuccess;
  void* event = nullptr;
  int error = create(&event, earlier.device);
  if (error != kCudaSuccess) return error;
  error = record(event, earlier);
  if (error == kCudaSuccess) error = wait(later, event);
  find<Destroy>("cudaEventDestroy")(event);  // the recorded work stays what is waited for
  return error;
}

int enqueue_on(const StreamOfDevice& stream, std::function<void()> work, const char* label) {
  const DeviceScope scope(stream.device);
  return enqueue(stream.stream, std::move(work), label);
}

void drain(const StreamOfDevice& stream) {
  static const auto call = find<int (*)(CUstream_st*)>("cudaStreamSynchronize");
  if (call == nullptr || capture_id(stream) != 0) return;
  const DeviceScope scope(stream.device);
  call(stream.stream);
}

CommunicationOrder& CommunicationOrder::instance() {
  static CommunicationOrder order;
  return order;
}

int CommunicationOrder::follow(const StreamOfDevice& stream) {
  if (!have_events() || !marked_ || stream == last_ || capture_id(stream) != last_capture_)
    return kCudaSuccess;
  return wait(stream, event_);
}

int CommunicationOrder::mark(const StreamOfDevice& stream) {
  if (!have_events()) return kCudaSuccess;
  // An event belongs to one device: another device's stream gets another event.
  if (event_ == nullptr || last_.device != stream.device) {
    if (event_ != nullptr) find<Destroy>("cudaEventDestroy")(event_);
    event_ = nullptr;
    if (const int error = create(&event_, stream.device); error != kCudaSuccess) return error;
  }
  last_ = stream;
  last_capture_ = capture_id(stream);
  marked_ = true;
  return record(event_, stream);
}

}  // namespace ptx_emulator::stand_ins
