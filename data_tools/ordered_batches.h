#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "data_tools/work_pool.h"

namespace ovid::data_tools {

// Lets a pool work on many items at a time, while more are read, and takes them in the order in
// which they were added. Memory: some MiB of items for each thread.
template <typename Item>
class OrderedBatches {
 public:
  // `work` runs on threads of the pool, `worker` in [0, pool.threads()), no two at a time with the
  // same; `take` on the thread that adds. What either throws reaches the caller of add or finish.
  using Work = std::function<void(std::size_t worker, Item& item)>;
  using Take = std::function<void(Item& item)>;
  OrderedBatches(WorkPool& pool, Work work, Take take)
      : pool_(pool),
        work_(std::move(work)),
        take_(std::move(take)),
        filling_(std::make_unique<Batch>()),
        free_workers_(pool.threads()) {
    std::iota(free_workers_.begin(), free_workers_.end(), std::size_t{0});
  }
  // Stops the pool where finish() was not reached.
  ~OrderedBatches() {
    if (!waiting_.empty()) pool_.stop();
  }
  OrderedBatches(const OrderedBatches&) = delete;
  OrderedBatches& operator=(const OrderedBatches&) = delete;

  // `bytes`: about what the item holds.
  void add(Item&& item, std::size_t bytes) {
    filling_->bytes += bytes + sizeof(Item);
    filling_->items.push_back(std::move(item));
    if (filling_->bytes < kBatchBytes) return;
    submit();
    take_done((2 * pool_.threads() + 1) * kBatchBytes);
  }

  // Works on and takes what is left.
  void finish() {
    submit();
    take_done(0);
  }

 private:
  static constexpr std::size_t kBatchBytes = 256 << 10;
  struct Batch {
    std::vector<Item> items;
    std::size_t bytes = 0;
    std::exception_ptr failure;
    bool done = false;  // under the pool's lock
  };

  void submit() {
    Batch& batch = *filling_;
    waiting_bytes_ += batch.bytes;
    waiting_.push_back(std::exchange(filling_, std::make_unique<Batch>()));
    pool_.submit_urgent([this, &batch] { work_on(batch); });
  }

  void work_on(Batch& batch) {
    std::size_t worker = 0;
    pool_.update([&] {
      worker = free_workers_.back();
      free_workers_.pop_back();
    });
    try {
      for (Item& item : batch.items) work_(worker, item);
    } catch (...) {
      batch.failure = std::current_exception();
    }
    pool_.update([&] {
      free_workers_.push_back(worker);
      batch.done = true;
    });
  }

  void take_done(std::size_t most_waiting_bytes) {
    while (!waiting_.empty()) {
      Batch& front = *waiting_.front();
      bool done = false;
      pool_.update([&] { done = front.done; });
      if (!done && waiting_bytes_ <= most_waiting_bytes) return;
      if (!done) pool_.wait_until([&] { return front.done; });
      if (front.failure) std::rethrow_exception(front.failure);
      for (Item& item : front.items) take_(item);
      waiting_bytes_ -= front.bytes;
      waiting_.pop_front();
    }
  }

  WorkPool& pool_;
  Work work_;
  Take take_;
  std::unique_ptr<Batch> filling_;
  std::deque<std::unique_ptr<Batch>> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::vector<std::size_t> free_workers_;  // under the pool's lock
};

}  // namespace ovid::data_tools
