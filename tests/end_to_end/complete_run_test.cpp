#include <signal.h>

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

// What a complete run has beyond steps and checkpoints: ramp, average, guard, early stopping,
// recomputation, asynchronous saves, weighted sources, watching.
namespace ovid::test {
namespace {

using Catch::Matchers::Contains;
using Json = nlohmann::json;

std::vector<Json> rows_with(const std::string& key, const std::string& run_directory) {
  std::istringstream lines(read_file(Path(run_directory) / "metrics.jsonl"));
  std::vector<Json> rows;
  for (std::string line; std::getline(lines, line);) {
    Json row = Json::parse(line);
    if (row.contains(key)) rows.push_back(std::move(row));
  }
  return rows;
}

std::string average_of(const std::string& checkpoint) {
  return read_file(Path(checkpoint) / "average/model.safetensors");
}

const std::vector<std::string> kEverything{
    "batch.ramp_from=4", "batch.ramp_steps=15", "weight_average.decay=0.95",
    "recompute=block",   "guard.window=8",      "checkpoint.keep_every=20"};

std::vector<std::string> named(const std::string& name, std::vector<std::string> settings) {
  settings.push_back("run.name=" + name);
  return settings;
}

}  // namespace

TEST_CASE("with a ramp, an average and recomputation a stopped run ends with the same bits",
          "[e2e]") {
  const int steps = 160;
  const TinyRun run(steps);
  REQUIRE(run.train(named("unbroken", kEverything)).exit_code == 0);
  {
    Process process(run.train_command(named("stopped", kEverything)), run.path("log"));
    while (!std::filesystem::exists(run.checkpoint(20, "stopped")))
      REQUIRE_FALSE(process.wait_for(0.002));
    process.signal(SIGTERM);
    CHECK(process.wait() == 75);
  }
  REQUIRE(run.train(named("stopped", kEverything)).exit_code == 0);
  const std::string unbroken = run.checkpoint(steps, "unbroken");
  const std::string stopped = run.checkpoint(steps, "stopped");
  CHECK(weights_and_moments(stopped) == weights_and_moments(unbroken));
  CHECK(average_of(stopped) == average_of(unbroken));
  CHECK(average_of(stopped) != read_file(Path(stopped) / "model.safetensors"));
  CHECK(losses_by_step(run.run_directory("stopped")) ==
        losses_by_step(run.run_directory("unbroken")));
  for (const int step : {0, 20, 40, 140})
    CHECK(std::filesystem::exists(run.checkpoint(step, "stopped")));
  const auto rows = rows_with("loss", run.run_directory("unbroken"));
  CHECK(rows[0]["tokens"] == 4 * 32);
  CHECK(rows[159]["tokens"].get<int>() - rows[158]["tokens"].get<int>() == 12 * 32);
  for (const Json& row : rows_with("validation_loss", run.run_directory("unbroken")))
    CHECK(row.contains("average_validation_loss"));
}

TEST_CASE("recomputation, asynchronous saves, threads and watching change no bit", "[e2e]") {
  const TinyRun run(20);
  REQUIRE(run.train({"run.name=plain"}).exit_code == 0);
  const std::string expected = weights_and_moments(run.checkpoint(20, "plain"));
  int number = 0;
  for (const char* setting :
       {"recompute=cheap", "recompute=block", "checkpoint.asynchronous=false", "device.threads=3",
        "weight_average.decay=0.9", "metrics.tensorboard=false", "metrics.report=false"}) {
    const std::string name = "other-" + std::to_string(number++);
    REQUIRE(run.train({"run.name=" + name, setting}).exit_code == 0);
    INFO(setting);
    CHECK(weights_and_moments(run.checkpoint(20, name)) == expected);
  }
}

TEST_CASE("early stopping ends a run that no longer improves and keeps its best checkpoint",
          "[e2e]") {
  const TinyRun run(1000);
  // No validation can improve by a hundred nats: the first counts, three more are waited for.
  const std::vector<std::string> settings{"early_stopping.patience=3",
                                          "early_stopping.minimum_improvement=100",
                                          "validation.every_steps=5", "checkpoint.every_steps=0"};
  const ProcessResult result = run.train(settings);
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.errors, Contains("stopped early"));
  CHECK(rows_with("loss", run.run_directory()).size() == 20);
  CHECK(std::filesystem::exists(run.checkpoint(5)));   // saved as the best, and kept
  CHECK(std::filesystem::exists(run.checkpoint(20)));  // the end
  const ProcessResult again = run.train(settings);
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.errors, Contains("stopped early at step 20"));
  CHECK(rows_with("loss", run.run_directory()).size() == 20);
}

TEST_CASE("a run that diverges skips, then ends with code 5 and says so in its metrics", "[e2e]") {
  const TinyRun run(200);
  const ProcessResult result =
      run.train({"optimizer.learning_rate=1000", "optimizer.gradient_clip=0", "guard.most_skips=4",
                 "schedule.warmup_steps=0", "checkpoint.every_steps=0"});
  INFO(result.errors);
  REQUIRE(result.exit_code == 5);
  CHECK_THAT(result.errors, Contains("update skipped") && Contains("last good checkpoint is") &&
                                Contains("learning_rate"));
  const auto events = rows_with("event", run.run_directory());
  CHECK(std::count_if(events.begin(), events.end(),
                      [](const Json& e) { return e["event"] == "skipped_update"; }) >= 5);
  CHECK(events.back()["event"] == "diverged");
  // The checkpoint that the message names can be used.
  CHECK_THAT(result.errors, Contains("step-00000000"));
  CHECK(run_process({program("ovid"), "eval", "--model", run.checkpoint(0), "--data",
                     run.path("data/validation_000000.bin")})
            .exit_code == 0);
}

TEST_CASE("a diverging run saves no wreck, although a checkpoint is due after every step",
          "[e2e]") {
  const TinyRun run(200);
  const ProcessResult result =
      run.train({"optimizer.learning_rate=1000", "optimizer.gradient_clip=0", "guard.most_skips=4",
                 "schedule.warmup_steps=0", "checkpoint.every_steps=1", "checkpoint.keep_last=1"});
  INFO(result.errors);
  REQUIRE(result.exit_code == 5);
  // The update of some step made the wreck: the checkpoint of the step before it is the newest.
  const auto skips = rows_with("event", run.run_directory());
  const auto first = std::find_if(skips.begin(), skips.end(),
                                  [](const Json& e) { return e["event"] == "skipped_update"; });
  REQUIRE(first != skips.end());
  const int wrecked_by = (*first)["step"].get<int>() - 1;
  CHECK_FALSE(std::filesystem::exists(run.checkpoint(wrecked_by)));
  REQUIRE(wrecked_by >= 1);
  CHECK(std::filesystem::exists(run.checkpoint(wrecked_by - 1)));
  CHECK_THAT(result.errors, Contains(Path(run.checkpoint(wrecked_by - 1)).filename().string()));
}

TEST_CASE("a run whose last update makes a wreck keeps the checkpoint before it, and names it",
          "[e2e]") {
  const TinyRun run(200);
  const std::vector<std::string> wrecking{
      "schedule.kind=constant",    "schedule.warmup_steps=0", "optimizer.learning_rate=1000",
      "optimizer.gradient_clip=0", "guard.most_skips=4",      "validation.every_steps=0",
      "checkpoint.every_steps=1",  "checkpoint.keep_last=1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), wrecking.begin(), wrecking.end());
    return more;
  };
  // The number of the update that makes the wreck.
  REQUIRE(run.train(with({"run.name=long"})).exit_code == 5);
  const auto events = rows_with("event", run.run_directory("long"));
  const auto first = std::find_if(events.begin(), events.end(),
                                  [](const Json& e) { return e["event"] == "skipped_update"; });
  REQUIRE(first != events.end());
  const int wrecked_by = (*first)["step"].get<int>() - 1;
  REQUIRE(wrecked_by >= 2);

  const std::string steps = fmt::format("training.steps={}", wrecked_by);
  for (const char* validations : {"validation.every_steps=0", "validation.every_steps=1"}) {
    INFO(validations);
    const std::string name = fmt::format("run.name=ended-{}", std::string(validations).back());
    std::vector<std::string> ended = with({name, steps});
    ended.push_back(validations);
    const ProcessResult result = run.train(ended);
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
    CHECK(std::filesystem::exists(run.checkpoint(wrecked_by, name.substr(9))));
    CHECK(std::filesystem::exists(run.checkpoint(wrecked_by - 1, name.substr(9))));
    // Going on from the wreck, it is not taken for good.
    const ProcessResult more = run.train(with({name}));
    CHECK(more.exit_code == 5);
    CHECK_THAT(more.errors, Contains(fmt::format("the last good checkpoint is {}",
                                                 run.checkpoint(wrecked_by - 1, name.substr(9)))));
  }
}

TEST_CASE("a checkpoint due at a step is the state of that step, saved beside the next", "[e2e]") {
  const TinyRun run(20);
  REQUIRE(run.train({"run.name=through", "schedule.kind=constant", "schedule.warmup_steps=2"})
              .exit_code == 0);
  REQUIRE(run.train({"run.name=short", "schedule.kind=constant", "schedule.warmup_steps=2",
                     "training.steps=10"})
              .exit_code == 0);
  CHECK(weights_and_moments(run.checkpoint(10, "through")) ==
        weights_and_moments(run.checkpoint(10, "short")));
}

TEST_CASE("weighted sources are drawn by their weights", "[e2e]") {
  const TinyRun run(10);
  const std::string train = run.path("data/train_*.bin");
  const std::string other = run.path("data/validation_*.bin");
  const std::string sources = "data.train=[\"" + train + "\", \"" + other + "\"]";
  REQUIRE(run.train({"run.name=a", sources, "data.weights=[3, 1]"}).exit_code == 0);
  REQUIRE(run.train({"run.name=b", sources, "data.weights=[6, 2]"}).exit_code == 0);
  REQUIRE(run.train({"run.name=c", sources, "data.weights=[1, 3]"}).exit_code == 0);
  CHECK(losses_by_step(run.run_directory("a")) == losses_by_step(run.run_directory("b")));
  CHECK(losses_by_step(run.run_directory("a")) != losses_by_step(run.run_directory("c")));
  CHECK(run.train({"run.name=d", sources, "data.weights=[1]"}).exit_code == 2);
}

TEST_CASE("a profile names the ops, and a plan the needs, of a run", "[e2e]") {
  const TinyRun run(5);
  const ProcessResult profiled = run_process([&] {
    auto command = run.train_command({});
    command.push_back("--profile");
    return command;
  }());
  REQUIRE(profiled.exit_code == 0);
  CHECK_THAT(profiled.errors, Contains("linear_backward") && Contains("% limit"));
  const Json profile = Json::parse(read_file(Path(run.run_directory()) / "profile.json"));
  CHECK(profile["ops"].size() > 10);

  const ProcessResult plan =
      run_process({program("ovid"), "plan", run.path("config.yaml"), "--json", "run.name=planned"});
  INFO(plan.errors);
  REQUIRE(plan.exit_code == 0);
  const Json needs = Json::parse(plan.output);
  CHECK(needs["tokens"] == 5 * 12 * 32);
  CHECK(needs["fits_memory"] == true);
  CHECK(needs["training_seconds"] > 0);
  CHECK_FALSE(std::filesystem::exists(run.run_directory("planned")));
}

TEST_CASE("micro_sequences: auto is chosen once and kept on resume", "[e2e]") {
  const TinyRun run(10);
  REQUIRE(run.train({"batch.micro_sequences=auto"}).exit_code == 0);
  const Json choices = Json::parse(read_file(Path(run.run_directory()) / "choices.json"));
  CHECK(choices["micro_sequences"] == 12);
  replace_file(Path(run.run_directory()) / "choices.json", "{\"micro_sequences\": 3}\n");
  const ProcessResult more = run.train({"batch.micro_sequences=auto", "training.steps=12"});
  REQUIRE(more.exit_code == 0);
  CHECK_THAT(more.errors, Contains("3 sequences a pass"));
}

TEST_CASE("a run leaves events for TensorBoard and a report", "[e2e]") {
  const TinyRun run(10);
  REQUIRE(run.train({"samples.every_steps=5", "samples.tokens=8"}).exit_code == 0);
  bool events = false;
  for (const auto& entry : std::filesystem::directory_iterator(run.run_directory()))
    events = events || entry.path().filename().string().find("tfevents") != std::string::npos;
  CHECK(events);
  CHECK_THAT(read_file(Path(run.run_directory()) / "report.html"),
             Contains("<svg") && Contains("demo"));
}

}  // namespace ovid::test
