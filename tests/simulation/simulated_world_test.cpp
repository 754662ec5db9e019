#include "src/simulation/simulated_world.h"

#include <cstring>
#include <numeric>
#include <vector>

#include "src/distributed/errors.h"
#include "src/simulation/task_scheduler.h"
#include "tests/catch.h"

namespace ovid::simulation {
namespace {

using distributed::CollectiveKind;

// Rows of a simulated world have an address and no memory behind it.
kernels::View row(std::int64_t elements) {
  static float address;
  return {&address, kernels::DType::kFloat32, kernels::Shape{elements}};
}

std::string failure_of(int ranks, const std::function<void(SimulatedRank&)>& body) {
  try {
    run_world(ranks, {}, body);
  } catch (const distributed::CollectiveError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("tasks take turns while they wait for each other", "[simulation]") {
  TaskScheduler tasks;
  std::vector<int> order;
  int turn = 0;
  for (int task = 0; task < 3; ++task) {
    tasks.add([&, task] {
      for (int round = 0; round < 2; ++round) {
        tasks.wait_until([&] { return turn % 3 == 2 - task; });
        order.push_back(task);
        ++turn;
      }
    });
  }
  CHECK(tasks.run());
  CHECK(order == std::vector<int>{2, 1, 0, 2, 1, 0});
}

TEST_CASE("small facts reach all of a thousand simulated ranks", "[simulation]") {
  constexpr int kRanks = 1024;
  int right = 0;
  const WorldReport report = run_world(kRanks, {}, [&](SimulatedRank& rank) {
    const int own = rank.communicator().rank() * 3;
    std::vector<int> all(kRanks);
    rank.communicator().exchange(std::as_bytes(std::span(&own, 1)),
                                 std::as_writable_bytes(std::span(all)), "loss");
    right += std::accumulate(all.begin(), all.end(), 0) == 3 * kRanks * (kRanks - 1) / 2;
  });
  CHECK(right == kRanks);
  CHECK(report.collectives.at(CollectiveKind::kExchange).calls == 1);
}

TEST_CASE("time is that of the slowest rank and of a network that does one thing at a time",
          "[simulation]") {
  const NetworkModel network{.latency_seconds = 0.5, .bytes_per_second = 4};
  // A ring of two: 1 step of 0.5 s and half of 16 bytes at 4 bytes/s, twice for an all-reduce.
  CHECK(collective_seconds(network, CollectiveKind::kReduceScatter, 16, 2) == 2.5);
  CHECK(collective_seconds(network, CollectiveKind::kAllReduce, 16, 2) == 5);
  CHECK(collective_seconds(network, CollectiveKind::kBarrier, 0, 1) == 0);
  const WorldReport report = run_world(2, network, [](SimulatedRank& rank) {
    auto& communicator = rank.communicator();
    rank.compute(communicator.rank() == 0 ? 1 : 3);
    const auto first = communicator.begin_all_reduce(row(4), "a");   // 3 to 8
    const auto second = communicator.begin_all_reduce(row(4), "b");  // 8 to 13
    rank.compute(7);                                                 // to 8 and 10
    communicator.wait(first);
    communicator.wait(second);
    CHECK(rank.now() == 13);
  });
  CHECK(report.seconds == 13);
  CHECK(report.network_seconds == 10);
  CHECK(report.waited_seconds == 4);  // 5 and 3
}

TEST_CASE("collectives in another order on one rank are found and named", "[simulation]") {
  const std::string text = failure_of(16, [](SimulatedRank& rank) {
    auto& communicator = rank.communicator();
    const bool swaps = communicator.rank() == 5;
    const auto one = communicator.begin_all_reduce(row(8), swaps ? "block 1" : "block 0");
    const auto two = communicator.begin_all_reduce(row(8), swaps ? "block 0" : "block 1");
    communicator.wait(one);
    communicator.wait(two);
  });
  INFO(text);
  CHECK(text.find("block 0") != std::string::npos);
  CHECK(text.find("5") != std::string::npos);
}

TEST_CASE("a rank that leaves a collective out is a deadlock that is found and named",
          "[simulation]") {
  const std::string text = failure_of(8, [](SimulatedRank& rank) {
    auto& communicator = rank.communicator();
    communicator.barrier("start");
    if (communicator.rank() != 3)
      communicator.wait(communicator.begin_all_reduce(row(8), "block 7"));
  });
  INFO(text);
  CHECK(text.find("7 ranks, the first is 0, wait in") != std::string::npos);
  CHECK(text.find("1 ranks, the first is 3, have ended") != std::string::npos);
  CHECK(text.find("block 7") != std::string::npos);
}

TEST_CASE("what a rank throws ends the world, with every stack unwound", "[simulation]") {
  struct Counted {
    explicit Counted(int& count) : count_(count) { ++count_; }
    ~Counted() { --count_; }
    int& count_;
  };
  int alive = 0;
  CHECK_THROWS_AS(run_world(64, {},
                            [&](SimulatedRank& rank) {
                              const Counted counted(alive);
                              if (rank.communicator().rank() == 40)
                                throw std::invalid_argument("mine");
                              rank.communicator().barrier("all");
                            }),
                  std::invalid_argument);
  CHECK(alive == 0);
}

}  // namespace ovid::simulation
