#include "src/simulation/task_scheduler.h"

#include <fmt/format.h>
#include <ucontext.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "src/core/error.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace ovid::simulation {
namespace {

// The address sanitizer must be told which stack is in use, or an exception that unwinds one looks
// to it like a write beyond another. Nothing in other builds.
struct StackRange {
  const void* bottom = nullptr;
  std::size_t bytes = 0;
};

// Before a switch to `to`. `kept` takes what belongs to the stack that is left; null: it ends.
void tell_of_switch([[maybe_unused]] void** kept, [[maybe_unused]] const StackRange& to) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(kept, to.bottom, to.bytes);
#endif
}

// After a switch, on the new stack: `kept` as it was then, null at a task's begin. Returns the
// stack that was left.
StackRange arrive([[maybe_unused]] void* kept) {
  StackRange from;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(kept, &from.bottom, &from.bytes);
#endif
  return from;
}

}  // namespace

struct TaskScheduler::Task {
  std::function<void()> body;
  std::unique_ptr<std::byte[]> stack;
  ucontext_t context{};
  const std::function<bool()>* ready = nullptr;  // what it waits for; null: it can run
  std::exception_ptr failure;
  bool ended = false;
};

struct TaskScheduler::Implementation {
  std::size_t stack_bytes;
  std::vector<std::unique_ptr<Task>> tasks;
  ucontext_t home{};  // of run()
  StackRange home_stack;
  Task* current = nullptr;  // null: run() itself

  // makecontext passes ints only: the address of the implementation comes in two halves.
  static void enter(unsigned high, unsigned low) {
    auto* const own = reinterpret_cast<Implementation*>(std::uintptr_t{high} << 32 | low);
    own->home_stack = arrive(nullptr);
    Task& task = *own->current;
    try {
      task.body();
    } catch (...) {
      task.failure = std::current_exception();
    }
    task.ended = true;
    task.body = nullptr;
    tell_of_switch(nullptr, own->home_stack);
    swapcontext(&task.context, &own->home);
  }

  void resume(Task& task) {
    current = &task;
    void* kept = nullptr;
    tell_of_switch(&kept, {task.stack.get(), stack_bytes});
    swapcontext(&home, &task.context);
    arrive(kept);
    current = nullptr;
    if (task.failure) std::rethrow_exception(std::exchange(task.failure, nullptr));
  }
};

TaskScheduler::TaskScheduler(std::size_t stack_bytes)
    : implementation_(std::make_unique<Implementation>()) {
  implementation_->stack_bytes = stack_bytes;
}

TaskScheduler::~TaskScheduler() = default;

int TaskScheduler::add(std::function<void()> body) {
  Implementation& own = *implementation_;
  auto task = std::make_unique<Task>();
  task->body = std::move(body);
  try {
    task->stack = std::make_unique_for_overwrite<std::byte[]>(own.stack_bytes);
  } catch (const std::bad_alloc&) {
    throw ResourceError(fmt::format("no memory for the stack of task {} ({} bytes): simulate fewer",
                                    own.tasks.size(), own.stack_bytes));
  }
  if (getcontext(&task->context) != 0) throw ResourceError("getcontext failed");
  task->context.uc_stack.ss_sp = task->stack.get();
  task->context.uc_stack.ss_size = own.stack_bytes;
  task->context.uc_link = nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(&own);
  makecontext(&task->context, reinterpret_cast<void (*)()>(&Implementation::enter), 2,
              static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
  own.tasks.push_back(std::move(task));
  return static_cast<int>(own.tasks.size()) - 1;
}

bool TaskScheduler::run() {
  Implementation& own = *implementation_;
  for (bool moved = true; moved;) {
    moved = false;
    for (const std::unique_ptr<Task>& task : own.tasks) {
      if (task->ended || (task->ready != nullptr && !(*task->ready)())) continue;
      moved = true;
      own.resume(*task);
    }
  }
  for (const std::unique_ptr<Task>& task : own.tasks) {
    if (!task->ended) return false;
  }
  return true;
}

bool TaskScheduler::ended(int task) const {
  return implementation_->tasks[static_cast<std::size_t>(task)]->ended;
}

void TaskScheduler::wait_until(const std::function<bool()>& ready) {
  Task* const task = implementation_->current;
  if (task == nullptr) throw std::logic_error("wait_until() outside a task");
  if (ready()) return;
  task->ready = &ready;
  void* kept = nullptr;
  tell_of_switch(&kept, implementation_->home_stack);
  swapcontext(&task->context, &implementation_->home);
  implementation_->home_stack = arrive(kept);
  task->ready = nullptr;
}

}  // namespace ovid::simulation
