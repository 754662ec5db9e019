// A run that always dies before it gets any further is not started for ever.
#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

namespace ovid::test {
namespace {

using Catch::Matchers::Contains;

ProcessResult start(const TinyRun& run, const std::string& faults,
                    const std::vector<std::string>& overrides = {}) {
  return run_process(run.train_command(overrides), "", {"OVID_FAULTS=" + faults});
}

}  // namespace

TEST_CASE("a run that dies at the same step again and again ends with code 93", "[faults]") {
  struct Trial {
    const char* fault;
    int exit_code;
    int starts;  // until it is refused: one with progress, then three without
    const char* step;
  };
  for (const Trial& trial : {Trial{"kill:step=5", 128 + 9, 4, "beyond step 5"},
                             Trial{"error:step=7", 1, 4, "beyond step 7"},
                             Trial{"kill:step=0", 128 + 9, 3, "beyond step 0"}}) {
    const TinyRun run(30);
    for (int i = 0; i < trial.starts; ++i) {
      INFO(trial.fault << ", start " << i);
      CHECK(start(run, trial.fault).exit_code == trial.exit_code);
    }
    for (int i = 0; i < 2; ++i) {
      const ProcessResult refused = start(run, trial.fault);
      INFO(refused.errors);
      CHECK(refused.exit_code == 93);
      CHECK_THAT(refused.errors, Contains("3 starts in a row died") && Contains(trial.step) &&
                                     Contains("starts.json"));
    }
    // What a person does then: looks, cures, deletes the file.
    std::filesystem::remove(Path(run.run_directory()) / "starts.json");
    CHECK(run.train().exit_code == 0);
    CHECK(losses_by_step(run.run_directory()).size() == 30);
  }
}

TEST_CASE("a run that gets one step further with each start goes on to its end", "[faults]") {
  const TinyRun run(30);
  REQUIRE(run.train({"run.name=unbroken"}).exit_code == 0);
  int starts = 0;
  for (int step = 2; step < 30; step += 3) {
    CHECK(start(run, "kill:step=" + std::to_string(step)).exit_code == 128 + 9);
    ++starts;
  }
  CHECK(starts == 10);
  CHECK(run.train().exit_code == 0);
  CHECK(weights_and_moments(run.checkpoint(30)) ==
        weights_and_moments(run.checkpoint(30, "unbroken")));
  CHECK(losses_by_step(run.run_directory()) == losses_by_step(run.run_directory("unbroken")));
}

TEST_CASE("faults that cannot be read are refused before anything is trained", "[faults]") {
  const TinyRun run(30);
  const ProcessResult result = start(run, "explode:step=5");
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.errors, Contains("explode") && Contains("kill, hang"));
}

}  // namespace ovid::test
