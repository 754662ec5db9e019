#include "src/distributed/device_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/common/errors.h"
#include "kernels/cuda/device_collectives.h"
#include "src/core/error.h"
#include "src/distributed/collective_text.h"
#include "src/distributed/collective_thread.h"
#include "src/distributed/errors.h"
#include "src/distributed/memory_flight_recorder.h"

namespace ovid::distributed {

namespace {

using kernels::cuda::CollectiveGroup;
using kernels::cuda::CollectiveId;
using kernels::cuda::DeviceCollective;
using kernels::cuda::DeviceCollectiveKind;
using kernels::cuda::DeviceCollectives;

DeviceCollectiveKind kind_of(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return DeviceCollectiveKind::kAllReduce;
    case CollectiveKind::kReduceScatter:
      return DeviceCollectiveKind::kReduceScatter;
    case CollectiveKind::kAllGather:
      return DeviceCollectiveKind::kAllGather;
    case CollectiveKind::kBroadcast:
      return DeviceCollectiveKind::kBroadcast;
    case CollectiveKind::kScatter:
    case CollectiveKind::kExchange:
    case CollectiveKind::kBarrier:
      break;  // the last two are the host's and never come here
  }
  return DeviceCollectiveKind::kScatter;
}

DeviceCollective operation_of(const CollectiveCall& call) {
  const bool gathers = call.header.kind == CollectiveKind::kAllGather;
  return {.kind = kind_of(call.header.kind),
          .in = call.in.has_value() ? call.in->raw() : nullptr,
          .out = call.out->raw(),
          .elements = gathers ? call.in->elements() : call.out->elements(),
          .dtype = call.out->dtype(),
          .root = std::max(call.header.root, 0)};
}

// Says to the others why a rank cannot take part, before anybody waits for it in NCCL.
std::unique_ptr<DeviceCollectives> join(Communicator& host, kernels::cuda::Device& device) {
  struct Offer {
    CollectiveId id{};
    std::array<char, 400> problem{};
  };
  Offer own;
  std::string problem = kernels::cuda::collectives_unavailable();
  if (problem.empty() && host.rank() == 0) {
    try {
      own.id = kernels::cuda::make_collective_id();
    } catch (const kernels::DeviceError& error) {
      problem = error.what();
    }
  }
  std::copy_n(problem.begin(), std::min(problem.size(), own.problem.size() - 1),
              own.problem.begin());
  std::vector<Offer> offers(static_cast<std::size_t>(host.count()));
  host.exchange(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(offers)),
                "NCCL's id");
  for (std::size_t r = 0; r < offers.size(); ++r) {
    if (offers[r].problem[0] == '\0') continue;
    throw kernels::DeviceError(fmt::format("rank {}: {}", r, offers[r].problem.data()));
  }
  return kernels::cuda::open_collectives(
      device, CollectiveGroup{.id = offers.front().id, .rank = host.rank(), .count = host.count()});
}

class DeviceCommunicator final : public Communicator {
 public:
  DeviceCommunicator(std::unique_ptr<Communicator> host, kernels::cuda::Device& device)
      : Communicator(host->ranks(), std::make_unique<MemoryFlightRecorder>()),
        host_(std::move(host)),
        collectives_(join(*host_, device)),
        thread_([this](const std::exception_ptr& failure) { end_for_all(failure); }),
        watcher_([this] { watch(); }) {}

  ~DeviceCommunicator() override {
    if (std::uncaught_exceptions() > 0 && !thread_.failed())
      abort("it ended with an error of its own");
    {
      const std::scoped_lock lock(mutex_);
      is_closing_ = true;
    }
    changed_.notify_all();
    watcher_.join();
  }

  void abort(std::string_view reason) noexcept override {
    host_->abort(reason);  // first: its words are those that all see
    try {
      thread_.fail(std::make_exception_ptr(
          RankError(fmt::format("rank {} ended the run: {}", rank(), reason))));
    } catch (...) {  // no memory for the words; what follows still ends the run
    }
    collectives_->abort();
  }

 private:
  void do_begin(const CollectiveCall& call) override {
    // Here, not in the thread: what the caller enqueues next must not count.
    collectives_->mark(call.header.sequence);
    thread_.enqueue(call.header.sequence, [this, call] {
      agree(call.header);
      collectives_->enqueue(call.header.sequence, operation_of(call));
      {
        const std::scoped_lock lock(mutex_);
        watched_.push_back(call.header.sequence);
      }
      changed_.notify_all();
    });
  }

  void do_wait(std::int64_t sequence) override {
    thread_.wait(sequence);
    collectives_->let_compute_wait(sequence);
  }

  void do_exchange(std::span<const std::byte> in, std::span<std::byte> out,
                   const CollectiveHeader& header) override {
    thread_.run(header.sequence, [this, in, out, header] {
      agree(header);
      recorder().start(header.sequence);
      if (!in.empty()) host_->exchange(in, out, "data");
      recorder().end(header.sequence);
    });
  }

  // Also makes sure that all ranks are there.
  void agree(const CollectiveHeader& header) {
    std::vector<CollectiveHeader> headers(static_cast<std::size_t>(count()));
    host_->exchange(std::as_bytes(std::span(&header, 1)),
                    std::as_writable_bytes(std::span(headers)), "header");
    try {
      require_equal_headers(headers);
    } catch (const CollectiveError&) {
      // Others may still wait for some header: they are to see the difference, not this rank's end.
      try {
        host_->barrier("calls differ");
      } catch (const Error&) {
      }
      throw;
    }
  }

  // After a failure: the device must not wait for ranks that will not come.
  void end_for_all(const std::exception_ptr& failure) {
    collectives_->abort();
    try {
      std::rethrow_exception(failure);
    } catch (const CollectiveError&) {  // found by all
    } catch (const std::exception& error) {
      host_->abort(error.what());
    }
  }

  // Notes when operations start and end, and sees what goes wrong while they run. A look costs some
  // microseconds, and none is taken while nothing is under way.
  void watch() {
    constexpr std::chrono::milliseconds kPeriod{1};
    std::unique_lock lock(mutex_);
    while (!is_closing_) {
      if (watched_.empty()) {
        changed_.wait(lock, [&] { return is_closing_ || !watched_.empty(); });
        continue;
      }
      const std::int64_t next = watched_.front();
      lock.unlock();
      const bool is_done = look_at(next);
      if (!is_done) std::this_thread::sleep_for(kPeriod);
      lock.lock();
      if (is_done) watched_.pop_front();
    }
  }

  bool look_at(std::int64_t sequence) {
    try {
      if (sequence > last_started_ && collectives_->started(sequence)) {
        recorder().start(sequence);
        last_started_ = sequence;
      }
      if (sequence == last_started_ && collectives_->done(sequence)) {
        recorder().end(sequence);
        return true;
      }
      if (thread_.failed()) return true;
      const std::string problem = collectives_->failure();
      if (problem.empty()) return false;
      throw RankError(fmt::format("{} in collective {} of rank {}", problem, sequence, rank()));
    } catch (...) {
      thread_.fail(std::current_exception());
      return true;
    }
  }

  std::unique_ptr<Communicator> host_;
  std::unique_ptr<DeviceCollectives> collectives_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::int64_t> watched_;  // enqueued, not seen done
  std::int64_t last_started_ = 0;     // the watcher's
  bool is_closing_ = false;
  CollectiveThread thread_;  // uses what is above
  std::thread watcher_;      // and this one too
};

}  // namespace

std::unique_ptr<Communicator> open_device_communicator(std::unique_ptr<Communicator> host,
                                                       kernels::cuda::Device& device) {
  return std::make_unique<DeviceCommunicator>(std::move(host), device);
}

}  // namespace ovid::distributed
