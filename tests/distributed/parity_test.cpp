#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

namespace ovid::test {
namespace {

constexpr int kSteps = 6;
constexpr double kLearningRate = 1e-3;
constexpr int kSequences = 24;  // of a step
constexpr double kRounding = 1.0 / (1 << 24);
constexpr int kZeroStages[] = {0, 1, 2, 3};

struct Outcome {
  std::vector<double> losses;  // training, by step; then validation
  std::vector<double> norms;   // by step
  std::vector<float> weights;
  std::vector<float> first_weights;
};

std::vector<float> weights_in(const std::string& checkpoint) {
  const std::string bytes = read_file(Path(checkpoint) / "model.safetensors");
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const std::size_t begin = sizeof header + header;
  std::vector<float> weights((bytes.size() - begin) / sizeof(float));
  std::memcpy(weights.data(), bytes.data() + begin, weights.size() * sizeof(float));
  return weights;
}

struct Way {
  std::string reduction;
  int ranks = 1;
  int zero_stage = 0;
  int micro_sequences = 1;
  std::vector<std::string> more = {};  // overrides
};

// With dropout, a mask for each sequence; and gradients that are clipped.
Outcome train(const TinyRun& run, const Way& way) {
  const std::string name =
      fmt::format("{}-{}-{}-{}", way.reduction, way.ranks, way.zero_stage, way.micro_sequences);
  INFO(name);
  std::vector<std::string> overrides{
      "--processes",
      std::to_string(way.ranks),
      "run.name=" + name,
      fmt::format("batch.sequences={}", kSequences),
      fmt::format("batch.micro_sequences={}", way.micro_sequences),
      "distributed.reduction=" + way.reduction,
      fmt::format("distributed.zero_stage={}", way.zero_stage),
      fmt::format("optimizer.learning_rate={}", kLearningRate),
      "optimizer.gradient_clip=0.5",
      "validation.every_steps=3",
      "validation.sequences=7",
  };
  overrides.insert(overrides.end(), way.more.begin(), way.more.end());
  const ProcessResult result = run.train(overrides);
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
  Outcome outcome;
  std::vector<double> validation;
  std::istringstream lines(read_file(Path(run.run_directory(name)) / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto row = nlohmann::json::parse(line);
    if (row.contains("validation_loss")) validation.push_back(row["validation_loss"]);
    if (!row.contains("loss")) continue;
    outcome.losses.push_back(row["loss"]);
    outcome.norms.push_back(row["gradient_norm"]);
  }
  CHECK(outcome.losses.size() == static_cast<std::size_t>(kSteps));
  outcome.losses.insert(outcome.losses.end(), validation.begin(), validation.end());
  outcome.weights = weights_in(run.checkpoint(kSteps, name));
  outcome.first_weights = weights_in(run.checkpoint(0, name));
  return outcome;
}

bool same_bits(const Outcome& a, const Outcome& b) {
  return a.losses == b.losses && a.norms == b.norms && a.weights.size() == b.weights.size() &&
         std::memcmp(a.weights.data(), b.weights.data(), a.weights.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("in canonical order any number of ranks, ZeRO stage and micro-batch gives the same bits",
          "[distributed]") {
  const TinyRun run(kSteps);
  const Outcome one = train(run, {.reduction = "canonical"});
  CHECK(one.losses.size() == kSteps + 2);
  CHECK(same_bits(train(run, {.reduction = "canonical", .micro_sequences = 4}), one));
  for (const int ranks : {2, 3, 4, 5, 8}) {
    for (const int stage : kZeroStages) {
      INFO(fmt::format("{} ranks, ZeRO {}", ranks, stage));
      CHECK(same_bits(train(run, {.reduction = "canonical", .ranks = ranks, .zero_stage = stage}),
                      one));
    }
  }
}

TEST_CASE("a run that goes on with other ranks and ZeRO stages ends with the unbroken one's bits",
          "[distributed]") {
  const TinyRun run(8);
  const std::vector<std::string> common{"schedule.kind=constant", "schedule.warmup_steps=2",
                                        "distributed.reduction=canonical", "model.layers=5",
                                        fmt::format("batch.sequences={}", kSequences)};
  const auto train_to = [&](const std::string& name, int steps, int ranks, int stage) {
    std::vector<std::string> overrides{"--processes", std::to_string(ranks), "run.name=" + name,
                                       fmt::format("training.steps={}", steps),
                                       fmt::format("distributed.zero_stage={}", stage)};
    overrides.insert(overrides.end(), common.begin(), common.end());
    const ProcessResult result = run.train(overrides);
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
  };
  train_to("unbroken", 8, 1, 0);
  train_to("chain", 2, 4, 0);
  train_to("chain", 4, 2, 2);
  train_to("chain", 6, 3, 1);
  train_to("chain", 8, 1, 0);
  train_to("sharded", 2, 4, 3);
  train_to("sharded", 4, 2, 1);
  train_to("sharded", 6, 3, 3);
  train_to("sharded", 8, 1, 0);
  for (const char* chain : {"chain", "sharded"}) {
    INFO(chain);
    CHECK(losses_by_step(run.run_directory(chain)) ==
          losses_by_step(run.run_directory("unbroken")));
    CHECK(weights_and_moments(run.checkpoint(8, chain)) ==
          weights_and_moments(run.checkpoint(8, "unbroken")));
  }
}

TEST_CASE("with frozen layers, ranks and ZeRO stages change no bit, and a resume neither",
          "[distributed]") {
  const TinyRun run(8);
  const auto train_to = [&](const std::string& name, int steps, int ranks, int stage,
                            const std::string& freeze = "[embeddings, blocks.0, norms]") {
    return run.train(
        {"--processes", std::to_string(ranks), "run.name=" + name, "schedule.kind=constant",
         "schedule.warmup_steps=2", "distributed.reduction=canonical", "training.freeze=" + freeze,
         fmt::format("batch.sequences={}", kSequences), fmt::format("training.steps={}", steps),
         fmt::format("distributed.zero_stage={}", stage)});
  };
  REQUIRE(train_to("unbroken", 6, 1, 0).exit_code == 0);
  REQUIRE(train_to("chain", 2, 2, 0).exit_code == 0);
  REQUIRE(train_to("chain", 4, 3, 1).exit_code == 0);
  REQUIRE(train_to("chain", 6, 1, 0).exit_code == 0);
  CHECK(losses_by_step(run.run_directory("chain")) ==
        losses_by_step(run.run_directory("unbroken")));
  CHECK(weights_and_moments(run.checkpoint(6, "chain")) ==
        weights_and_moments(run.checkpoint(6, "unbroken")));
  const ProcessResult other = train_to("chain", 8, 1, 0, "[]");
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.errors, Catch::Matchers::Contains("training.freeze"));
}

TEST_CASE("with moments in bfloat16, ranks and ZeRO stages change no bit", "[distributed]") {
  const TinyRun run(8);
  const auto train_to = [&](const std::string& name, int steps, int ranks, int stage) {
    const ProcessResult result = run.train(
        {"--processes", std::to_string(ranks), "run.name=" + name, "schedule.kind=constant",
         "schedule.warmup_steps=2", "distributed.reduction=canonical", "optimizer.state=bfloat16",
         fmt::format("batch.sequences={}", kSequences), fmt::format("training.steps={}", steps),
         fmt::format("distributed.zero_stage={}", stage)});
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
  };
  train_to("unbroken", 6, 1, 0);
  train_to("chain", 2, 2, 0);
  train_to("chain", 4, 3, 1);
  train_to("chain", 6, 1, 0);
  CHECK(losses_by_step(run.run_directory("chain")) ==
        losses_by_step(run.run_directory("unbroken")));
  CHECK(weights_and_moments(run.checkpoint(6, "chain")) ==
        weights_and_moments(run.checkpoint(6, "unbroken")));
}

// What may differ is the order in which float32 sums over the sequences and positions of a step are
// taken. Before the first update that is all: the loss is a sum in double, and a gradient of n
// terms has an error of at most n u sum |terms| (u = 2^-24; Higham, Accuracy and Stability of
// Numerical Algorithms, 2002, section 4.2). Terms here cancel to no less than a quarter of the norm
// at first. AdamW then moves a weight by at most the learning rate, whatever the gradient is, and
// weights whose gradient is mere rounding may go either way; these are few.
TEST_CASE("in fast order ranks and ZeRO stages differ by the rounding of sums alone",
          "[distributed]") {
  const TinyRun run(kSteps);
  const Outcome one = train(run, {.reduction = "fast"});
  double moved = 0;
  for (std::size_t i = 0; i < one.weights.size(); ++i)
    moved += std::pow(double{one.weights[i]} - double{one.first_weights[i]}, 2);
  for (const int ranks : {2, 3, 4, 8}) {
    for (const int stage : kZeroStages) {
      INFO(fmt::format("{} ranks, ZeRO {}", ranks, stage));
      const Outcome now = train(run, {.reduction = "fast", .ranks = ranks, .zero_stage = stage});
      REQUIRE(now.weights.size() == one.weights.size());
      CHECK(now.losses[0] == Approx(one.losses[0]).epsilon(1e-12));
      const double terms = kSequences * 32;
      CHECK(std::abs(now.norms[0] - one.norms[0]) <= 2 * terms * kRounding * 4 * one.norms[0]);
      double difference = 0, largest = 0;
      for (std::size_t i = 0; i < one.weights.size(); ++i) {
        const double d = std::abs(double{now.weights[i]} - double{one.weights[i]});
        difference += d * d;
        largest = std::max(largest, d);
      }
      CHECK(largest <= 2 * kSteps * kLearningRate);
      CHECK(std::sqrt(difference / moved) < 1e-4);
    }
  }
}

// The rows of five blocks take turns in three buffers; the head's gradient is first or with the
// embeddings. Passes of 12 sequences on 2 ranks are one a step, whose sums stages 1 and 2 take in
// one order; of more passes stage 2 adds up those before with those of the other ranks.
TEST_CASE("with three blocks at a time, ZeRO 2 takes the steps of ZeRO 1, and ZeRO 3 those of 2",
          "[distributed]") {
  for (const char* head : {"model.tied_head=true", "model.tied_head=false"}) {
    INFO(head);
    const TinyRun run(kSteps);
    const auto train_at = [&](int stage, int micro_sequences) {
      return train(run, {.reduction = "fast",
                         .ranks = 2,
                         .zero_stage = stage,
                         .micro_sequences = micro_sequences,
                         .more = {"model.layers=5", head}});
    };
    CHECK(same_bits(train_at(2, 12), train_at(1, 12)));
    const Outcome whole = train_at(1, 3);
    const Outcome parts = train_at(2, 3);
    CHECK(same_bits(train_at(3, 12), train_at(1, 12)));
    CHECK(same_bits(train_at(3, 3), parts));
    CHECK(parts.losses[0] == whole.losses[0]);
    CHECK(std::abs(parts.norms[0] - whole.norms[0]) <= 24 * 32 * kRounding * 8 * whole.norms[0]);
    CHECK(parts.losses[kSteps - 1] == Approx(whole.losses[kSteps - 1]).epsilon(1e-5));
  }
}

}  // namespace ovid::test
