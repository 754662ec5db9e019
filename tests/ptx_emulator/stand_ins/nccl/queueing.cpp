// From calls to queued work.

#include <nccl.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "tests/ptx_emulator/stand_ins/nccl/clique.h"
#include "tests/ptx_emulator/stand_ins/nccl/stream_order.h"
#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

namespace ptx_emulator::stand_ins {
namespace {

std::vector<StreamOfDevice> streams_of(const std::vector<RankBatch>& batches) {
  std::vector<StreamOfDevice> streams;
  const auto add = [&](const NcclCall& call) {
    const StreamOfDevice stream{call.stream, call.device};
    if (std::find(streams.begin(), streams.end(), stream) == streams.end())
      streams.push_back(stream);
  };
  for (const RankBatch& batch : batches) {
    std::for_each(batch.collectives.begin(), batch.collectives.end(), add);
    std::for_each(batch.messages.begin(), batch.messages.end(), add);
  }
  return streams;
}

// The batches while they are queued. A device that breaks drops what it had queued: the other ranks
// must learn of it.
class QueuedBatches {
 public:
  QueuedBatches(std::vector<RankBatch> batches, bool captured)
      : batches_(std::move(batches)), captured_(captured) {
    for (const RankBatch& batch : batches_) batch.state->outstanding += captured_ ? 0 : 1;
  }
  ~QueuedBatches() {
    if (captured_ || ran_.load()) return;
    for (const RankBatch& batch : batches_) {
      --batch.state->outstanding;
      batch.state->segment->fail(
          ncclRemoteError,
          text("rank %d dropped a queued operation: its device has an error", batch.state->rank));
    }
  }
  QueuedBatches(const QueuedBatches&) = delete;
  QueuedBatches& operator=(const QueuedBatches&) = delete;

  void run() {
    ran_.store(true);
    run_batches(batches_);
    for (const RankBatch& batch : batches_) batch.state->outstanding -= captured_ ? 0 : 1;
  }

 private:
  std::vector<RankBatch> batches_;
  bool captured_;
  std::atomic<bool> ran_{false};
};

}  // namespace

int queue_batches(std::vector<RankBatch> batches) {
  static std::mutex order_mutex;  // one order of all communication of the process
  const std::scoped_lock lock(order_mutex);
  const std::vector<StreamOfDevice> streams = streams_of(batches);
  if (streams.empty()) return kCudaSuccess;
  const StreamOfDevice leader = streams.front();
  CommunicationOrder& order = CommunicationOrder::instance();
  int error = order.follow(leader);
  for (std::size_t i = 1; i < streams.size() && error == kCudaSuccess; ++i)
    error = order_after(leader, streams[i]);
  if (error != kCudaSuccess) return error;
  // A graph's nodes run later, any number of times: what is outstanding is only known for plain
  // work.
  const bool captured = capture_id(leader) != 0;
  const auto queued = std::make_shared<QueuedBatches>(std::move(batches), captured);
  error = enqueue_on(
      leader, [queued] { queued->run(); }, "NCCL");
  if (error == kCudaSuccess) error = order.mark(leader);
  for (std::size_t i = 1; i < streams.size() && error == kCudaSuccess; ++i)
    error = order_after(streams[i], leader);
  return error;
}

}  // namespace ptx_emulator::stand_ins
