#include "tests/ptx_emulator/runtime/thread_state.h"

#include <algorithm>

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {

ThreadState::ThreadState() {
  static std::atomic<std::uint64_t> next{1};
  number = next.fetch_add(1);
}

ThreadState::~ThreadState() {
  for (const std::unique_ptr<Stream>& stream : default_streams) {
    if (!stream) continue;
    const Lock lock(Runtime::instance().mutex);
    std::vector<Stream*>& all = stream->device->streams;
    all.erase(std::remove(all.begin(), all.end(), stream.get()), all.end());
  }
}

}  // namespace ptx_emulator
