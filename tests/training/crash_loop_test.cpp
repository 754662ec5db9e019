#include "src/training/crash_loop.h"

#include <fmt/format.h>

#include "src/core/log.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::training {
namespace {

class Starts {
 public:
  Starts() { log::set_level(log::Level::kError); }
  ~Starts() { log::set_level(log::Level::kInfo); }

  CrashLoopBreaker start(const std::string& config = "steps: 10") {
    return CrashLoopBreaker({.file = file(), .metrics = metrics(), .config = config});
  }
  // A start that is through with steps 1 to `last` before it dies.
  void crash_after(int last) {
    CrashLoopBreaker breaker = start();
    for (int step = 1; step <= last; ++step) {
      OutputFile file(metrics(), WriteMode::kAppend);
      file.write(fmt::format("{{\"step\":{},\"loss\":2.5}}\n", step));
      breaker.note_step(step);
    }
  }
  Path file() const { return folder_ / "run" / "starts.json"; }
  Path metrics() const { return folder_ / "metrics.jsonl"; }

 private:
  test::TemporaryDirectory folder_;
};

}  // namespace

TEST_CASE("three starts without a step beyond the best known one are the last", "[training]") {
  Starts starts;
  starts.crash_after(5);  // progress
  for (int i = 0; i < 3; ++i) starts.crash_after(5);
  for (int i = 0; i < 2; ++i) {  // also where a scheduler starts it nonetheless
    try {
      starts.start();
      FAIL("the start was not refused");
    } catch (const DoNotRequeueError& e) {
      CHECK(e.exit_code() == ExitCode::kDoNotRequeue);
      CHECK_THAT(e.what(), Catch::Contains("3 starts in a row") &&
                               Catch::Contains("beyond step 5") && Catch::Contains("starts.json"));
    }
  }
  std::filesystem::remove(starts.file());
  CHECK_NOTHROW(starts.start());
}

TEST_CASE("a step beyond the best known one begins the count anew", "[training]") {
  Starts starts;
  for (int step = 1; step < 12; ++step) starts.crash_after(step);
  for (int i = 0; i < 3; ++i) starts.crash_after(3);
  CHECK_THROWS_AS(starts.start(), DoNotRequeueError);
}

TEST_CASE("an orderly end and a changed config begin the count anew", "[training]") {
  Starts starts;
  for (int i = 0; i < 10; ++i) starts.start().note_orderly_end();
  for (int i = 0; i < 3; ++i) starts.start();
  CHECK_THROWS_AS(starts.start(), DoNotRequeueError);
  CHECK_NOTHROW(starts.start("steps: 20"));
}

TEST_CASE("a damaged file of starts counts as none", "[training]") {
  Starts starts;
  starts.start();
  for (const char* text : {"", "{", "[]", "{\"starts_without_progress\":-7}",
                           "{\"starts_without_progress\":\"x\",\"best_step\":null}",
                           "{\"starts_without_progress\":1e99,\"config\":3}"}) {
    INFO(text);
    replace_file(starts.file(), text);
    replace_file(starts.metrics(), std::string("\xff{torn"));
    CHECK_NOTHROW(starts.start());
  }
}

}  // namespace ovid::training
