#include "kernels/cpu/parallel_for.h"

#include <atomic>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/common/errors.h"
#include "kernels/cpu/available_threads.h"
#include "kernels/cpu/instruction_set.h"
#include "tests/catch.h"
#include "tests/test_files.h"

#include <fstream>

namespace ovid::kernels::cpu {

namespace {

using Range = std::pair<std::int64_t, std::int64_t>;

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("parallel_for covers the range once, in pieces that do not depend on the threads",
          "[kernels][cpu]") {
  for (const std::int64_t count : {0, 1, 5, 64, 1001}) {
    for (const std::int64_t grain : {1, 3, 64, 5000}) {
      const auto pieces = static_cast<std::size_t>((count + grain - 1) / grain);
      for (const int threads : {1, 2, 3, 8}) {
        std::vector<Range> seen(pieces, Range{-1, -1});
        std::vector<int> touched(static_cast<std::size_t>(count), 0);
        parallel_for(threads, count, grain, [&](std::int64_t begin, std::int64_t end) {
          seen[static_cast<std::size_t>(begin / grain)] = {begin, end};
          for (std::int64_t i = begin; i < end; ++i) ++touched[static_cast<std::size_t>(i)];
        });
        for (std::size_t piece = 0; piece < pieces; ++piece) {
          const std::int64_t begin = static_cast<std::int64_t>(piece) * grain;
          REQUIRE(seen[piece] == Range{begin, std::min(begin + grain, count)});
        }
        REQUIRE(touched == std::vector<int>(static_cast<std::size_t>(count), 1));
      }
    }
  }
}

TEST_CASE("an exception of a piece reaches the caller, and the next call works", "[kernels][cpu]") {
  for (const int threads : {1, 2, 5}) {
    CHECK_THROWS_AS(parallel_for(threads, 100, 1,
                                 [](std::int64_t begin, std::int64_t) {
                                   if (begin == 37) throw std::runtime_error("piece 37");
                                 }),
                    std::runtime_error);
    std::atomic<int> calls = 0;
    parallel_for(threads, 100, 1, [&](std::int64_t, std::int64_t) { ++calls; });
    CHECK(calls == 100);
  }
}

TEST_CASE("a call from within a piece runs on that piece's thread", "[kernels][cpu]") {
  std::atomic<int> strangers = 0, calls = 0;
  parallel_for(4, 8, 1, [&](std::int64_t, std::int64_t) {
    const std::thread::id self = std::this_thread::get_id();
    parallel_for(4, 16, 1, [&](std::int64_t, std::int64_t) {
      ++calls;
      if (std::this_thread::get_id() != self) ++strangers;
    });
  });
  CHECK(calls == 8 * 16);
  CHECK(strangers == 0);
}

TEST_CASE("several threads may call parallel_for at once", "[kernels][cpu]") {
  std::vector<std::int64_t> sums(4, 0);
  {
    std::vector<std::thread> callers;
    for (std::size_t caller = 0; caller < sums.size(); ++caller) {
      callers.emplace_back([&sums, caller] {
        for (int round = 0; round < 50; ++round) {
          std::vector<std::int64_t> slots(20, 0);
          parallel_for(3, 200, 10, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i)
              slots[static_cast<std::size_t>(begin / 10)] += i;
          });
          for (const std::int64_t slot : slots) sums[caller] += slot;
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
  }
  for (const std::int64_t sum : sums) CHECK(sum == 50 * 199 * 200 / 2);
}

TEST_CASE("the quota of control groups limits the threads", "[kernels][cpu]") {
  const ovid::test::TemporaryDirectory folder;
  const std::filesystem::path root = folder.path();
  CHECK(cgroup_cores(root, "0::/job/step\n") == std::nullopt);
  write_text(root / "job/step/cpu.max", "max 100000\n");
  CHECK(cgroup_cores(root, "0::/job/step\n") == std::nullopt);
  write_text(root / "job/cpu.max", "250000 100000\n");
  CHECK(cgroup_cores(root, "0::/job/step\n") == 3);  // the parent's, rounded up
  CHECK(cgroup_cores(root, "0::/../outside\n") == std::nullopt);
  write_text(root / "cpu/old/cpu.cfs_quota_us", "-1\n");
  write_text(root / "cpu/old/cpu.cfs_period_us", "100000\n");
  CHECK(cgroup_cores(root, "4:cpu,cpuacct:/old\n") == std::nullopt);
  write_text(root / "cpu/old/cpu.cfs_quota_us", "150000\n");
  CHECK(cgroup_cores(root, "4:cpu,cpuacct:/old\n3:memory:/old\n") == 2);
  write_text(root / "job/cpu.max", "-5 nonsense\n");
  CHECK(cgroup_cores(root, "0::/job/step\nnonsense\n") == std::nullopt);
  CHECK(available_threads() >= 1);
}

TEST_CASE("an instruction set can be chosen for a scope, and an unknown one is named",
          "[kernels][cpu]") {
  const std::string usual = instruction_set();
  CHECK(usual == supported_instruction_sets().front());
  {
    const UseInstructionSet use(supported_instruction_sets().back());
    CHECK(instruction_set() == supported_instruction_sets().back());
  }
  CHECK(instruction_set() == usual);
  CHECK_THROWS_AS(UseInstructionSet("AVX17"), DeviceError);
}

}  // namespace ovid::kernels::cpu
