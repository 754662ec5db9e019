// The communicator by shared memory, in real processes.
#include "src/distributed/shared_memory_communicator.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "src/core/stopwatch.h"
#include "src/distributed/errors.h"
#include "tests/catch.h"
#include "tests/distributed/collective_checks.h"
#include "tests/distributed/rank_processes.h"

using namespace ovid;
using namespace ovid::distributed;
using kernels::DType;
using kernels::Shape;
using kernels::View;
using test::expect;
using test::run_ranks;

namespace {

void expect_sound(const std::string& problem) {
  expect(problem.empty(), problem);
}

View view_of(std::vector<float>& row) {
  return {row.data(), DType::kFloat32, Shape{static_cast<std::int64_t>(row.size())}};
}

float summed_one(Communicator& communicator, std::int64_t elements, std::string_view label) {
  std::vector<float> row(static_cast<std::size_t>(elements), 1.0f);
  communicator.wait(communicator.begin_all_reduce(view_of(row), label));
  return row.back();
}

void sleep_ms(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every collective by shared memory gives the sums in the order of the ranks",
          "[distributed]") {
  for (const int count : {2, 3, 4, 8}) {
    CAPTURE(count);
    // The last is several times as large as all buffers of a rank.
    test::require_all_done(run_ranks(count, [count](Communicator& communicator) {
      test::HostMemory memory;
      expect_sound(test::check_collectives(communicator, memory, {0, 1, 17, 2049}));
      test::HostMemory large;
      expect_sound(test::check_collectives(communicator, large, {800'011 / (count * count)}));
      expect_sound(test::check_overlap(communicator, memory));
    }));
  }
}

TEST_CASE("rows that the ranks cannot share evenly are summed to their end", "[distributed]") {
  test::require_all_done(run_ranks(3, [](Communicator& communicator) {
    for (const std::int64_t elements : {1, 2, 5, 2049, 16385, 65537, 131071}) {
      std::vector<float> row(static_cast<std::size_t>(elements));
      for (std::size_t i = 0; i < row.size(); ++i) {
        row[i] = static_cast<float>(i % 100) + static_cast<float>(communicator.rank());
      }
      communicator.wait(communicator.begin_all_reduce(view_of(row), "uneven"));
      for (std::size_t i = 0; i < row.size(); ++i) {
        expect(row[i] == 3.0f * static_cast<float>(i % 100) + 3.0f,
               fmt::format("{} elements: element {} is {}", elements, i, row[i]));
      }
    }
  }));
}

TEST_CASE("a reduce-scatter may write into its own part of the operand", "[distributed]") {
  constexpr std::int64_t kPart = 50'001;
  test::require_all_done(run_ranks(2, [](Communicator& communicator) {
    std::vector<float> row(2 * kPart, static_cast<float>(1 + communicator.rank()));
    const View own(row.data() + communicator.rank() * kPart, DType::kFloat32, Shape{kPart});
    communicator.wait(communicator.begin_reduce_scatter(view_of(row), own, "in place"));
    for (std::int64_t i = 0; i < 2 * kPart; ++i) {
      const bool is_own = i / kPart == communicator.rank();
      const float expected = is_own ? 3.0f : static_cast<float>(1 + communicator.rank());
      expect(row[static_cast<std::size_t>(i)] == expected, fmt::format("element {}", i));
    }
  }));
}

TEST_CASE("collectives are right whatever the ranks do in between", "[distributed]") {
  test::require_all_done(run_ranks(4, [](Communicator& communicator) {
    std::mt19937 random(static_cast<unsigned>(communicator.rank()) + 77);
    for (int i = 0; i < 60; ++i) {
      if (random() % 4 == 0) sleep_ms(static_cast<int>(random() % 4));
      const std::int64_t elements = 1 + (i * 7919) % 150'000;
      expect(summed_one(communicator, elements, "row") == 4.0f, "a sum is wrong");
      const int own = communicator.rank() * 100 + i;
      std::array<int, 4> all{};
      communicator.exchange(std::as_bytes(std::span(&own, 1)),
                            std::as_writable_bytes(std::span(all)), "facts");
      for (int rank = 0; rank < 4; ++rank) {
        expect(all[static_cast<std::size_t>(rank)] == rank * 100 + i, "an exchange is wrong");
      }
    }
  }));
}

TEST_CASE("the count of steps may wrap around", "[distributed]") {
  RankSegment segment = RankSegment::create(2);
  for (int rank = 0; rank < 2; ++rank) segment.place(rank).done.store(0xFFFFFFF0u);
  test::require_all_done(run_ranks(std::move(segment), [](Communicator& communicator) {
    for (int i = 0; i < 20; ++i) {
      expect(summed_one(communicator, 1 + i * 10'000, "row") == 2.0f, "a sum is wrong");
    }
  }));
}

TEST_CASE("calls that differ are an error that names ranks and calls", "[distributed]") {
  struct Case {
    const char* name;
    void (*call)(Communicator& communicator);
    const char* expected;
  };
  const Case cases[] = {
      {"sizes", [](Communicator& c) { summed_one(c, c.rank() == 1 ? 10 : 20, "block 3"); },
       "rank 1 #1 all_reduce 'block 3' (40 bytes of float32)"},
      {"labels",
       [](Communicator& c) { summed_one(c, 100'000, c.rank() == 1 ? "block 2" : "block 3"); },
       "ranks 0, 2 #1 all_reduce 'block 3' (400000 bytes of float32); rank 1 #1 all_reduce 'block "
       "2'"},
      {"kinds",
       [](Communicator& c) {
         if (c.rank() == 2) c.barrier("end of step");
         summed_one(c, 70'000, "block 3");
       },
       "rank 2 #1 barrier 'end of step'"},
      {"roots",
       [](Communicator& c) {
         std::vector<float> row(10);
         c.wait(c.begin_broadcast(view_of(row), c.rank() == 0 ? 1 : 0, "weights"));
       },
       "rank 0 #1 broadcast 'weights' from rank 1"},
  };
  for (const Case& mismatch : cases) {
    CAPTURE(mismatch.name);
    for (const auto& outcome : run_ranks(3, mismatch.call, 20)) {
      CHECK(outcome.exit_code == static_cast<int>(ExitCode::kBug));
      INFO(outcome.error);
      CHECK(contains(outcome.error, mismatch.expected));
    }
  }
}

TEST_CASE("a rank that dies is named by the others within a fifth of a second", "[distributed]") {
  constexpr double kPromised = 0.2;
  constexpr double kBusyMachine = 0.5;
  std::mt19937 random(4711);
  for (int trial = 0; trial < 12; ++trial) {
    const int count = 2 + trial % 3;
    const int victim = static_cast<int>(random() % static_cast<unsigned>(count));
    const int microseconds = static_cast<int>(random() % 30'000);
    CAPTURE(trial, count, victim, microseconds);
    const auto outcomes = run_ranks(
        count,
        [=](Communicator& communicator) {
          communicator.barrier("all are here");
          const Stopwatch watch;
          if (communicator.rank() == victim) {
            std::thread([=] {
              std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
              ::kill(::getpid(), SIGKILL);
            }).detach();
          }
          try {
            while (true) summed_one(communicator, 100'000, "gradients");
          } catch (const RankError&) {
            expect(watch.seconds() < 1e-6 * microseconds + kPromised + kBusyMachine,
                   fmt::format("noticed after {} s", watch.seconds()));
            throw;
          }
        },
        20);
    for (int rank = 0; rank < count; ++rank) {
      const auto& outcome = outcomes[static_cast<std::size_t>(rank)];
      INFO("rank " << rank << ": " << outcome.error);
      CHECK(outcome.exit_code == (rank == victim ? 137 : static_cast<int>(ExitCode::kResources)));
      if (rank != victim) CHECK(contains(outcome.error, fmt::format("rank {} (process", victim)));
    }
  }
}

TEST_CASE("an abort ends a collective that hangs, on all ranks", "[distributed]") {
  const auto outcomes = run_ranks(
      3,
      [](Communicator& communicator) {
        communicator.barrier("all are here");
        if (communicator.rank() == 1) {
          sleep_ms(50);
          communicator.abort("the watchdog saw no progress");
          communicator.barrier("later");
        }
        summed_one(communicator, 100'000, "gradients");
      },
      20);
  for (const auto& outcome : outcomes) {
    CHECK(outcome.exit_code == static_cast<int>(ExitCode::kResources));
    CHECK(contains(outcome.error, "rank 1 ended the run: the watchdog saw no progress"));
    CHECK(outcome.seconds < 2);
  }
}

TEST_CASE("a rank with an error of its own ends the others, which name it", "[distributed]") {
  const auto outcomes = run_ranks(
      3,
      [](Communicator& communicator) {
        communicator.barrier("all are here");
        if (communicator.rank() == 2) throw UsageError("the config is wrong");
        summed_one(communicator, 100'000, "gradients");
      },
      20);
  CHECK(outcomes[2].exit_code == static_cast<int>(ExitCode::kUsage));
  CHECK(outcomes[2].error == "the config is wrong");
  for (int rank = 0; rank < 2; ++rank) {
    CHECK(outcomes[static_cast<std::size_t>(rank)].exit_code == 6);
    CHECK(contains(outcomes[static_cast<std::size_t>(rank)].error, "rank 2 ended the run"));
  }
}

TEST_CASE("a rank that ends too early is named by those that wait for it", "[distributed]") {
  const auto outcomes = run_ranks(
      2,
      [](Communicator& communicator) {
        communicator.barrier("step 1");
        if (communicator.rank() == 0) communicator.barrier("step 2");
      },
      20);
  CHECK(outcomes[1].exit_code == 0);
  CHECK(outcomes[0].exit_code == 6);
  CHECK(contains(outcomes[0].error, "rank 1 ended while rank 0 waited for it"));
  CHECK(contains(outcomes[0].error, "#1 barrier 'step 1', which it had ended"));
}

TEST_CASE("a rank that does not come is named", "[distributed]") {
  const auto outcomes = test::run_processes(1, [](int) {
    SharedMemoryCommunicator communicator({0, 2, 0, 2}, RankSegment::create(2), 0.2);
  });
  CHECK(outcomes[0].exit_code == 6);
  CHECK(contains(outcomes[0].error, "rank 1 did not join the run within 0.2 s"));
}

TEST_CASE("two processes with one rank's number are refused", "[distributed]") {
  RankSegment segment = RankSegment::create(2);
  const auto outcomes = test::run_processes(2, [&](int) {
    SharedMemoryCommunicator communicator({0, 2, 0, 2}, std::move(segment), 0.5);
  });
  // One of them takes the place, and waits for rank 1 in vain.
  const bool first_refused = outcomes[0].exit_code == static_cast<int>(ExitCode::kUsage);
  const auto& refused = outcomes[first_refused ? 0 : 1];
  CHECK(refused.exit_code == static_cast<int>(ExitCode::kUsage));
  CHECK(contains(refused.error, "rank 0 is there twice"));
}

TEST_CASE("a rank reads what another one that died did last", "[distributed]") {
  const auto outcomes = run_ranks(
      2,
      [](Communicator& communicator) {
        summed_one(communicator, 100, "first");
        communicator.barrier("second");
        if (communicator.rank() == 1) ::kill(::getpid(), SIGKILL);
        try {
          communicator.barrier("third");
        } catch (const RankError&) {
        }
        std::vector<FlightRecorder::Entry> entries(FlightRecorder::kEntries);
        const std::size_t number = communicator.recorder_of(1)->read(entries);
        expect(number == 2, fmt::format("{} entries", number));
        expect(entries[1].header.kind == CollectiveKind::kBarrier, "not the barrier");
        expect(std::string(entries[1].header.label) == "second", "not its label");
        expect(entries[0].ended >= entries[0].started && entries[0].started > 0, "no times");
      },
      20);
  INFO(outcomes[0].error);
  CHECK(outcomes[0].exit_code == 0);
}

TEST_CASE("memory that is not the ranks' is refused", "[distributed]") {
  const auto open = [](int descriptor, int count) {
    return RankSegment::open(::dup(descriptor), count);
  };
  const RankSegment of_two = RankSegment::create(2);
  CHECK_THROWS_AS(open(of_two.descriptor(), 3), UsageError);
  CHECK_THROWS_AS(open(0, 2), UsageError);
  CHECK_THROWS_AS(RankSegment::open(9999, 2), UsageError);
  CHECK(open(of_two.descriptor(), 2).count() == 2);
}
