// Stops a save at each of its system calls, or makes the call fail, and looks at what is left.
// Needs strace.
#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "src/checkpoint/run_checkpoint.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "tests/catch.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/test_files.h"

namespace ovid::checkpoint {
namespace {

constexpr int kKilled = 128 + 9;

int exit_code_of(const std::string& command) {
  const int status = std::system(command.c_str());
  if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
  return WEXITSTATUS(status);
}

// A run with checkpoints 1 and 2, and the program that saves a third (pruning the first) or the
// second again.
class InterruptedSave {
 public:
  InterruptedSave() {
    log::set_level(log::Level::kError);
    for (const std::int64_t step : {1, 2}) {
      write_checkpoint(folder_ / "original", step, TinyCheckpoint(step, 0).content(), {});
    }
  }
  ~InterruptedSave() { log::set_level(log::Level::kInfo); }

  static bool works() {
    if (exit_code_of("strace -o /dev/null true 2>/dev/null") == 0) return true;
    fmt::print(stderr, "SKIPPED: strace is absent or may not trace\n");
    return false;
  }

  // Saves `step` under strace with the given options. The exit code of the program.
  int run(std::int64_t step, const std::string& options) {
    std::filesystem::remove_all(run_directory());
    std::filesystem::copy(folder_ / "original", run_directory(),
                          std::filesystem::copy_options::recursive);
    return exit_code_of(fmt::format("strace -qq -y -o '{}' {} '{}' '{}' {} 1 2>/dev/null",
                                    log_file().string(), options, OVID_COMMIT_PROGRAM,
                                    run_directory().string(), step));
  }

  bool injected() const { return trace().find("(INJECTED)") != std::string::npos; }
  std::string trace() const { return read_file(log_file()); }
  Path run_directory() const { return folder_ / "run"; }

  // After a start's cleaning: the newest checkpoint is the earlier or the saved one, whole; nothing
  // lies about.
  bool state_is_sound(std::int64_t saved_step, bool must_be_saved, bool must_be_previous) const {
    clean_up_unfinished(run_directory());
    for (const std::string& name : names_in(run_directory() / "checkpoints")) {
      if (name[0] == '.' || name.find(".tmp") != std::string::npos) return false;
    }
    const auto found = find_newest_valid(run_directory());
    if (!found) return false;
    const bool saved = holds(found->path, saved_step, 1);
    const bool previous = holds(found->path, 2, 0);
    return must_be_saved ? saved : must_be_previous ? previous : saved || previous;
  }

 private:
  Path log_file() const { return folder_ / "trace.txt"; }
  test::TemporaryDirectory folder_;
};

}  // namespace

TEST_CASE("killed at any system call, a save leaves the old or the new checkpoint",
          "[checkpoint]") {
  if (!InterruptedSave::works()) return;
  InterruptedSave save;
  for (const std::int64_t step : {3, 2}) {
    for (const char* calls : {"write", "fsync", "rename", "unlinkat,unlink,rmdir", "mkdir"}) {
      int kills = 0;
      for (int n = 1; n < 500; ++n) {
        const int code = save.run(
            step, fmt::format("-e trace={0} -e inject={0}:signal=KILL:when={1}", calls, n));
        INFO(fmt::format("step {}, {} number {}, exit code {}", step, calls, n, code));
        REQUIRE((code == 0 || code == kKilled));
        CHECK(save.state_is_sound(step, code == 0, false));
        if (code == 0) break;
        ++kills;
      }
      INFO(fmt::format("step {}, {}", step, calls));
      CHECK(kills > 0);
    }
  }
}

TEST_CASE("a failing system call fails the save and leaves the state of before", "[checkpoint]") {
  if (!InterruptedSave::works()) return;
  InterruptedSave save;
  const std::pair<const char*, const char*> faults[] = {{"write", "ENOSPC"},
                                                        {"write", "EDQUOT"},
                                                        {"fsync", "EIO"},
                                                        {"rename", "EIO"},
                                                        {"mkdir", "EACCES"}};
  for (const std::int64_t step : {3, 2}) {
    for (const auto& [call, error] : faults) {
      int failures = 0;
      for (int n = 1; n < 200; ++n) {
        const int code = save.run(
            step, fmt::format("-e trace={0} -e inject={0}:error={1}:when={2}", call, error, n));
        INFO(fmt::format("step {}, {} at {} number {}, exit code {}", step, error, call, n, code));
        if (!save.injected()) {
          CHECK(code == 0);
          break;
        }
        // Without a checkpoint the program says so; a fault after the commit is only warned of.
        REQUIRE((code == 0 || code == static_cast<int>(ExitCode::kResources)));
        failures += code != 0;
        if (code != 0) {
          for (const std::string& name : names_in(save.run_directory() / "checkpoints"))
            CHECK(name[0] != '.');
        }
        CHECK(save.state_is_sound(step, code == 0, code != 0));
      }
      INFO(fmt::format("step {}, {} at {}", step, error, call));
      CHECK(failures > 0);
    }
  }
}

TEST_CASE("every byte and name of a checkpoint is synced before the rename, the new name after it",
          "[checkpoint]") {
  if (!InterruptedSave::works()) return;
  InterruptedSave save;
  REQUIRE(save.run(3, "-e trace=write,fsync,rename,openat") == 0);
  std::istringstream lines(save.trace());
  std::set<std::string> unsynced;  // files and folders with changes that a power cut could take
  const std::string folder = (save.run_directory() / "checkpoints").string();
  bool renamed = false;
  int files = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto between = [&](const char* open, const char* close) {
      const std::size_t begin = line.find(open) + 1;
      return line.substr(begin, line.find(close, begin) - begin);
    };
    if (line.rfind("openat", 0) == 0 && line.find("O_CREAT") != std::string::npos) {
      const Path path = between("\"", "\"");
      unsynced.insert(path.parent_path().string());
      files += path.parent_path().filename().string().rfind(".tmp-step", 0) == 0;
    } else if (line.rfind("write", 0) == 0) {
      unsynced.insert(between("<", ">"));
    } else if (line.rfind("fsync", 0) == 0) {
      unsynced.erase(between("<", ">"));
    } else if (line.rfind("rename", 0) == 0 && line.find(".tmp-step") != std::string::npos) {
      for (const std::string& path : unsynced) {
        INFO(path);
        CHECK(path.find(".tmp-step") == std::string::npos);
      }
      unsynced.insert(folder);
      renamed = true;
    } else if (renamed && line.rfind("openat", 0) == 0 &&
               line.find("latest") != std::string::npos) {
      CHECK(unsynced.count(folder) == 0);  // the commit is durable before anything follows it
    }
  }
  CHECK(renamed);
  CHECK(files == 5);
}

}  // namespace ovid::checkpoint
