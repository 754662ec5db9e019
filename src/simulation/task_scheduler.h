#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace ovid::simulation {

// Tasks that take turns on the caller's thread, each with a small stack of its own, so that code
// that waits runs as it is: a thousand of them cost less than a thread. A task runs until it waits
// or ends; nothing happens at once.
class TaskScheduler {
 public:
  // `stack_bytes`: of each task; memory is taken as it is touched.
  explicit TaskScheduler(std::size_t stack_bytes = std::size_t{256} << 10);
  ~TaskScheduler();
  TaskScheduler(const TaskScheduler&) = delete;
  TaskScheduler& operator=(const TaskScheduler&) = delete;

  // Before run(). The number of the task, from 0. Throws ResourceError without the memory.
  int add(std::function<void()> body);

  // Runs all tasks in the order of their numbers, again and again, until all have ended or none can
  // go on; true where all have ended. Rethrows the first exception that left a task; the others
  // stay as they are, for another run(). Not to be called from a task.
  bool run();
  bool ended(int task) const;

  // From a task: lets the others run until ready() is true. It is asked often: it must be cheap.
  void wait_until(const std::function<bool()>& ready);

 private:
  struct Task;
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ovid::simulation
