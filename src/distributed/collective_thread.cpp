#include "src/distributed/collective_thread.h"

#include <chrono>

namespace ovid::distributed {

namespace {

constexpr std::chrono::seconds kPatience{2};

}  // namespace

CollectiveThread::CollectiveThread(std::function<void(const std::exception_ptr&)> after_failure)
    : after_failure_(std::move(after_failure)), thread_([this] { serve(); }) {}

CollectiveThread::~CollectiveThread() {
  {
    const std::scoped_lock lock(mutex_);
    closing_ = true;
  }
  work_came_.notify_all();
  thread_.join();
}

void CollectiveThread::push(std::int64_t sequence, std::function<void()> work) {
  const std::scoped_lock lock(mutex_);
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  queue_.emplace_back(sequence, std::move(work));
}

void CollectiveThread::enqueue(std::int64_t sequence, std::function<void()> work) {
  push(sequence, std::move(work));
  work_came_.notify_all();
}

void CollectiveThread::wait(std::int64_t sequence) {
  std::unique_lock lock(mutex_);
  while (last_done_ < sequence && failure_ == nullptr) {
    if (!runs_ && !queue_.empty()) {
      run_next(lock);
    } else {
      work_done_.wait(lock);
    }
  }
  if (last_done_ >= sequence) return;
  work_done_.wait_for(lock, kPatience, [&] { return !runs_; });
  std::rethrow_exception(failure_);
}

void CollectiveThread::run(std::int64_t sequence, std::function<void()> work) {
  push(sequence, std::move(work));
  wait(sequence);
}

void CollectiveThread::fail(std::exception_ptr failure) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    if (failure_ != nullptr) return;
    failure_ = std::move(failure);
    failed_ = true;
  }
  work_came_.notify_all();
  work_done_.notify_all();
}

void CollectiveThread::require_sound() {
  if (!failed()) return;
  const std::scoped_lock lock(mutex_);
  std::rethrow_exception(failure_);
}

void CollectiveThread::run_next(std::unique_lock<std::mutex>& lock) {
  const auto [sequence, work] = std::move(queue_.front());
  queue_.pop_front();
  runs_ = true;
  lock.unlock();
  std::exception_ptr failure;
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  lock.lock();
  runs_ = false;
  if (failure == nullptr) {
    last_done_ = sequence;
  } else if (failure_ == nullptr) {
    failure_ = failure;
    failed_ = true;
  }
  if (failure_ != nullptr || !queue_.empty()) work_came_.notify_all();
  work_done_.notify_all();
}

void CollectiveThread::serve() {
  std::unique_lock lock(mutex_);
  while (failure_ == nullptr) {
    if (!runs_ && !queue_.empty()) {
      run_next(lock);
    } else if (closing_ && !runs_) {
      return;
    } else {
      work_came_.wait(lock);
    }
  }
  lock.unlock();
  after_failure_(failure_);
}

}  // namespace ovid::distributed
