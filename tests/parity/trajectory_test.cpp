#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "src/checkpoint/hugging_face_model.h"
#include "src/training/training_step.h"
#include "tests/catch.h"
#include "tests/parity/distance.h"
#include "tests/parity/parity_model.h"

// 200 steps with weight decay, clipping, accumulation and a schedule; tests/golden/trajectory.py
// has the rules.
namespace ovid::test {
namespace {

using nlohmann::json;

// The generator of the batches: the same integers in every language.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : state_(seed) {}
  std::int32_t operator()(std::int64_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::int32_t>((state_ >> 33) % static_cast<std::uint64_t>(n));
  }
  std::uint64_t state() const { return state_; }

 private:
  std::uint64_t state_;
};

// One global batch: micro-batch after micro-batch, each with its own number of targets that count.
data::TokenBatch draw_batch(Draws& draw, const json& facts, std::int64_t vocabulary) {
  const std::int64_t length = facts.at("length");
  data::TokenBatch batch{.length = length};
  for (int m = 0; m < facts.at("micro_batches").get<int>(); ++m) {
    for (int b = 0; b < facts.at("micro_sequences").get<int>(); ++b) {
      std::vector<std::int32_t> row{draw(vocabulary)};
      for (std::int64_t i = 0; i < length; ++i) {
        const bool jumps = draw(8) == 0;
        const std::int64_t next = jumps ? draw(vocabulary) : (5 * row.back() + 7) % vocabulary;
        row.push_back(static_cast<std::int32_t>(next));
      }
      const std::int64_t ignored = m == 0 ? 0 : draw(length - 1);
      batch.tokens.insert(batch.tokens.end(), row.begin(), row.end() - 1);
      batch.targets.insert(batch.targets.end(), static_cast<std::size_t>(ignored),
                           data::kIgnoreTarget);
      batch.targets.insert(batch.targets.end(), row.begin() + 1 + ignored, row.end());
      ++batch.count;
    }
  }
  return batch;
}

training::RunPlan plan_of(const json& facts) {
  training::RunPlan plan;
  plan.model = checkpoint::read_model_config(golden("trajectory"));
  plan.micro_batch = {.sequences = facts.at("micro_sequences"), .length = facts.at("length")};
  plan.compute.target.threads = 1;  // the model is small, and tests run beside each other
  config::RunConfig& config = plan.loaded.values;
  config.optimizer = {.learning_rate = facts.at("learning_rate"),
                      .beta1 = facts.at("beta1"),
                      .beta2 = facts.at("beta2"),
                      .epsilon = facts.at("epsilon"),
                      .weight_decay = facts.at("weight_decay"),
                      .gradient_clip = facts.at("gradient_clip")};
  config.schedule.kind = config::ScheduleKind::kCosine;
  config.schedule.warmup_steps = facts.at("warmup_steps");
  config.schedule.final_fraction = facts.at("final_fraction");
  config.training.steps = facts.at("steps");
  return plan;
}

struct Trajectory {
  std::vector<double> losses, norms, learning_rates;
  std::vector<std::int32_t> first_tokens;
  std::uint64_t generator_state = 0;
};

// The steps of a run, by the code that a run executes.
Trajectory run(training::TrainingStep& training_step, const training::RunPlan& plan,
               const json& facts) {
  Draws draw(facts.at("seed").get<std::uint64_t>());
  Trajectory trajectory;
  for (std::int64_t step = 0; step < plan.config().training.steps; ++step) {
    const data::TokenBatch batch = draw_batch(draw, facts, plan.model.vocabulary_size);
    if (step == 0) {
      trajectory.first_tokens.assign(batch.tokens.begin(), batch.tokens.begin() + batch.length);
    }
    const training::StepReport report = training_step.run(batch, step * batch.count, step);
    trajectory.losses.push_back(report.loss);
    trajectory.norms.push_back(report.gradient_norm);
    trajectory.learning_rates.push_back(report.learning_rate);
  }
  trajectory.generator_state = draw.state();
  return trajectory;
}

// Relative distance of all weights from the float64 ones, with and without the keys' biases: these
// move no output, so their gradients are rounding noise, which AdamW divides by its own size and
// turns into steps.
double weight_distance(const model::ParameterSet& weights, bool with_key_bias) {
  const checkpoint::SafetensorsFile exact(golden("trajectory/final_float64.safetensors"));
  std::vector<float> ours;
  std::vector<double> theirs;
  for (const model::ParameterSet::Tensor& tensor : weights.tensors()) {
    const std::vector<double> values = read_float64(exact, tensor.description.name);
    const bool has_key_bias = tensor.description.name.ends_with("c_attn.bias");
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool in_key_bias = has_key_bias && i / (values.size() / 3) == 1;
      if (in_key_bias && !with_key_bias) continue;
      ours.push_back(tensor.view.data<float>()[i]);
      theirs.push_back(values[i]);
    }
  }
  return distance(ours, theirs).relative_l2;
}

struct LossDistance {
  double max = 0, rms = 0;
};

LossDistance loss_distance(const std::vector<double>& ours, const std::vector<double>& exact) {
  LossDistance apart;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double gap = std::abs(ours[i] - exact[i]);
    apart.max = std::max(apart.max, gap);
    apart.rms += gap * gap / static_cast<double>(exact.size());
  }
  apart.rms = std::sqrt(apart.rms);
  return apart;
}

// Learning rates are equal but for the last bit of a cosine. Gradients are right to some ten
// roundings, and belong to weights that drift apart by about as much.
void check_steps(const Trajectory& ours, const json& facts) {
  const auto rates = facts.at("learning_rates").get<std::vector<double>>();
  const auto norms = facts.at("gradient_norms_float64").get<std::vector<double>>();
  REQUIRE(ours.norms.size() == norms.size());
  for (std::size_t step = 0; step < norms.size(); ++step) {
    CHECK(std::abs(ours.learning_rates[step] - rates[step]) <= 1e-14 * rates[step]);
    CHECK(std::abs(ours.norms[step] - norms[step]) <= 100 * kFloat32Rounding * norms[step]);
  }
}

}  // namespace

TEST_CASE("200 steps stay within three times PyTorch's distance from float64", "[parity][cpu]") {
  const json facts = json::parse(read_file(golden("trajectory/facts.json")));
  const training::RunPlan plan = plan_of(facts);
  training::TrainingStep training_step(plan);
  read_weights(golden("trajectory"), training_step.weights());
  const Trajectory ours = run(training_step, plan, facts);

  // The batches are the same ones: without this, all that follows compares nothing.
  REQUIRE(ours.first_tokens == facts.at("first_tokens").get<std::vector<std::int32_t>>());
  REQUIRE(std::to_string(ours.generator_state) == facts.at("final_generator_state"));
  check_steps(ours, facts);

  const json& theirs = facts.at("pytorch_float32_distance");
  const auto exact = facts.at("losses_float64").get<std::vector<double>>();
  REQUIRE(ours.losses.size() == exact.size());
  const LossDistance losses = loss_distance(ours.losses, exact);
  const auto relative = [&](const char* key) {
    return theirs.at(key).at("relative_l2").get<double>();
  };
  const model::ParameterSet& final_weights = training_step.weights();
  const double loss_max = losses.max / theirs.at("loss_max").get<double>();
  const double loss_rms = losses.rms / theirs.at("loss_rms").get<double>();
  const double weights =
      weight_distance(final_weights, false) / relative("weights_without_key_bias");
  const double all_weights = weight_distance(final_weights, true) / relative("weights");
  fmt::print("distance from float64, as a multiple of PyTorch float32's:\n");
  fmt::print("  loss {:.2f} (largest), {:.2f} (rms)\n", loss_max, loss_rms);
  fmt::print("  weights {:.2f}, with the keys' biases {:.2f}\n", weights, all_weights);
  CHECK(loss_max <= 3);
  CHECK(loss_rms <= 3);
  CHECK(weights <= 3);
  CHECK(all_weights <= 3);
}

}  // namespace ovid::test
