#pragma once
// What streams and graphs execute: one piece of work with all that it needs.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tests/ptx_emulator/machine/launch.h"
#include "tests/ptx_emulator/runtime/cuda_api.h"

namespace ptx_emulator {

class Device;
class Kernel;
struct Event;
struct Graph;

struct KernelOperation {
  Kernel* kernel = nullptr;
  const Program* program = nullptr;
  const Code* code = nullptr;
  const void* function = nullptr;  // what the program named it by
  Dimensions grid, block, cluster;
  std::uint32_t dynamic_shared_bytes = 0;
  bool cooperative = false;
  int priority = 0;
  std::vector<std::byte> parameters;  // as Code::parameters lays them out
};

// A box of width bytes x height rows x depth slices. Pitches are bytes from row to row and from
// slice to slice.
struct Box {
  std::uint64_t address = 0;
  std::uint64_t row_pitch = 0;
  std::uint64_t slice_pitch = 0;
};
struct CopyOperation {
  Box to, from;
  std::uint64_t width = 0, height = 1, depth = 1;
  cudaMemcpyKind kind = cudaMemcpyDefault;
  // A copy of pageable source memory, taken when the copy was queued; `from` then describes it
  // densely.
  std::shared_ptr<std::vector<std::byte>> staged;
  cudaMemcpy3DParms asked{};  // as a graph's node was given it
};
struct FillOperation {
  Box to;
  std::uint32_t value = 0;
  std::uint32_t element_bytes = 1;                 // 1, 2 or 4
  std::uint64_t width = 0, height = 1, depth = 1;  // width in elements
};
struct HostOperation {
  cudaHostFn_t function = nullptr;
  void* data = nullptr;
};
struct CallbackOperation {
  cudaStreamCallback_t function = nullptr;
  cudaStream_t stream = nullptr;
  void* data = nullptr;
};
// Work of another library (runtime/extension.h); destroyed with its last owner.
struct ForeignWork {
  void (*work)(void*) = nullptr;
  void* data = nullptr;
  void (*destroy)(void*) = nullptr;
  std::string label;
  ForeignWork() = default;
  ForeignWork(const ForeignWork&) = delete;
  ForeignWork& operator=(const ForeignWork&) = delete;
  ~ForeignWork() {
    if (destroy != nullptr) destroy(data);
  }
};
struct ForeignOperation {
  std::shared_ptr<ForeignWork> work;
};
struct EmptyOperation {};
struct FreeOperation {
  std::uint64_t address = 0;
};
// Nodes of graphs only; a launch turns them into dependencies.
struct EventRecordOperation {
  std::shared_ptr<Event> event;
};
struct EventWaitOperation {
  std::shared_ptr<Event> event;
};
struct ChildOperation {
  std::shared_ptr<Graph> graph;
};

using Operation = std::variant<EmptyOperation, KernelOperation, CopyOperation, FillOperation,
                               HostOperation, CallbackOperation, ForeignOperation, FreeOperation,
                               EventRecordOperation, EventWaitOperation, ChildOperation>;

// Executes it on the device, without any lock held. Throws ApiError: the device is unusable
// afterwards.
void execute(Device& device, const Operation& operation);

// Whether memory is there as the operation says, of the right kind; to be asked when it is queued.
// Throws ApiError (invalid value) that names the allocation and both sizes.
void check(const CopyOperation& operation);
void check(const FillOperation& operation);

}  // namespace ptx_emulator
