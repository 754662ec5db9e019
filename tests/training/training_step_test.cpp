#include "src/training/training_step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "src/core/error.h"
#include "src/model/model.h"
#include "tests/catch.h"

namespace ovid::training {
namespace {

constexpr std::int64_t kSequences = 4;
constexpr std::int64_t kLength = 12;

RunPlan plan_of(std::int64_t micro_sequences, int threads, double dropout = 0.0) {
  RunPlan plan;
  const auto p = static_cast<float>(dropout);
  plan.model = {.layers = 2,
                .heads = 2,
                .width = 16,
                .context_length = kLength,
                .vocabulary_size = 29,
                .embedding_dropout = p,
                .attention_dropout = p,
                .residual_dropout = p};
  plan.micro_batch = {.sequences = micro_sequences, .length = kLength};
  plan.compute.target.threads = threads;
  plan.loaded.values.training.steps = 100;
  plan.loaded.values.optimizer.learning_rate = 3e-3;
  plan.loaded.values.schedule.warmup_steps = 0;
  return plan;
}

// With `ignored` targets in one sequence only, so that a mean of micro-batch means would be wrong.
data::TokenBatch batch_of(std::int64_t ignored) {
  data::TokenBatch batch{.count = kSequences, .length = kLength};
  for (std::int64_t i = 0; i < kSequences * kLength; ++i) {
    batch.tokens.push_back(static_cast<std::int32_t>(i * i % 29));
    batch.targets.push_back(i < ignored ? data::kIgnoreTarget
                                        : static_cast<std::int32_t>((i + 1) * (i + 1) % 29));
  }
  return batch;
}

struct Outcome {
  StepReport report;
  std::vector<double> losses;
  std::vector<float> weights;
};

Outcome train(const RunPlan& plan, const data::TokenBatch& batch, int steps) {
  TrainingStep step(plan);
  model::initialise(step.weights(), plan.model, 3);
  Outcome outcome;
  for (int i = 0; i < steps; ++i) {
    outcome.report = step.run(batch, i * kSequences, i);
    outcome.losses.push_back(outcome.report.loss);
  }
  const model::View flat = step.weights().flat();
  outcome.weights.assign(flat.data<float>(), flat.data<float>() + flat.elements());
  return outcome;
}

}  // namespace

TEST_CASE("the loss falls when the same batch is learned again and again", "[training]") {
  const Outcome first = train(plan_of(4, 1), batch_of(0), 1);
  const Outcome later = train(plan_of(4, 1), batch_of(0), 60);
  CHECK(first.report.loss == Approx(std::log(29.0)).margin(0.2));  // a fresh model knows nothing
  CHECK(later.report.loss < 0.5 * first.report.loss);
}

// A stored moment errs in the long run by 2^-8 / sqrt(1 - beta^2) of itself at most (half a spacing
// of bfloat16 each step, decaying), the update by that of m and half that of v. Errors are
// independent and have mean zero, so the sum of many steps errs by a smaller part than one.
TEST_CASE("with moments in bfloat16 the loss falls as with moments in float32", "[training]") {
  const auto error_of = [](double beta) { return 0x1p-8 / std::sqrt(1.0 - beta * beta); };
  for (const double beta2 : {0.95, 0.999}) {
    RunPlan plan = plan_of(4, 1);
    plan.loaded.values.optimizer.beta2 = beta2;
    const Outcome exact = train(plan, batch_of(0), 100);
    plan.loaded.values.optimizer.state = config::OptimizerState::kBfloat16;
    const Outcome rounded = train(plan, batch_of(0), 100);
    const double fall = exact.losses.front() - exact.losses.back();
    CHECK(fall > 1.0);
    CHECK(rounded.weights != exact.weights);
    const double bound = (error_of(0.9) + error_of(beta2) / 2) * fall;
    for (std::size_t i = 0; i < exact.losses.size(); ++i) {
      INFO("beta2 " << beta2 << ", step " << i << ", within " << bound);
      CHECK(rounded.losses[i] == Approx(exact.losses[i]).margin(bound));
    }
    CHECK(train(plan, batch_of(0), 100).weights == rounded.weights);
  }
}

TEST_CASE("the mean is over all valid targets of the global batch, however it is split",
          "[training]") {
  // All but one target of the first sequence are ignored.
  const data::TokenBatch batch = batch_of(kLength - 1);
  const Outcome whole = train(plan_of(4, 1), batch, 1);
  for (const std::int64_t micro : {2, 1}) {
    const Outcome split = train(plan_of(micro, 1), batch, 1);
    // float32 sums in another order: some roundings of 2^-24 each.
    CHECK(split.report.loss == Approx(whole.report.loss).epsilon(1e-6));
    CHECK(split.report.gradient_norm == Approx(whole.report.gradient_norm).epsilon(1e-5));
  }
}

TEST_CASE("gradients begin anew in each step, however the batch is split", "[training]") {
  for (const std::int64_t micro : {4, 2, 1}) {
    const RunPlan plan = plan_of(micro, 1);
    TrainingStep step(plan);
    model::initialise(step.weights(), plan.model, 3);
    const double first = step.compute_gradients(batch_of(5), 0, 0).gradient_norm;
    CHECK(step.compute_gradients(batch_of(5), 0, 0).gradient_norm == first);
    CHECK(step.compute_gradients({.count = 0, .length = kLength}, 0, 0).gradient_norm == 0.0);
  }
}

TEST_CASE("bits do not depend on the number of threads", "[training][threads]") {
  for (const double dropout : {0.0, 0.2}) {
    const Outcome one = train(plan_of(2, 1, dropout), batch_of(5), 3);
    for (const int threads : {2, 3, 8}) {
      const Outcome many = train(plan_of(2, threads, dropout), batch_of(5), 3);
      CHECK(std::memcmp(one.weights.data(), many.weights.data(),
                        one.weights.size() * sizeof(float)) == 0);
      CHECK(one.report.loss == many.report.loss);
    }
  }
}

TEST_CASE("dropout changes with the step and comes back with the cursor", "[training]") {
  const RunPlan plan = plan_of(4, 1, 0.3);
  TrainingStep step(plan);
  const auto loss_at = [&](std::int64_t cursor) {
    model::initialise(step.weights(), plan.model, 3);
    return step.run(batch_of(0), cursor, 0).loss;
  };
  const double first = loss_at(0);
  CHECK(loss_at(kSequences) != first);
  CHECK(loss_at(0) == first);
}

TEST_CASE("a batch without valid targets changes nothing but the decay", "[training]") {
  const Outcome outcome = train(plan_of(4, 1), batch_of(kSequences * kLength), 1);
  CHECK(outcome.report.loss == 0.0);
  CHECK(outcome.report.gradient_norm == 0.0);
}

TEST_CASE("weights that are not finite end the run before they spread", "[training]") {
  const RunPlan plan = plan_of(4, 1);
  TrainingStep step(plan);
  model::initialise(step.weights(), plan.model, 3);
  step.weights().tensors().front().view.data<float>()[0] = NAN;
  CHECK_THROWS_AS(step.run(batch_of(0), 0, 0), DivergedError);
}

TEST_CASE("recomputation changes no bit of a step", "[training]") {
  const Outcome none = train(plan_of(2, 2, 0.1), batch_of(3), 3);
  for (const config::Recompute recompute : {config::Recompute::kCheap, config::Recompute::kBlock}) {
    RunPlan plan = plan_of(2, 2, 0.1);
    plan.loaded.values.recompute = recompute;
    CHECK(train(plan, batch_of(3), 3).weights == none.weights);
  }
}

TEST_CASE("an average of the weights is kept beside them and changes nothing", "[training]") {
  const Outcome without = train(plan_of(4, 1), batch_of(0), 5);
  RunPlan plan = plan_of(4, 1);
  plan.loaded.values.weight_average.decay = 0.5;
  TrainingStep step(plan);
  model::initialise(step.weights(), plan.model, 3);
  REQUIRE(step.average() != nullptr);
  step.average()->copy_from(step.weights());
  const float first = step.weights().flat().data<float>()[0];
  double expected = first;
  for (int i = 0; i < 5; ++i) {
    step.run(batch_of(0), i * kSequences, i);
    const double decay = std::min(0.5, (1.0 + i) / (10.0 + i));
    expected += (1.0 - decay) * (step.weights().flat().data<float>()[0] - expected);
  }
  const float* weights = step.weights().flat().data<float>();
  CHECK(std::vector<float>(weights, weights + step.weights().flat().elements()) == without.weights);
  // Five updates of three roundings each, of numbers near the weight.
  CHECK(step.average()->flat().data<float>()[0] == Approx(expected).epsilon(15 * 0x1p-24));
}

}  // namespace ovid::training
