#include "data_tools/openwebtext/ordered_work.h"

#include <numeric>
#include <utility>

namespace ovid::data_tools::openwebtext {
namespace {

constexpr std::size_t kBatchBytes = 512 << 10;
constexpr std::size_t kItemBytes = 256;  // beside the text

}  // namespace

struct OrderedWork::Batch {
  std::vector<WorkedItem> items;
  std::size_t bytes = 0;
  std::exception_ptr failure;
  bool done = false;  // under the pool's lock
};

OrderedWork::OrderedWork(WorkPool& pool, Work work, Take take)
    : pool_(pool),
      work_(std::move(work)),
      take_(std::move(take)),
      filling_(std::make_unique<Batch>()),
      free_workers_(pool.threads()) {
  std::iota(free_workers_.begin(), free_workers_.end(), std::size_t{0});
}

OrderedWork::~OrderedWork() {
  if (!waiting_.empty()) pool_.stop();
}

void OrderedWork::add(Item&& item, const Place& behind) {
  filling_->bytes += item.text.size() + kItemBytes;
  filling_->items.push_back({.item = std::move(item), .behind = behind, .outcome = {}});
  if (filling_->bytes < kBatchBytes) return;
  submit();
  take_done((2 * pool_.threads() + 1) * kBatchBytes);
}

void OrderedWork::finish() {
  submit();
  take_done(0);
}

void OrderedWork::submit() {
  Batch& batch = *filling_;
  waiting_bytes_ += batch.bytes;
  waiting_.push_back(std::exchange(filling_, std::make_unique<Batch>()));
  pool_.submit_urgent([this, &batch] {
    std::size_t worker = 0;
    pool_.update([&] {
      worker = free_workers_.back();
      free_workers_.pop_back();
    });
    try {
      for (WorkedItem& item : batch.items) work_(worker, item);
    } catch (...) {
      batch.failure = std::current_exception();
    }
    pool_.update([&] {
      free_workers_.push_back(worker);
      batch.done = true;
    });
  });
}

void OrderedWork::take_done(std::size_t most_waiting_bytes) {
  while (!waiting_.empty()) {
    Batch& front = *waiting_.front();
    bool done = false;
    pool_.update([&] { done = front.done; });
    if (!done && waiting_bytes_ <= most_waiting_bytes) return;
    if (!done) pool_.wait_until([&] { return front.done; });
    if (front.failure) std::rethrow_exception(front.failure);
    for (WorkedItem& item : front.items) take_(item);
    waiting_bytes_ -= front.bytes;
    waiting_.pop_front();
  }
}

}  // namespace ovid::data_tools::openwebtext
