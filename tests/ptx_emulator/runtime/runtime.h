#pragma once
// The state of the replaced runtime library, one for the process, and the frame of every function
// of its interface.

#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/ptx_emulator/machine/counters.h"
#include "tests/ptx_emulator/runtime/device.h"
#include "tests/ptx_emulator/runtime/errors.h"
#include "tests/ptx_emulator/runtime/graph.h"
#include "tests/ptx_emulator/runtime/program_registry.h"
#include "tests/ptx_emulator/runtime/settings.h"
#include "tests/ptx_emulator/runtime/stream.h"
#include "tests/ptx_emulator/runtime/work.h"

namespace ptx_emulator {

struct MemoryPool;

// Never destroyed: programs call the runtime from destructors of their own.
class Runtime {
 public:
  static Runtime& instance();

  std::mutex mutex;
  const Settings settings;
  Scheduler scheduler;
  DeviceMemory host_memory;  // pinned, managed and registered memory, seen by all devices
  std::vector<std::unique_ptr<Device>> devices;
  ProgramRegistry programs;

  // Handles that the program holds; a handle that is not here is refused.
  std::unordered_map<cudaStream_t, std::unique_ptr<Stream>> streams;
  std::unordered_map<cudaEvent_t, std::shared_ptr<Event>> events;
  GraphRegistry graphs;
  std::unordered_map<cudaMemPool_t, std::unique_ptr<MemoryPool>> pools;

  // The device that owns an address: of device memory its own, else null.
  Device* owner(std::uint64_t address);
  // The allocation on any device or of the host that contains the address; null where there is
  // none.
  const Allocation* find(std::uint64_t address) const;
  // The address that this process may dereference for all of [address, address + bytes): plain
  // memory of the host is returned as it is. Null where an allocation does not hold all of it or is
  // freed.
  std::byte* host_pointer(std::uint64_t address, std::uint64_t bytes) const;
  // "16 bytes past the end of cudaMalloc of 4096 bytes (the 3rd allocation)"
  std::string describe(std::uint64_t address) const;

  // Prints what a launch's checks or a fault said, and counts it. Of reports with the same `key`
  // (not empty) only the first is printed: a race in a loop of launches is told once.
  void report(const std::string& text, const std::string& key = "");
  std::uint64_t num_reports() const { return num_reports_; }
  std::uint64_t num_repeated_reports() const { return num_repeated_reports_; }
  CounterReport counters;
  std::uint64_t num_launches = 0;
  std::uint64_t next_stream_id = 1, next_capture_id = 1;

 private:
  Runtime();
  std::uint64_t num_reports_ = 0, num_repeated_reports_ = 0;
  std::set<std::string> reported_keys_;
};

// One call of the interface: the lock, and which default stream a null handle means.
class Call {
 public:
  explicit Call(const char* function_name);
  Runtime& runtime;
  const char* const function;
  Lock lock;
  const bool per_thread;

  // The calling thread's device. Throws ApiError with its error where a fault has ended it.
  Device& device();
  // The device, faulted or not.
  Device& any_device();
  Device& device(int index);
  Stream& stream(cudaStream_t handle);
  std::shared_ptr<Event>& event(cudaEvent_t handle);
  // Calls that no capture survives (allocation, synchronisation): ends captures of this thread as
  // the runtime does.
  void forbid_capture();
};

// Whether the call came through an entry for programs with a default stream for each thread;
// forgets it.
bool take_per_thread_flag();
// The calling thread's device number and last error.
int& current_device();
cudaError_t& last_error();
cudaError_t remember(cudaError_t error);
void print_api_error(const char* function, const ApiError& error);

// Runs `body(call)` as the function `name` of the interface; what it throws becomes the code that
// is returned and remembered.
template <typename Body>
cudaError_t api(const char* name, Body&& body) {
  try {
    Call call(name);
    body(call);
    return cudaSuccess;
  } catch (const ApiError& error) {
    print_api_error(name, error);
    return remember(error.code());
  } catch (const std::bad_alloc&) {
    return remember(cudaErrorMemoryAllocation);
  } catch (const std::exception& error) {
    print_api_error(name, ApiError(cudaErrorUnknown, error.what()));
    return remember(cudaErrorUnknown);
  }
}

// Installs the handler that names the device memory which the host touched.
void watch_host_accesses(Runtime& runtime);
// At the end of the process: counters, leaks, what never ran, the summary.
void report_at_exit(Runtime& runtime);
// Sets an error that ends the device, and drops what it had queued.
void break_device(Device& device, cudaError_t error);

}  // namespace ptx_emulator
