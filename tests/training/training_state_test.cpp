#include "src/training/training_state.h"

#include <string>

#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::training {
namespace {

TrainingState example() {
  TrainingState s;
  s.step = 12;
  s.sequences_consumed = 144;
  s.tokens = 9216;
  s.best_validation_loss = 1.0 / 3.0;
  s.best_step = 10;
  s.guard = {
      .losses = {1.5, 1.0 / 3.0}, .gradient_norms = {0.1, 2.0}, .skips_in_a_row = 1, .skips = 4};
  s.validations = {.lowest = 1.25, .without_improvement = 2};
  s.last_update = 11;
  s.loss_scale = LossScale{.value = 4096, .good_steps = 17};
  s.seed = 0xFFFFFFFFFFFFFFFFull;
  s.data_fingerprint = "00ff";
  s.order = data::SequenceOrder::kSequential;
  s.length = 64;
  s.model = {.layers = 2,
             .heads = 2,
             .width = 8,
             .context_length = 64,
             .vocabulary_size = 65,
             .tied_head = false};
  return s;
}

}  // namespace

TEST_CASE("a training state reads back equal", "[training]") {
  CHECK(training_state_from_json(to_json(example()), "state.json") == example());
  TrainingState s = example();
  s.best_validation_loss.reset();
  s.best_step.reset();
  s.validations.lowest.reset();
  s.loss_scale.reset();
  CHECK(training_state_from_json(to_json(s), "state.json") == s);
}

TEST_CASE("texts that are no training state are refused by name", "[training]") {
  for (const std::string text :
       {"", "{", "[]", "{}", "{\"format_version\": \"x\"}", "{\"format_version\": 2}"}) {
    CHECK_THROWS_AS(training_state_from_json(text, "state.json"), CheckpointError);
  }
  std::string negative = to_json(example());
  negative.replace(negative.find("144"), 3, "-14");
  CHECK_THROWS_AS(training_state_from_json(negative, "state.json"), CheckpointError);
}

TEST_CASE("counts of a training state that are no whole numbers are refused, not rounded",
          "[training]") {
  for (const std::string wrong : {"1e300", "14.5", "18446744073709551615", "true"}) {
    std::string text = to_json(example());
    text.replace(text.find("144"), 3, wrong);
    CHECK_THROWS_WITH(training_state_from_json(text, "state.json"),
                      Catch::Contains("is no whole number that fits"));
  }
}

TEST_CASE("a config that does not continue a run is told every difference", "[training]") {
  TrainingState run = example();
  CHECK_NOTHROW(check_continues(example(), run, "runs/demo"));
  run.seed = 1;
  run.model.width = 16;
  run.data_fingerprint = "11";
  try {
    check_continues(example(), run, "runs/demo");
    FAIL("no error");
  } catch (const UsageError& e) {
    const std::string text = e.what();
    CHECK(text.find("run.seed") != std::string::npos);
    CHECK(text.find("model.width: 8 in the checkpoint, 16 now") != std::string::npos);
    CHECK(text.find("fingerprint") != std::string::npos);
    CHECK(text.find("model.layers") == std::string::npos);
  }
}

TEST_CASE("a loss scale out of range is refused", "[training]") {
  for (const std::string wrong : {"0.0", "-1.0", "1e300", "0.5"}) {
    std::string text = to_json(example());
    text.replace(text.find("4096.0"), 6, wrong);
    CHECK_THROWS_AS(training_state_from_json(text, "state.json"), CheckpointError);
  }
}

TEST_CASE("the loss scale doubles after many good steps and halves at once", "[training]") {
  LossScale scale{.value = 8};
  for (std::int64_t i = 1; i < LossScale::kStepsToDouble; ++i) scale.note_good();
  CHECK(scale.value == 8);
  scale.note_good();
  CHECK(scale.value == 16);
  CHECK(scale.note_overflow());
  CHECK(scale == LossScale{.value = 8, .good_steps = 0});
  scale.value = LossScale::kLeast;
  CHECK_FALSE(scale.note_overflow());
  CHECK(scale.value == LossScale::kLeast);
}

}  // namespace ovid::training
