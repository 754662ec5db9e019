#include "src/distributed/main_stack.h"

#include <execinfo.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>

namespace ovid::distributed {
namespace {

constexpr int kMostFrames = 64;

// A handler has no arguments, so what it writes is global: the frames, and how many there are
// (below 0: not asked, or not answered yet).
std::array<void*, kMostFrames> frames;
std::atomic<int> frame_count = -1;

int stack_signal() {
  return SIGRTMIN + 5;
}

void note_frames(int) {
  const int error = errno;
  frame_count.store(::backtrace(frames.data(), kMostFrames), std::memory_order_release);
  errno = error;
}

}  // namespace

MainStack::MainStack() : thread_(::pthread_self()) {
  // The first call loads a library, which a handler must not do.
  ::backtrace(frames.data(), 1);
  struct sigaction action {};
  action.sa_handler = note_frames;
  action.sa_flags = SA_RESTART;
  ::sigaction(stack_signal(), &action, nullptr);
}

MainStack::~MainStack() {
  std::signal(stack_signal(), SIG_IGN);
}

std::vector<std::string> MainStack::take() const {
  frame_count = -1;
  if (::pthread_kill(thread_, stack_signal()) != 0) return {};
  for (int i = 0; i < 100 && frame_count < 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const int count = frame_count.load(std::memory_order_acquire);
  if (count <= 0) return {};
  const std::unique_ptr<char*, decltype(&std::free)> names(
      ::backtrace_symbols(frames.data(), count), &std::free);
  if (!names) return {};
  constexpr int kOfHandler = 2;  // the handler itself, and what the system returns from it to
  std::vector<std::string> stack;
  for (int i = kOfHandler; i < count; ++i) stack.emplace_back(names.get()[i]);
  return stack;
}

}  // namespace ovid::distributed
