#include "kernels/cpu/thread_pool.h"

#include <chrono>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace ovid::kernels::cpu {
namespace {

constexpr std::uint64_t kOpen = 1u << 31;
constexpr std::uint64_t kJoined = kOpen - 1;

std::uint32_t round_of(std::uint64_t state) {
  return static_cast<std::uint32_t>(state >> 32);
}

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Looks at `done` for longer than the time between two ops of a step, and says whether it came
// true: to sleep and be woken costs more than that, above all where a virtual machine's host must
// wake it.
template <class Condition>
bool spin_until(const Condition& done) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kPatience = std::chrono::microseconds(200);
  const Clock::time_point start = Clock::now();
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      pause();
    }
  } while (Clock::now() - start < kPatience);
  return done();
}

}  // namespace

ThreadPool& ThreadPool::shared() {
  static ThreadPool pool;
  return pool;
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  ++round_;
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(int members, const Work& work) {
  const std::unique_lock caller(callers_, std::try_to_lock);
  if (!caller.owns_lock()) return work(0);
  start_threads(members);
  work_ = &work;
  members_.store(members, std::memory_order_relaxed);
  const std::uint32_t round = round_of(state_.load(std::memory_order_relaxed)) + 1;
  state_.store(std::uint64_t{round} << 32 | kOpen, std::memory_order_release);
  // Sequentially consistent against a thread that counts itself as a sleeper and then looks at
  // round_: one of the two sees the other.
  round_.store(round);
  if (sleepers_.load() > 0) round_.notify_all();
  work(0);
  state_.fetch_and(~kOpen, std::memory_order_relaxed);
  const auto joined = [this] { return state_.load(std::memory_order_acquire) & kJoined; };
  if (spin_until([&] { return joined() == 0; })) return;
  // A thread is inside a piece, perhaps without a core.
  for (std::uint64_t state = state_.load(std::memory_order_acquire); (state & kJoined) != 0;
       state = state_.load(std::memory_order_acquire)) {
    state_.wait(state, std::memory_order_acquire);
  }
}

void ThreadPool::start_threads(int members) {
  while (static_cast<int>(threads_.size()) + 1 < members) {
    const int member = static_cast<int>(threads_.size()) + 1;
    threads_.emplace_back([this, member] { wait_for_work(member); });
  }
}

bool ThreadPool::join(int member, std::uint32_t& last_round) {
  std::uint64_t state = state_.load(std::memory_order_acquire);
  do {
    if ((state & kOpen) == 0 || round_of(state) == last_round) return false;
    if (member >= members_.load(std::memory_order_relaxed)) return false;
  } while (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel));
  last_round = round_of(state);
  return true;
}

void ThreadPool::leave() {
  const std::uint64_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
  // The last one out of a closed round: its caller may sleep.
  if ((before & kOpen) == 0 && (before & kJoined) == 1) state_.notify_one();
}

void ThreadPool::wait_for_work(int member) {
  std::uint32_t last_round = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    const std::uint32_t seen = round_.load();  // before the look at state_: none is missed
    if (join(member, last_round)) {
      (*work_)(member);
      leave();
      continue;
    }
    if (spin_until([&] { return round_.load(std::memory_order_relaxed) != seen; })) continue;
    sleepers_.fetch_add(1);
    round_.wait(seen);
    sleepers_.fetch_sub(1);
  }
}

}  // namespace ovid::kernels::cpu
