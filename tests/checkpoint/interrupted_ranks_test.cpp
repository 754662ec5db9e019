// Stops one of two ranks that write a checkpoint together at each of its system calls, or makes the
// call fail, and looks at what is left. Needs strace.
#include <fmt/format.h>

#include "src/checkpoint/run_checkpoint.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "tests/catch.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/test_files.h"
#include "tests/test_process.h"

namespace ovid::checkpoint {
namespace {

constexpr int kKilled = 128 + 9;
constexpr std::int64_t kSavedStep = 3;

// A run with checkpoint 2, and the program that saves a third on two ranks.
class TwoRanks {
 public:
  TwoRanks() {
    log::set_level(log::Level::kError);
    write_checkpoint(folder_ / "original", 2, TinyCheckpoint(2, 0).content(), {});
  }
  ~TwoRanks() { log::set_level(log::Level::kInfo); }

  struct Codes {
    int traced;
    int other;
  };

  // Rank `traced` runs under strace with the given injection, the other beside it.
  Codes run(int traced, const std::string& injection) {
    std::filesystem::remove_all(run_directory());
    std::filesystem::copy(folder_ / "original", run_directory(),
                          std::filesystem::copy_options::recursive);
    std::vector<std::string> command = {"strace", "-qq", "-o", (folder_ / "trace.txt").string()};
    command.insert(command.end(), {"-e", "inject=" + injection});
    for (const std::string& word : program(traced)) command.push_back(word);
    test::Process under_trace(command, (folder_ / "traced.txt").string());
    test::Process beside(program(1 - traced), (folder_ / "other.txt").string());
    return {under_trace.wait(), beside.wait()};
  }

  bool injected() const {
    return read_file(folder_ / "trace.txt").find("(INJECTED)") != std::string::npos;
  }

  // After a start's cleaning: the newest checkpoint is the earlier or the saved one, whole; nothing
  // lies about.
  bool state_is_sound(bool must_be_saved) const {
    clean_up_unfinished(run_directory());
    for (const std::string& name : names_in(run_directory() / "checkpoints"))
      if (name[0] == '.') return false;
    const auto found = find_newest_valid(run_directory());
    if (!found) return false;
    return holds(found->path, kSavedStep, 1) || (!must_be_saved && holds(found->path, 2, 0));
  }

 private:
  Path run_directory() const { return folder_ / "run"; }
  std::vector<std::string> program(int rank) const {
    return {OVID_COMMIT_PROGRAM,        run_directory().string(),
            std::to_string(kSavedStep), "1",
            std::to_string(rank),       "2"};
  }
  test::TemporaryDirectory folder_;
};

bool strace_works() {
  if (test::run_process({"strace", "-o", "/dev/null", "true"}).exit_code == 0) return true;
  fmt::print(stderr, "SKIPPED: strace is absent or may not trace\n");
  return false;
}

}  // namespace

TEST_CASE("one of two ranks killed at any system call, a save leaves the old or the new checkpoint",
          "[checkpoint][ranks]") {
  if (!strace_works()) return;
  TwoRanks ranks;
  for (const int victim : {0, 1}) {
    for (const char* calls : {"write,pwrite64", "fsync", "rename", "mkdir,openat"}) {
      int kills = 0;
      // Calls of the loader, too, count among the opened files: every third is enough of those.
      const int stride = std::string(calls) == "mkdir,openat" ? 3 : 1;
      for (int n = 1; n < 500; n += stride) {
        const auto codes = ranks.run(victim, fmt::format("{}:signal=KILL:when={}", calls, n));
        INFO(fmt::format("rank {}, {} number {}, exit codes {} and {}", victim, calls, n,
                         codes.traced, codes.other));
        REQUIRE((codes.traced == 0 || codes.traced == kKilled));
        CHECK(ranks.state_is_sound(codes.traced == 0));
        if (codes.traced == 0) {
          CHECK(codes.other == 0);
          break;
        }
        ++kills;
      }
      CHECK(kills > 0);
    }
  }
}

TEST_CASE("a system call that fails on one of two ranks fails the save on both",
          "[checkpoint][ranks]") {
  if (!strace_works()) return;
  TwoRanks ranks;
  const std::pair<const char*, const char*> faults[] = {
      {"pwrite64", "ENOSPC"}, {"write", "EDQUOT"}, {"fsync", "EIO"}, {"rename", "EIO"}};
  for (const int victim : {0, 1}) {
    for (const auto& [call, error] : faults) {
      int failures = 0;
      for (int n = 1; n < 200; ++n) {
        const auto codes = ranks.run(victim, fmt::format("{}:error={}:when={}", call, error, n));
        INFO(fmt::format("rank {}, {} at {} number {}, exit codes {} and {}", victim, error, call,
                         n, codes.traced, codes.other));
        if (!ranks.injected()) {
          CHECK(codes.traced == 0);
          break;
        }
        // A fault after the commit is only warned of.
        const int failed = static_cast<int>(ExitCode::kResources);
        REQUIRE((codes.traced == 0 || codes.traced == failed));
        CHECK(codes.other == codes.traced);
        failures += codes.traced != 0;
        CHECK(ranks.state_is_sound(codes.traced == 0));
      }
      CHECK(failures > 0);
    }
  }
}

}  // namespace ovid::checkpoint
