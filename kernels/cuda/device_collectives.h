#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/common/dtype.h"
#include "kernels/cuda/device.h"

// Collectives of the devices of several processes, by NCCL. The class behind it lives in the CUDA
// module, which loads NCCL when the first one is opened; a device without others needs none.
namespace ovid::kernels::cuda {

enum class DeviceCollectiveKind : std::uint8_t {
  kAllReduce,      // out = the sum of the `in` of all ranks, `elements` of them
  kReduceScatter,  // out (`elements`) of rank r = part r of the sum of `in` (ranks * elements)
  kAllGather,      // out (ranks * elements) = the `in` (`elements`) of all ranks
  kBroadcast,      // out = the `in` of `root`
  kScatter,        // out (`elements`) of rank r = part r of the `in` of `root`
};

// Operands are memory of the device. `in` may be what `out` is, or rank's part of the larger one.
struct DeviceCollective {
  DeviceCollectiveKind kind;
  const void* in;  // null where only the root has one
  void* out;
  std::int64_t elements;
  DType dtype;
  int root = 0;
};

// What rank 0 makes and every rank needs to find the others.
using CollectiveId = std::array<std::byte, 128>;

struct CollectiveGroup {
  CollectiveId id;
  int rank;
  int count;
  double join_seconds = 300;  // until all must be there
};

// Operations are numbered by the caller, rising from 1, and run on a queue of their own in the
// order in which they were enqueued. Any thread may call. All throw DeviceError.
class DeviceCollectives {
 public:
  virtual ~DeviceCollectives() = default;
  DeviceCollectives(const DeviceCollectives&) = delete;
  DeviceCollectives& operator=(const DeviceCollectives&) = delete;

  // Operation `number` will begin behind what kCompute holds now. Not while it is captured.
  virtual void mark(std::int64_t number) = 0;
  // Enqueued; all ranks enqueue the same. Waits for no device.
  virtual void enqueue(std::int64_t number, const DeviceCollective& operation) = 0;
  // What kCompute gets from now on waits for operation `number`, which was enqueued.
  virtual void let_compute_wait(std::int64_t number) = 0;

  // Of what was enqueued: whether the queue has come to it, whether it is done. After the second
  // has been true nothing more is known of the number.
  virtual bool started(std::int64_t number) = 0;
  virtual bool done(std::int64_t number) = 0;

  // What NCCL found since, in words; empty where all is well.
  virtual std::string failure() = 0;
  // Ends what is under way, also where other ranks are gone. Later calls throw.
  virtual void abort() noexcept = 0;

 protected:
  DeviceCollectives() = default;
};

// By rank 0. Throws DeviceError where NCCL cannot be loaded; the message has the cure.
CollectiveId make_collective_id();
// Whether NCCL can be loaded: empty, or why not.
std::string collectives_unavailable() noexcept;
// By all ranks at once: waits for them. `device` must outlive the result.
std::unique_ptr<DeviceCollectives> open_collectives(Device& device, const CollectiveGroup& group);

}  // namespace ovid::kernels::cuda
