#include <nlohmann/json.hpp>
#include <sstream>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

// `ovid` itself on CUDA: the module is loaded by the program under test, which inherits the
// environment of this one.
namespace ovid::test {
namespace {

using Catch::Contains;

bool has_gpu() {
  static const ProcessResult doctor = run_process({program("ovid"), "doctor", "--json"});
  const bool found = doctor.output.find("compute capability") != std::string::npos;
  if (!found) WARN("skipped: no CUDA device");
  return found;
}

std::vector<std::string> on_cuda(std::vector<std::string> overrides) {
  for (const char* setting :
       {"device.kind=cuda", "batch.sequences=2", "batch.micro_sequences=1", "batch.length=16",
        "model.context_length=16", "validation.sequences=2", "checkpoint.asynchronous=true"}) {
    overrides.emplace_back(setting);
  }
  return overrides;
}

}  // namespace

TEST_CASE("a bfloat16 run on CUDA stops, resumes and ends with the same bits", "[e2e][cuda]") {
  if (!has_gpu()) return;
  const TinyRun run(4);
  const auto settings = [](const std::string& name, const std::string& steps) {
    return on_cuda({"precision=bfloat16", "run.name=" + name, "training.steps=" + steps,
                    "schedule.kind=constant", "schedule.warmup_steps=0", "validation.every_steps=2",
                    "checkpoint.every_steps=2", "weight_average.decay=0.9", "samples.every_steps=4",
                    "samples.tokens=2"});
  };
  const ProcessResult whole = run.train(settings("whole", "4"));
  INFO(whole.errors);
  REQUIRE(whole.exit_code == 0);
  CHECK_THAT(whole.errors, Contains("bfloat16"));

  REQUIRE(run.train(settings("parts", "2")).exit_code == 0);
  const ProcessResult second = run.train(settings("parts", "4"));
  INFO(second.errors);
  REQUIRE(second.exit_code == 0);
  CHECK_THAT(second.errors, Contains("resuming"));
  CHECK(weights_and_moments(run.checkpoint(4, "parts")) ==
        weights_and_moments(run.checkpoint(4, "whole")));
  CHECK(losses_by_step(run.run_directory("parts")) == losses_by_step(run.run_directory("whole")));

  const auto environment =
      nlohmann::json::parse(read_file(Path(run.run_directory("whole")) / "environment.json"));
  CHECK(environment["device"] == "cuda");
  CHECK(environment["gpu"].contains("cublas"));
  CHECK(std::filesystem::exists(Path(run.checkpoint(4, "whole")) / "product_choices.json"));
}

TEST_CASE(
    "a bfloat16 run on CUDA with moments in bfloat16 stops, resumes and ends with the same bits",
    "[e2e][cuda]") {
  if (!has_gpu()) return;
  const TinyRun run(2);
  const auto train_to = [&](const std::string& name, const std::string& steps) {
    const ProcessResult result =
        run.train(on_cuda({"precision=bfloat16", "optimizer.state=bfloat16", "run.name=" + name,
                           "training.steps=" + steps, "schedule.kind=constant",
                           "schedule.warmup_steps=0", "validation.every_steps=0"}));
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
  };
  train_to("whole", "2");
  train_to("parts", "1");
  train_to("parts", "2");
  CHECK(weights_and_moments(run.checkpoint(2, "parts")) ==
        weights_and_moments(run.checkpoint(2, "whole")));
  CHECK(losses_by_step(run.run_directory("parts")) == losses_by_step(run.run_directory("whole")));
}

TEST_CASE("a float16 run leaves out updates that overflow, halves its loss scale and goes on",
          "[e2e][cuda]") {
  if (!has_gpu()) return;
  const TinyRun run(4);
  // One target: its logit's gradient is nearly the whole scale of 65,536, and the head's weights
  // get that times a norm of size 1, beyond float16's 65,504.
  const ProcessResult result = run.train(
      {"device.kind=cuda", "precision=float16", "batch.sequences=1", "batch.micro_sequences=1",
       "batch.length=1", "schedule.kind=constant", "validation.every_steps=0"});
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.errors, Contains("overflowed float16"));
  const auto state = nlohmann::json::parse(read_file(Path(run.checkpoint(4)) / "state.json"));
  CHECK(state["loss_scale"]["value"] < 65536.0);
  CHECK(state["loss_scale"]["good_steps"] > 0);
  CHECK(state["last_update"] == 4);
  CHECK(state["guard"]["skips"] == 0);
}

TEST_CASE("the attention kernels that a config names are taken, or refused with the cure",
          "[e2e][cuda]") {
  if (!has_gpu()) return;
  const TinyRun run(4);
  const auto settings = [](const std::string& kernels) {
    return on_cuda({"precision=bfloat16", "training.steps=1", "schedule.warmup_steps=0",
                    "run.name=" + kernels, "attention=" + kernels, "samples.every_steps=0"});
  };
  for (const char* kernels : {"flash", "naive"}) {
    const ProcessResult result = run.train(settings(kernels));
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
  }
  const std::string flash = losses_by_step(run.run_directory("flash")).front();
  const std::string naive = losses_by_step(run.run_directory("naive")).front();
  const auto loss_of = [](const std::string& row) {
    return std::stod(row.substr(row.find(' ')));  // "1: loss gradient_norm tokens"
  };
  CHECK(loss_of(naive) == Approx(loss_of(flash)).epsilon(0.01));
  CHECK(naive != flash);  // they round elsewhere

  std::vector<std::string> in_float32 = settings("cudnn");
  in_float32.front() = "precision=float32";
  CHECK_THAT(run.train(in_float32).errors, Contains("set precision: bfloat16"));
  CHECK(run.train(in_float32).exit_code == 2);
}

TEST_CASE("a GPU's attention kernels are refused on the CPU", "[e2e][cuda]") {
  const TinyRun run(4);
  const ProcessResult result = run.train({"device.kind=cpu", "attention=naive"});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.errors, Contains("use attention: auto"));
}

}  // namespace ovid::test
