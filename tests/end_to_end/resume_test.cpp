#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <random>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

namespace ovid::test {

using Catch::Matchers::Contains;

TEST_CASE("killed at twenty random moments, a run ends with the bits of the unbroken one",
          "[e2e]") {
  const int steps = 120;
  const TinyRun run(steps);
  REQUIRE(run.train({"run.name=unbroken"}).exit_code == 0);
  const std::string expected = weights_and_moments(run.checkpoint(steps, "unbroken"));
  const auto expected_losses = losses_by_step(run.run_directory("unbroken"));

  std::mt19937 random(20);
  int killed = 0;
  for (int round = 0; killed < 20 && round < 400; ++round) {
    // A new run for each chain of kills; most chains hold several.
    const std::string name = "broken-" + std::to_string(round);
    for (bool ended = false; !ended;) {
      // Some are killed before their first step, and that is no reason to give up here.
      Process process(run.train_command({"run.name=" + name, "watchdog.starts_without_progress=0"}),
                      run.path("broken.log"));
      const double delay = killed < 20 ? std::uniform_real_distribution<>(0.02, 0.6)(random) : 1e9;
      if (const auto code = process.wait_for(delay)) {
        REQUIRE(*code == 0);
        ended = true;
      } else {
        process.signal(SIGKILL);
        const int last = process.wait();
        ended = last == 0;  // it came to its end before the signal came to it
        if (!ended) {
          CHECK(last == 128 + SIGKILL);
          ++killed;
        }
      }
    }
    CHECK(weights_and_moments(run.checkpoint(steps, name)) == expected);
    CHECK(losses_by_step(run.run_directory(name)) == expected_losses);
    std::filesystem::remove_all(run.run_directory(name));
  }
  CHECK(killed >= 20);
}

TEST_CASE("a signal saves, exits with 75, and loses no step", "[e2e]") {
  const int steps = 400;
  const TinyRun run(steps);
  REQUIRE(run.train({"run.name=unbroken"}).exit_code == 0);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1}) {
    const std::string name = "signal-" + std::to_string(number);
    {
      Process process(run.train_command({"run.name=" + name}), run.path(name + ".log"));
      while (!std::filesystem::exists(run.checkpoint(10, name)))
        REQUIRE_FALSE(process.wait_for(0.002));
      process.signal(number);
      CHECK(process.wait() == 75);
    }
    const auto rows_before = losses_by_step(run.run_directory(name)).size();
    CHECK(std::filesystem::exists(run.checkpoint(static_cast<int>(rows_before), name)));
    const ProcessResult rest = run.train({"run.name=" + name});
    REQUIRE(rest.exit_code == 0);
    CHECK_THAT(rest.errors, Contains("resuming"));
    CHECK(weights_and_moments(run.checkpoint(steps, name)) ==
          weights_and_moments(run.checkpoint(steps, "unbroken")));
    CHECK(losses_by_step(run.run_directory(name)) == losses_by_step(run.run_directory("unbroken")));
  }
}

TEST_CASE("with moments in bfloat16 a stopped run ends with the same bits, and may change the type",
          "[e2e]") {
  const TinyRun run(20);
  const auto train_to = [&](const std::string& name, int steps, const std::string& state) {
    return run.train({"run.name=" + name, "training.steps=" + std::to_string(steps),
                      "schedule.kind=constant", "optimizer.state=" + state});
  };
  REQUIRE(train_to("unbroken", 20, "bfloat16").exit_code == 0);
  REQUIRE(train_to("stopped", 10, "bfloat16").exit_code == 0);
  const ProcessResult rest = train_to("stopped", 20, "bfloat16");
  REQUIRE(rest.exit_code == 0);
  CHECK_THAT(rest.errors, Contains("resuming") && !Contains("the moments in"));
  CHECK(weights_and_moments(run.checkpoint(20, "stopped")) ==
        weights_and_moments(run.checkpoint(20, "unbroken")));
  CHECK(losses_by_step(run.run_directory("stopped")) ==
        losses_by_step(run.run_directory("unbroken")));
  const auto moment_bytes = [&](int step) {
    return std::filesystem::file_size(run.checkpoint(step, "stopped") +
                                      "/optimizer-00000.safetensors");
  };
  const auto rounded = static_cast<double>(moment_bytes(20));

  const ProcessResult exact = train_to("stopped", 25, "float32");
  INFO(exact.errors);
  REQUIRE(exact.exit_code == 0);
  CHECK_THAT(exact.errors, Contains("are bfloat16: taken over as float32, exactly"));
  CHECK(static_cast<double>(moment_bytes(25)) > 1.7 * rounded);  // names and shapes take the rest
  const ProcessResult again = train_to("stopped", 30, "bfloat16");
  REQUIRE(again.exit_code == 0);
  CHECK_THAT(again.errors, Contains("are float32: rounded to bfloat16"));
  CHECK(static_cast<double>(moment_bytes(30)) == Approx(rounded).epsilon(0.01));
}

TEST_CASE("a damaged newest checkpoint is set aside and the one before continues", "[e2e]") {
  const TinyRun run(30);
  REQUIRE(run.train({"run.name=unbroken"}).exit_code == 0);
  REQUIRE(run.train({"training.steps=20", "schedule.kind=constant"}).exit_code == 0);
  const Path model = Path(run.checkpoint(20)) / "model.safetensors";
  std::string bytes = read_file(model);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  replace_file(model, bytes);
  const ProcessResult result = run.train({"schedule.kind=constant"});
  INFO(result.errors);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.errors, Contains("step-00000020"));
  CHECK_THAT(result.errors, Contains("resuming") && Contains("step 10"));
  bool set_aside = false;
  for (const auto& entry :
       std::filesystem::directory_iterator(Path(run.run_directory()) / "checkpoints")) {
    set_aside = set_aside || entry.path().filename().string().rfind(".bad-", 0) == 0;
  }
  CHECK(set_aside);
}

TEST_CASE("a run whose checkpoints are all damaged does not start again unasked", "[e2e]") {
  const TinyRun run(10);
  REQUIRE(run.train().exit_code == 0);
  for (const int step : {0, 10}) {
    std::filesystem::resize_file(Path(run.checkpoint(step)) / "model.safetensors", 100);
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    const ProcessResult result = run.train();
    INFO(result.errors);
    CHECK(result.exit_code == 4);
    CHECK_THAT(result.errors, Contains(".bad-") && Contains("run.name"));
  }
}

TEST_CASE("other data or another seed do not continue a run", "[e2e]") {
  const TinyRun run(10);
  REQUIRE(run.train().exit_code == 0);
  const ProcessResult seed = run.train({"training.steps=20", "run.seed=8"});
  CHECK(seed.exit_code == 2);
  CHECK_THAT(seed.errors, Contains("run.seed: 7 in the checkpoint, 8 now"));
  const ProcessResult data = run.train(
      {"training.steps=20", "data.train=[\"" + run.path("data/validation_*.bin") + "\"]"});
  CHECK(data.exit_code == 2);
  CHECK_THAT(data.errors, Contains("fingerprint"));
  CHECK(run.train({"training.steps=20"}).exit_code == 0);
}

TEST_CASE(
    "a full disk is told by name, keeps the earlier checkpoints, and leaves nothing half-written",
    "[e2e]") {
  const TinyRun run(30);
  const std::string disk = run.path("disk");
  std::filesystem::create_directory(disk);
  // A private mount on this folder alone, taken away at the end.
  if (::geteuid() != 0 || ::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=1m") != 0) {
    std::fprintf(stderr, "SKIPPED: the disk-full test needs the right to mount a small tmpfs\n");
    return;
  }
  const ProcessResult result = run.train({"run.directory=" + disk});
  CHECK(result.exit_code == 6);
  CHECK_THAT(result.errors, Contains("free"));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(disk)) {
    INFO(entry.path());
    CHECK(entry.path().filename().string().rfind(".tmp", 0) != 0);
  }
  ::umount2(disk.c_str(), MNT_DETACH);
}

TEST_CASE("a folder that may not be written is told by name", "[e2e]") {
  const TinyRun run(1);
  const ProcessResult result = run.train({"run.directory=/proc/ovid"});
  CHECK(result.exit_code == 6);
  CHECK_THAT(result.errors, Contains("/proc/ovid"));
}

}  // namespace ovid::test
