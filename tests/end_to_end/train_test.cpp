#include <signal.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

namespace ovid::test {

using Catch::Matchers::Contains;

TEST_CASE("a run trains, validates, and leaves what the documents promise", "[e2e]") {
  const TinyRun run;
  const ProcessResult result = run.train({"samples.every_steps=15", "samples.tokens=8"});
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
  const Path directory = run.run_directory();
  for (const char* name :
       {"config.yaml", "metrics.jsonl", "log.txt", "environment.json", "samples/step-00000015.txt",
        "samples/step-00000030.txt", "checkpoints/step-00000000/model.safetensors",
        "checkpoints/step-00000030/config.json", "checkpoints/step-00000030/state.json",
        "checkpoints/step-00000030/manifest.json", "checkpoints/step-00000030/vocab.json"}) {
    INFO(name);
    CHECK(std::filesystem::exists(directory / name));
  }
  std::istringstream lines(read_file(directory / "metrics.jsonl"));
  int steps = 0, validations = 0;
  double first = 0, last = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto row = nlohmann::json::parse(line);
    if (row.contains("event")) continue;
    if (row.contains("validation_loss")) {
      ++validations;
      continue;
    }
    for (const char* key : {"step", "loss", "gradient_norm", "learning_rate", "tokens",
                            "tokens_per_second", "time"}) {
      INFO(key);
      CHECK(row.contains(key));
    }
    last = row["loss"];
    if (steps++ == 0) first = last;
  }
  CHECK(steps == 30);
  CHECK(validations == 3);
  CHECK(last < first - 0.5);
  const auto environment = nlohmann::json::parse(read_file(directory / "environment.json"));
  CHECK(environment["ranks"] == 1);
  CHECK_THAT(read_file(directory / "log.txt"), Contains("1 rank"));

  const ProcessResult again = run.train();
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.errors, Contains("is done: 30 steps"));
  CHECK(run_process({program("ovid"), "checkpoint", "verify", run.checkpoint(30)}).exit_code == 0);
}

TEST_CASE("the initial checkpoint holds the weights before the first step", "[e2e]") {
  const TinyRun run(1);
  REQUIRE(run.train({"run.name=a"}).exit_code == 0);
  REQUIRE(run.train({"run.name=b", "initialize_from=" + run.checkpoint(0, "a")}).exit_code == 0);
  CHECK(losses_by_step(run.run_directory("a")) == losses_by_step(run.run_directory("b")));
  REQUIRE(run.train({"run.name=c", "run.seed=8"}).exit_code == 0);
  CHECK(losses_by_step(run.run_directory("a")) != losses_by_step(run.run_directory("c")));
}

TEST_CASE("a second run in the same directory is refused while the first lives", "[e2e]") {
  const TinyRun run(100'000);
  Process first(run.train_command(), run.path("first.log"));
  while (!std::filesystem::exists(run.checkpoint(0))) REQUIRE_FALSE(first.wait_for(0.01));
  const ProcessResult second = run.train();
  CHECK(second.exit_code == 6);
  CHECK_THAT(second.errors, Contains(run.run_directory()));
  first.signal(SIGTERM);
  CHECK(first.wait() == 75);
}

TEST_CASE("what a config gets wrong is told before anything is written", "[e2e]") {
  const TinyRun run;
  struct Case {
    std::vector<std::string> overrides;
    int exit_code;
    const char* message;
  };
  for (const Case& c : std::vector<Case>{
           {{"optimizer.learning_rat=1"}, 2, "learning_rate"},
           {{"device.kind=cuda", "device.index=1000"}, 6, "CUDA"},
           {{"device.kind=cpu", "precision=bfloat16"}, 2, "float32"},
           {{"device.kind=cpu", "precision=tfloat32"}, 2, "float32"},
           {{"model.vocabulary_size=100"}, 2, "257"},
           {{"data.train=[absent_*.bin]"}, 3, "absent_*.bin"},
           {{"initialize_from=absent"}, 4, "absent"},
           {{"batch.length=100000", "model.context_length=100000"}, 3, "100000"},
           {{"model.width=30", "model.heads=4"}, 2, "heads"},
       }) {
    const ProcessResult result = run.train(c.overrides);
    INFO(c.overrides.front() << "\n" << result.errors);
    CHECK(result.exit_code == c.exit_code);
    CHECK_THAT(result.errors, Contains(c.message));
    CHECK_FALSE(std::filesystem::exists(run.path("runs")));
  }
}

TEST_CASE("a run that diverges ends with code 5 and names the last checkpoint", "[e2e]") {
  const TinyRun run(20);
  REQUIRE(run.train({"run.name=a"}).exit_code == 0);
  const Path model = Path(run.checkpoint(20, "a")) / "model.safetensors";
  std::string bytes = read_file(model);
  bytes.replace(bytes.size() - 4, 4,
                std::string("\x00\x00\xC0\x7F", 4));  // the last weight: not a number
  replace_file(model, bytes);
  const ProcessResult result =
      run.train({"run.name=b", "initialize_from=" + run.checkpoint(20, "a")});
  INFO(result.errors);
  CHECK(result.exit_code == 5);
  CHECK_THAT(result.errors, Contains("step-00000000") && Contains("learning_rate"));
}

}  // namespace ovid::test
