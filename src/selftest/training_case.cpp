#include "src/selftest/training_case.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/common/random.h"
#include "src/data/token_loader.h"
#include "src/model/parameters.h"
#include "src/training/training_step.h"

namespace ovid::selftest {
namespace {

constexpr std::int64_t kSteps = 4, kSequences = 4, kLength = 72, kVocabulary = 257;

training::RunPlan plan_of(const memory::ComputeTarget& target, std::uint64_t seed) {
  training::RunPlan plan;
  plan.model = {.layers = 2,
                .heads = 2,
                .width = 128,
                .context_length = kLength,
                .vocabulary_size = kVocabulary,
                .embedding_dropout = 0.1f,
                .attention_dropout = 0.1f,
                .residual_dropout = 0.1f};
  plan.micro_batch = {.sequences = kSequences / 2, .length = kLength};
  plan.compute.target = target;
  config::RunConfig& c = plan.loaded.values;
  c.run.seed = seed;
  c.batch.sequences = kSequences;
  c.training.steps = 100;
  c.optimizer.learning_rate = 1e-3;
  c.schedule.warmup_steps = 0;
  return plan;
}

data::TokenBatch batch_of(std::uint64_t seed, std::int64_t step) {
  data::TokenBatch batch{.count = kSequences, .length = kLength};
  const auto token = [&](std::int64_t i) {
    const auto words =
        kernels::philox4x32(seed, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(i));
    return static_cast<std::int32_t>(words[0] % kVocabulary);
  };
  for (std::int64_t i = 0; i < kSequences * kLength; ++i) {
    batch.tokens.push_back(token(i));
    batch.targets.push_back(token(i + 1));
  }
  return batch;
}

struct Curve {
  std::vector<double> losses, norms;
  bool operator==(const Curve&) const = default;
};

Curve train(const memory::ComputeTarget& target, std::uint64_t seed) {
  const training::RunPlan plan = plan_of(target, seed);
  training::TrainingStep step(plan);
  model::initialise(step.weights(), plan.model, seed);
  step.adopt_weights(0);
  Curve curve;
  for (std::int64_t i = 0; i < kSteps; ++i) {
    const training::StepReport report = step.run(batch_of(seed, i), i * kSequences, i);
    curve.losses.push_back(report.loss);
    curve.norms.push_back(report.gradient_norm);
  }
  step.synchronize();
  return curve;
}

double largest_difference(const std::vector<double>& actual, const std::vector<double>& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(actual[i] - expected[i]) / std::abs(expected[i]);
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

}  // namespace

TrainingDifference compare_training(const memory::ComputeTarget& target, std::uint64_t seed) {
  const Curve expected = train({.threads = target.threads}, seed);
  const Curve actual = train(target, seed), again = train(target, seed);
  return {.loss = largest_difference(actual.losses, expected.losses),
          .norm = largest_difference(actual.norms, expected.norms),
          .repeats = actual == again};
}

double training_limit(DType dtype) {
  // In float32 the two backends differ in the order of their sums, by some 2^-24 sqrt(terms) in
  // each layer: 256 units cover a thousand terms eight times over. In 16 bits each number is off by
  // up to half a unit of its own, and the loss averages over hundreds of them.
  return dtype == DType::kFloat32 ? 256 * 0x1p-24 : 4 * unit_roundoff(dtype);
}

}  // namespace ovid::selftest
