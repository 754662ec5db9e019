#include <nccl.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <source_location>
#include <string>
#include <thread>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_collectives.h"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/handle.cuh"
#include "kernels/cuda/nccl_library.cuh"

namespace ovid::kernels::cuda {

namespace {

using Clock = std::chrono::steady_clock;
using StreamHandle = Handle<cudaStream_t, cudaStreamDestroy>;
using EventHandle = Handle<cudaEvent_t, cudaEventDestroy>;

using cuda::check;

// Communicators do not block: a call may still be in progress when it returns, which is no error.
void check(ncclResult_t status, std::source_location place = std::source_location::current()) {
  if (status == ncclSuccess || status == ncclInProgress) return;
  throw DeviceError(std::string("NCCL: ") + nccl().get_error_string(status) + " at " +
                    place_text(place) + "; NCCL_DEBUG=INFO says more");
}

struct Row {
  std::size_t elements;  // NCCL's count
  ncclDataType_t type;
};

// Integers that are not summed travel as bytes.
Row row_of(const DeviceCollective& operation) {
  const auto elements = static_cast<std::size_t>(operation.elements);
  switch (operation.dtype) {
    case DType::kFloat64:
      return {elements, ncclFloat64};
    case DType::kFloat32:
      return {elements, ncclFloat32};
    case DType::kBfloat16:
      return {elements, ncclBfloat16};
    case DType::kFloat16:
      return {elements, ncclFloat16};
    case DType::kInt32:
      return {elements, ncclInt32};
    case DType::kUint16:
      return {2 * elements, ncclUint8};
    case DType::kUint8:
      break;
  }
  return {elements, ncclUint8};
}

class NcclCollectives final : public DeviceCollectives {
 public:
  NcclCollectives(DeviceState& device, const CollectiveGroup& group)
      : device_(device), rank_(group.rank), count_(group.count) {
    make_current();
    int least = 0, greatest = 0;
    check(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    // Before the kernels of the backward pass, which would fill the device for long.
    check(cudaStreamCreateWithPriority(stream_.out(), cudaStreamNonBlocking, greatest));
    join(group);
  }

  ~NcclCollectives() override {
    const std::scoped_lock lock(mutex_);
    cudaSetDevice(device_.properties().index);
    if (comm_ == nullptr) return;
    const auto end = Clock::now() + kCloseTime;
    while (cudaStreamQuery(stream_.get()) == cudaErrorNotReady && Clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    // Only where all is done: finalising would wait for ranks that are gone.
    if (cudaStreamQuery(stream_.get()) == cudaSuccess && async_status() == ncclSuccess) {
      nccl().comm_finalize(comm_);
      settle(kCloseTime);
      nccl().comm_destroy(comm_);
    } else {
      nccl().comm_abort(comm_);
    }
  }

  void mark(std::int64_t number) override {
    const std::scoped_lock lock(mutex_);
    if (device_.capturing()) {
      throw DeviceError("a collective cannot be recorded in a graph; begin it outside of one");
    }
    make_current();
    Operation& operation = operations_[number];
    for (EventHandle* event : {&operation.before, &operation.started, &operation.done}) {
      check(cudaEventCreateWithFlags(event->out(), cudaEventDisableTiming));
    }
    check(cudaEventRecord(operation.before.get(), device_.stream()));
  }

  void enqueue(std::int64_t number, const DeviceCollective& collective) override {
    const std::scoped_lock lock(mutex_);
    require_sound();
    make_current();
    const Operation& operation = operations_.at(number);
    check(cudaStreamWaitEvent(stream_.get(), operation.before.get(), 0));
    check(cudaEventRecord(operation.started.get(), stream_.get()));
    if (collective.elements > 0) launch(collective);
    check(cudaEventRecord(operation.done.get(), stream_.get()));
  }

  void let_compute_wait(std::int64_t number) override {
    const std::scoped_lock lock(mutex_);
    require_sound();
    const auto found = operations_.find(number);
    if (found == operations_.end()) return;  // was seen done
    make_current();
    check(cudaStreamWaitEvent(device_.stream(), found->second.done.get(), 0));
  }

  bool started(std::int64_t number) override {
    const std::scoped_lock lock(mutex_);
    const auto found = operations_.find(number);
    return found == operations_.end() || has_passed(found->second.started.get());
  }

  bool done(std::int64_t number) override {
    const std::scoped_lock lock(mutex_);
    const auto found = operations_.find(number);
    if (found == operations_.end()) return true;
    if (!has_passed(found->second.done.get())) return false;
    operations_.erase(found);
    return true;
  }

  std::string failure() override {
    const std::scoped_lock lock(mutex_);
    if (comm_ == nullptr) return "the communicator was ended";
    const ncclResult_t status = async_status();
    if (status == ncclSuccess || status == ncclInProgress) return "";
    return std::string("NCCL: ") + nccl().get_error_string(status);
  }

  void abort() noexcept override {
    is_ending_ = true;  // whoever waits with the lock lets go of it
    const std::scoped_lock lock(mutex_);
    if (comm_ == nullptr) return;
    cudaSetDevice(device_.properties().index);
    nccl().comm_abort(comm_);
    comm_ = nullptr;
  }

 private:
  struct Operation {
    EventHandle before;   // what kCompute held when it was begun
    EventHandle started;  // its queue has come to it
    EventHandle done;
  };
  static constexpr std::chrono::seconds kCloseTime{10};

  void make_current() const { check(cudaSetDevice(device_.properties().index)); }

  void require_sound() const {
    if (comm_ == nullptr) throw DeviceError("NCCL: the communicator was ended");
  }

  ncclResult_t async_status() const {
    ncclResult_t status = ncclSuccess;
    const ncclResult_t asked = nccl().comm_get_async_error(comm_, &status);
    return asked == ncclSuccess ? status : asked;
  }

  // Until what was begun on the communicator is no longer in progress, or the time is over.
  ncclResult_t settle(std::chrono::duration<double> limit) const {
    const auto end = Clock::now() + limit;
    ncclResult_t status = async_status();
    while (status == ncclInProgress && !is_ending_ && Clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      status = async_status();
    }
    return status;
  }

  void join(const CollectiveGroup& group) {
    ncclUniqueId id;
    static_assert(sizeof id == sizeof group.id);
    std::memcpy(&id, group.id.data(), sizeof id);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    check(nccl().comm_init_rank_config(&comm_, group.count, id, group.rank, &config));
    const ncclResult_t status = settle(std::chrono::duration<double>(group.join_seconds));
    if (status == ncclSuccess) return;
    nccl().comm_abort(comm_);
    comm_ = nullptr;
    if (status == ncclInProgress) {
      throw DeviceError("NCCL: not all of " + std::to_string(group.count) +
                        " ranks joined within " +
                        std::to_string(static_cast<int>(group.join_seconds)) +
                        " s; NCCL_DEBUG=INFO says which network was tried");
    }
    check(status);
  }

  void launch(const DeviceCollective& operation) {
    const NcclLibrary& library = nccl();
    const auto [elements, type] = row_of(operation);
    const cudaStream_t stream = stream_.get();
    switch (operation.kind) {
      case DeviceCollectiveKind::kAllReduce:
        check(library.all_reduce(operation.in, operation.out, elements, type, ncclSum, comm_,
                                 stream));
        break;
      case DeviceCollectiveKind::kReduceScatter:
        check(library.reduce_scatter(operation.in, operation.out, elements, type, ncclSum, comm_,
                                     stream));
        break;
      case DeviceCollectiveKind::kAllGather:
        check(library.all_gather(operation.in, operation.out, elements, type, comm_, stream));
        break;
      case DeviceCollectiveKind::kBroadcast:
        check(library.broadcast(operation.in, operation.out, elements, type, operation.root, comm_,
                                stream));
        break;
      case DeviceCollectiveKind::kScatter:
        scatter(operation, elements, type);
        break;
    }
    // A launch goes on in the background; events behind it must not overtake it.
    const ncclResult_t status = settle(kLaunchTime);
    check(status);
    if (status == ncclInProgress) throw DeviceError("NCCL: an operation could not be launched");
  }

  void scatter(const DeviceCollective& operation, std::size_t elements, ncclDataType_t type) {
    const NcclLibrary& library = nccl();
    const std::size_t bytes =
        static_cast<std::size_t>(operation.elements) * bytes_of(operation.dtype);
    if (rank_ == operation.root) {
      const auto* const in = static_cast<const std::byte*>(operation.in);
      const std::byte* const own = in + static_cast<std::size_t>(rank_) * bytes;
      if (own != operation.out) {
        check(cudaMemcpyAsync(operation.out, own, bytes, cudaMemcpyDeviceToDevice, stream_.get()));
      }
      check(library.group_start());
      for (int r = 0; r < count_; ++r) {
        if (r == rank_) continue;
        check(library.send(in + static_cast<std::size_t>(r) * bytes, elements, type, r, comm_,
                           stream_.get()));
      }
      check(library.group_end());
    } else {
      check(library.recv(operation.out, elements, type, operation.root, comm_, stream_.get()));
    }
  }

  static bool has_passed(cudaEvent_t event) {
    const cudaError_t status = cudaEventQuery(event);
    if (status == cudaErrorNotReady) return false;
    check(status);
    return true;
  }

  // The first launch to each peer builds connections.
  static constexpr std::chrono::seconds kLaunchTime{300};

  DeviceState& device_;
  int rank_;
  int count_;
  std::atomic<bool> is_ending_ = false;
  std::mutex mutex_;
  StreamHandle stream_;
  ncclComm_t comm_ = nullptr;
  std::map<std::int64_t, Operation> operations_;
};

}  // namespace

CollectiveId make_collective_id() {
  ncclUniqueId made;
  check(nccl().get_unique_id(&made));
  CollectiveId id{};
  std::memcpy(id.data(), &made, sizeof made);
  return id;
}

std::string collectives_unavailable() noexcept {
  try {
    nccl();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

std::unique_ptr<DeviceCollectives> open_collectives(Device& device, const CollectiveGroup& group) {
  return std::make_unique<NcclCollectives>(static_cast<DeviceState&>(device), group);
}

}  // namespace ovid::kernels::cuda
