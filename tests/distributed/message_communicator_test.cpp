// The communicator over messages, with threads in place of processes.
#include "src/distributed/message_communicator.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include "src/distributed/errors.h"
#include "src/distributed/memory_flight_recorder.h"
#include "tests/catch.h"
#include "tests/distributed/collective_checks.h"

using namespace ovid;
using namespace ovid::distributed;

namespace {

using Channel = MessageTransport::Channel;

// What was sent and not yet received, by (to, from, channel).
struct Post {
  std::mutex mutex;
  std::map<std::tuple<int, int, Channel>, std::deque<std::vector<std::byte>>> letters;
};

class ThreadTransport final : public MessageTransport {
 public:
  ThreadTransport(Post& post, RankInfo ranks) : post_(post), ranks_(ranks) {}

  RankInfo ranks() const override { return ranks_; }
  std::string description() const override { return "threads"; }

  Request send(int to, Channel channel, std::span<const std::byte> bytes) override {
    const std::scoped_lock lock(post_.mutex);
    post_.letters[{to, ranks_.rank, channel}].emplace_back(bytes.begin(), bytes.end());
    return 0;  // done at once
  }
  Request receive(int from, Channel channel, std::span<std::byte> bytes) override {
    waiting_[++last_] = {from, channel, bytes};
    return last_;
  }
  bool done(Request request) override {
    const std::scoped_lock lock(post_.mutex);
    // In the order of the receives, as they must match in the order of the sends.
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      it = arrives(it->second) ? waiting_.erase(it) : std::next(it);
    }
    return waiting_.count(request) == 0;
  }
  void abandon() noexcept override {
    std::erase_if(waiting_, [](const auto& w) { return w.second.channel == Channel::kData; });
  }

 private:
  struct Waiting {
    int from;
    Channel channel;
    std::span<std::byte> bytes;
  };
  bool arrives(const Waiting& waiting) {
    for (int from = 0; from < ranks_.count; ++from) {
      if (waiting.from != kAnyRank && waiting.from != from) continue;
      auto& letters = post_.letters[{ranks_.rank, from, waiting.channel}];
      if (letters.empty()) continue;
      if (letters.front().size() != waiting.bytes.size()) std::terminate();
      std::copy(letters.front().begin(), letters.front().end(), waiting.bytes.begin());
      letters.pop_front();
      return true;
    }
    return false;
  }

  Post& post_;
  RankInfo ranks_;
  Request last_ = 0;
  std::map<Request, Waiting> waiting_;
};

// Runs `body` on each of `count` ranks; what each returned, or "RankError: ..." of what it threw.
std::vector<std::string> on_ranks(int count,
                                  const std::function<std::string(Communicator&)>& body) {
  Post post;
  std::vector<std::string> results(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      const RankInfo place{.rank = rank, .count = count, .local_rank = rank, .local_count = count};
      const auto communicator = make_message_communicator(
          std::make_unique<ThreadTransport>(post, place), std::make_unique<MemoryFlightRecorder>());
      try {
        results[rank] = body(*communicator);
      } catch (const RankError& error) {
        results[rank] = std::string("RankError: ") + error.what();
      } catch (const CollectiveError& error) {
        results[rank] = std::string("CollectiveError: ") + error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

}  // namespace

TEST_CASE("all collectives over messages give the sums of the ranks' order, to the bit",
          "[distributed]") {
  for (const int count : {1, 2, 3, 4, 5, 8}) {
    const auto results = on_ranks(count, [](Communicator& communicator) {
      test::HostMemory memory;
      std::string problem = test::check_collectives(communicator, memory, {0, 1, 17, 4099});
      return problem.empty() ? test::check_overlap(communicator, memory) : problem;
    });
    for (const std::string& result : results) CHECK(result == "");
  }
}

TEST_CASE("a row larger than the pieces of a reduction is summed over messages", "[distributed]") {
  const auto results = on_ranks(3, [](Communicator& communicator) {
    test::HostMemory memory;
    return test::check_collectives(communicator, memory, {300001});
  });
  for (const std::string& result : results) CHECK(result == "");
}

TEST_CASE("different calls end in an error with the calls of all ranks, on all of them",
          "[distributed]") {
  const auto results = on_ranks(4, [](Communicator& communicator) {
    std::vector<float> row(communicator.rank() == 2 ? 11 : 10);
    communicator.wait(
        communicator.begin_all_reduce({row.data(), kernels::DType::kFloat32,
                                       kernels::Shape{static_cast<std::int64_t>(row.size())}},
                                      "block 3"));
    return std::string("went on");
  });
  for (const std::string& result : results) {
    CHECK_THAT(result, Catch::Matchers::Contains("CollectiveError") &&
                           Catch::Matchers::Contains("rank 2 #1 all_reduce 'block 3' (44 bytes") &&
                           Catch::Matchers::Contains("ranks 0, 1, 3"));
  }
}

TEST_CASE("one rank's abort ends the waiting of all others with its words", "[distributed]") {
  const auto results = on_ranks(4, [](Communicator& communicator) {
    if (communicator.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      communicator.abort("the step hangs");
    }
    communicator.barrier("never complete");
    return std::string("went on");
  });
  for (const std::string& result : results) {
    CHECK(result == "RankError: rank 1 ended the run: the step hangs");
  }
}

TEST_CASE("a rank that is unwound by an error tells the others", "[distributed]") {
  Post post;
  std::string seen;
  const auto join = [&](int rank) {
    return make_message_communicator(
        std::make_unique<ThreadTransport>(post, RankInfo{.rank = rank, .count = 2}),
        std::make_unique<MemoryFlightRecorder>());
  };
  std::thread other([&] {
    const auto communicator = join(1);
    try {
      communicator->barrier("rank 0 does not come");
    } catch (const RankError& error) {
      seen = error.what();
    }
  });
  try {
    const auto communicator = join(0);
    throw std::runtime_error("data is missing");
  } catch (const std::runtime_error&) {
  }
  other.join();
  CHECK_THAT(seen, Catch::Matchers::Contains("rank 0 ended the run"));
}

TEST_CASE("the flight recorder has begin, start and end of collectives over messages",
          "[distributed]") {
  const auto results = on_ranks(2, [](Communicator& communicator) {
    communicator.barrier("first");
    communicator.barrier("second");
    std::vector<FlightRecorder::Entry> entries(4);
    const std::size_t count = communicator.recorder().read(entries);
    if (count != 2) return std::string("has not two entries");
    for (std::size_t i = 0; i < count; ++i) {
      const FlightRecorder::Entry& entry = entries[i];
      if (entry.begun <= 0 || entry.started < entry.begun || entry.ended < entry.started) {
        return std::string("times are not in order");
      }
    }
    return std::string(entries[1].header.label);
  });
  for (const std::string& result : results) CHECK(result == "second");
}
