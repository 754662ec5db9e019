#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

namespace ovid::test {
namespace {

// The texts that a run wrote, by file.
std::map<std::string, std::string> samples_of(const std::string& run_directory) {
  std::map<std::string, std::string> samples;
  for (const auto& entry : std::filesystem::directory_iterator(Path(run_directory) / "samples"))
    samples[entry.path().filename().string()] = read_file(entry.path());
  return samples;
}

std::string weights_of(const std::string& checkpoint) {
  return read_file(Path(checkpoint) / "model.safetensors");
}

// With more blocks than buffers, so that passes gather anew what the one before had.
ProcessResult train_as(const TinyRun& run, const std::string& name, int ranks, int stage,
                       const std::vector<std::string>& more = {}) {
  std::vector<std::string> overrides{
      "--processes",      std::to_string(ranks),
      "run.name=" + name, "distributed.reduction=canonical",
      "model.layers=5",   fmt::format("distributed.zero_stage={}", stage)};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return run.train(overrides);
}

}  // namespace

TEST_CASE("with ZeRO 3 a run begins from a model, samples and saves as one rank does",
          "[distributed]") {
  const TinyRun run(4);
  REQUIRE(train_as(run, "first", 1, 0).exit_code == 0);
  const std::vector<std::string> from{"initialize_from=" + run.checkpoint(4, "first"),
                                      "samples.every_steps=2",
                                      "samples.tokens=12",
                                      "checkpoint.every_steps=2",
                                      "batch.sequences=7",
                                      "batch.micro_sequences=1",
                                      "validation.every_steps=2",
                                      "validation.sequences=3"};
  const ProcessResult one = train_as(run, "one", 1, 0, from);
  INFO(one.errors);
  REQUIRE(one.exit_code == 0);
  for (const int ranks :
       {3, 5}) {  // some have fewer passes than others, or no window of the validation
    const std::string name = fmt::format("of-{}", ranks);
    const ProcessResult shared = train_as(run, name, ranks, 3, from);
    INFO(shared.errors);
    REQUIRE(shared.exit_code == 0);
    CHECK(losses_by_step(run.run_directory(name)) == losses_by_step(run.run_directory("one")));
    for (const int step : {0, 2, 4}) {
      CHECK(weights_of(run.checkpoint(step, name)) == weights_of(run.checkpoint(step, "one")));
    }
    CHECK(!samples_of(run.run_directory(name)).empty());
    CHECK(samples_of(run.run_directory(name)) == samples_of(run.run_directory("one")));
  }
}

TEST_CASE("what needs whole weights on every rank is refused with ZeRO 3, with a cure",
          "[distributed]") {
  const TinyRun run(2);
  REQUIRE(train_as(run, "first", 1, 0).exit_code == 0);
  const std::map<std::string, std::string> cures{
      {"weight_average.decay=0.9", "weight_average.decay: 0"},
      {"training.freeze=[embeddings]", "distributed.zero_stage: 1"},
      {"lora.rank=2", "distributed.zero_stage: 1"}};
  for (const auto& [setting, cure] : cures) {
    INFO(setting);
    const ProcessResult refused =
        train_as(run, "refused", 2, 3, {setting, "initialize_from=" + run.checkpoint(2, "first")});
    CHECK(refused.exit_code == 2);
    CHECK_THAT(refused.errors, Catch::Matchers::Contains(cure));
    CHECK(!std::filesystem::exists(run.run_directory("refused")));
  }
}

}  // namespace ovid::test
