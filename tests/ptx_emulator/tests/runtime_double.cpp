#include "tests/ptx_emulator/tests/runtime_double.h"

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "tests/ptx_emulator/runtime/extension.h"

namespace ptx_emulator::test {
namespace {

struct Queued {
  void (*work)(void*);
  void* data;
  void (*destroy)(void*);
};

struct State {
  std::mutex mutex;
  std::map<std::uintptr_t, std::size_t> allocations;
  std::vector<std::string> faults;
  std::vector<Queued> queue;
  bool defer = false;
};
State& state() {
  static State current;
  return current;
}

}  // namespace

DeviceBuffer::DeviceBuffer(std::size_t bytes)
    : data_(std::aligned_alloc(256, (bytes + 511) / 256 * 256)), bytes_(bytes) {
  std::memset(data_, 0xff, bytes);
  const std::scoped_lock lock(state().mutex);
  state().allocations[reinterpret_cast<std::uintptr_t>(data_)] = bytes;
}
DeviceBuffer::~DeviceBuffer() {
  {
    const std::scoped_lock lock(state().mutex);
    state().allocations.erase(reinterpret_cast<std::uintptr_t>(data_));
  }
  std::free(data_);
}

std::vector<std::string> take_faults() {
  const std::scoped_lock lock(state().mutex);
  return std::exchange(state().faults, {});
}
void defer_work(bool defer) {
  state().defer = defer;
}
void run_queued() {
  for (const Queued& queued : std::exchange(state().queue, {})) {
    queued.work(queued.data);
    queued.destroy(queued.data);
  }
}

}  // namespace ptx_emulator::test

using namespace ptx_emulator::test;

extern "C" {

void* ptxEmulatorHostPointer(const void* device, std::size_t bytes) {
  const std::scoped_lock lock(state().mutex);
  const auto address = reinterpret_cast<std::uintptr_t>(device);
  auto next = state().allocations.upper_bound(address);
  if (next == state().allocations.begin()) return nullptr;
  const auto& [begin, size] = *--next;
  return address - begin <= size && bytes <= size - (address - begin) ? const_cast<void*>(device)
                                                                      : nullptr;
}

int ptxEmulatorEnqueue(CUstream_st*, void (*work)(void*), void* data, void (*destroy)(void*),
                       const char*) {
  if (state().defer) {
    state().queue.push_back({work, data, destroy});
    return 0;
  }
  work(data);
  destroy(data);
  return 0;
}

void ptxEmulatorFault(int, const char* message) {
  const std::scoped_lock lock(state().mutex);
  state().faults.emplace_back(message);
}

int ptxEmulatorNumThreads(void) {
  return 2;
}
}
