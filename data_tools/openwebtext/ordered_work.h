#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "data_tools/openwebtext/corpus_reader.h"
#include "data_tools/openwebtext/document_stages.h"
#include "data_tools/work_pool.h"

namespace ovid::data_tools::openwebtext {

struct WorkedItem {
  Item item;
  Place behind;
  Outcome outcome;
};

// Lets a pool work on many items at a time, while more are read, and takes the outcomes in the
// items' order. Memory: some MiB of text for each thread.
class OrderedWork {
 public:
  // `work` runs on threads of the pool, `worker` in [0, pool.threads()), no two at a time with the
  // same; `take` on the thread that adds. What either throws reaches the caller of add or finish.
  using Work = std::function<void(std::size_t worker, WorkedItem& item)>;
  using Take = std::function<void(WorkedItem& item)>;
  OrderedWork(WorkPool& pool, Work work, Take take);
  ~OrderedWork();  // stops the pool where finish() was not reached

  void add(Item&& item, const Place& behind);
  void finish();  // works on and takes what is left

 private:
  struct Batch;
  void submit();
  void take_done(std::size_t most_waiting_bytes);

  WorkPool& pool_;
  Work work_;
  Take take_;
  std::unique_ptr<Batch> filling_;
  std::deque<std::unique_ptr<Batch>> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::vector<std::size_t> free_workers_;  // under the pool's lock
};

}  // namespace ovid::data_tools::openwebtext
