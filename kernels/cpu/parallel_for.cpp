#include "kernels/cpu/parallel_for.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>

#include "kernels/cpu/thread_pool.h"

namespace ovid::kernels::cpu {

namespace {

using Body = std::function<void(std::int64_t begin, std::int64_t end)>;

// Whether this thread is within a piece: a nested call then stays on it.
thread_local bool within_piece = false;

class PieceScope {
 public:
  PieceScope() : before_(within_piece) { within_piece = true; }
  ~PieceScope() { within_piece = before_; }
  PieceScope(const PieceScope&) = delete;
  PieceScope& operator=(const PieceScope&) = delete;

 private:
  bool before_;
};

// The pieces of one call, given out to the members of a team. No exception leaves a member: the
// first is kept, the members stop before their next piece, and whoever made the team rethrows.
class Pieces {
 public:
  Pieces(std::int64_t count, std::int64_t grain, const Body& body)
      : body_(body), count_(count), grain_(grain), pieces_((count - 1) / grain + 1) {}

  std::int64_t number() const { return pieces_; }

  void run_all() {
    const PieceScope scope;
    for (std::int64_t piece = 0; piece < pieces_; ++piece) run(piece);
  }

  // The pieces lie in one contiguous run for each member, which keeps a core on the memory that it
  // saw in the op before. A member that is done with its run goes on with what is left of the
  // others': a core that another program takes away for a while then delays one piece, not its
  // whole run.
  void set_members(int members) {
    runs_ = std::make_unique<Run[]>(static_cast<std::size_t>(members));
    const std::int64_t whole = pieces_ / members, rest = pieces_ % members;
    std::int64_t first = 0;
    for (int member = 0; member < members; ++member) {
      Run& run = runs_[static_cast<std::size_t>(member)];
      run.next.store(first, std::memory_order_relaxed);
      first += whole + (member < rest ? 1 : 0);
      run.end = first;
    }
    members_ = members;
  }

  void work_as(int member) noexcept {
    const PieceScope scope;
    try {
      for (int i = 0; i < members_; ++i)
        finish(runs_[static_cast<std::size_t>((member + i) % members_)]);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct alignas(64) Run {  // a cache line each: members do not disturb each other
    std::atomic<std::int64_t> next = 0;
    std::int64_t end = 0;
  };

  void finish(Run& run_of_pieces) {
    while (!failed_.load(std::memory_order_relaxed)) {
      const std::int64_t piece = run_of_pieces.next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= run_of_pieces.end) return;
      run(piece);
    }
  }

  void run(std::int64_t piece) {
    const std::int64_t begin = piece * grain_;
    body_(begin, begin + std::min(grain_, count_ - begin));
  }

  const Body& body_;
  std::int64_t count_, grain_, pieces_;
  std::unique_ptr<Run[]> runs_;
  int members_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

void run_on_team(int threads, Pieces& pieces) {
  pieces.set_members(threads);
  ThreadPool::shared().run(threads, [&](int member) { pieces.work_as(member); });
  pieces.rethrow();
}

}  // namespace

void parallel_for(int threads, std::int64_t count, std::int64_t grain, const Body& body) {
  if (count <= 0) return;
  Pieces pieces(count, std::max<std::int64_t>(grain, 1), body);
  if (threads <= 1 || pieces.number() == 1 || within_piece) return pieces.run_all();
  run_on_team(threads, pieces);
}

}  // namespace ovid::kernels::cpu
