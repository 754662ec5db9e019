#include "src/training/speed_estimate.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "src/core/stopwatch.h"
#include "src/memory/execution.h"
#include "src/model/model.h"
#include "src/optimizer/adamw_optimizer.h"
#include "src/training/low_rank_plan.h"

namespace ovid::training {
namespace {

constexpr int kRepetitions = 4;

template <class Work>
double seconds_of(const Work& work) {
  const Stopwatch stopwatch;
  work();
  return stopwatch.seconds();
}

// A model of few blocks, with what one pass of it needs.
class Part {
 public:
  Part(const RunPlan& plan, std::int64_t layers, std::int64_t vocabulary, model::BatchShape batch)
      : config_(part_of(plan.model, layers, vocabulary)),
        batch_(batch),
        weights_(config_, "weights of the estimate"),
        gradients_(config_, "gradients of the estimate"),
        arena_("activations of the estimate",
               memory::measure([&](memory::Arena& arena) { lay_out(arena, plan.keep()); })),
        activations_(model::lay_out_activations(arena_, config_, batch, plan.keep())),
        d_(model::lay_out_activation_gradients(arena_, config_, batch)),
        execution_(nullptr, plan.target().threads,
                   model::measure_scratch(config_, batch, plan.target(), plan.keep())),
        tokens_(static_cast<std::size_t>(batch.rows())) {
    model::initialise(weights_, config_, 1);
    std::iota(tokens_.begin(), tokens_.end(), 0);
    for (std::int32_t& token : tokens_) token %= static_cast<std::int32_t>(vocabulary);
  }

  void pass() {
    const model::ConstView tokens(tokens_.data(), model::DType::kInt32,
                                  model::Shape{batch_.sequences, batch_.length});
    model::model_forward_backward(execution_.context(),
                                  {.pass = {.config = config_,
                                            .weights = weights_.views(),
                                            .tokens = tokens,
                                            .activations = activations_,
                                            .dropout = model::DropoutKey{}},
                                   .gradients = gradients_.views(),
                                   .d = d_},
                                  tokens, 1.0f);
  }

 private:
  static model::ModelConfig part_of(model::ModelConfig config, std::int64_t layers,
                                    std::int64_t vocabulary) {
    config = without_adapters(std::move(config));
    config.layers = layers;
    config.vocabulary_size = vocabulary;
    config.frozen.clear();  // of one block or two: with frozen ones the estimate is an upper bound
    return config;
  }
  void lay_out(memory::Arena& arena, model::Keep keep) const {
    model::lay_out_activations(arena, config_, batch_, keep);
    model::lay_out_activation_gradients(arena, config_, batch_);
  }

  model::ModelConfig config_;
  model::BatchShape batch_;
  model::ParameterSet weights_, gradients_;
  memory::Arena arena_;
  model::Activations activations_;
  model::ActivationGradients d_;
  memory::Execution execution_;
  std::vector<std::int32_t> tokens_;
};

struct Times {
  std::vector<double> seconds;
  double fastest() const { return *std::min_element(seconds.begin(), seconds.end()); }
  double spread() const {
    return *std::max_element(seconds.begin(), seconds.end()) / fastest() - 1.0;
  }
};

// Passes in a row long enough for the clock and for threads to get going.
int passes_of(Part& part) {
  const double once = seconds_of([&] { part.pass(); });
  return std::clamp(static_cast<int>(0.05 / once), 1, 1000);
}

// Seconds of one update, from a model of one block and part of the vocabulary.
Times time_update(const RunPlan& plan, std::int64_t vocabulary) {
  model::ModelConfig config = without_adapters(plan.model);
  config.layers = 1;
  config.vocabulary_size = vocabulary;
  config.frozen.clear();
  model::ParameterSet weights(config, "weights of the estimate"),
      gradients(config, "gradients of the estimate");
  optimizer::AdamWOptimizer adamw(config, {});
  memory::Execution execution(nullptr, plan.target().threads, std::size_t{1} << 20);
  Times times;
  const double scale = static_cast<double>(model::trained_parameter_count(plan.model)) /
                       static_cast<double>(model::parameter_count(config));
  for (int i = 0; i <= kRepetitions; ++i) {
    const double seconds = seconds_of([&] {
      adamw.measure_gradients(execution.context(), gradients);
      adamw.update(
          execution.context(),
          {.weights = &weights, .gradients = &gradients, .learning_rate = 1e-4, .step = i + 1});
    });
    if (i > 0) times.seconds.push_back(scale * seconds);  // the first touches the memory
  }
  return times;
}

}  // namespace

SpeedEstimate estimate_speed(const RunPlan& plan) {
  constexpr std::int64_t kRows = 1024, kVocabulary = 4096;
  const std::int64_t vocabulary = std::min(plan.model.vocabulary_size, kVocabulary);
  const std::int64_t sequences =
      std::clamp<std::int64_t>(kRows / plan.micro_batch.length, 1, plan.micro_batch.sequences);
  const model::BatchShape batch{.sequences = sequences, .length = plan.micro_batch.length};
  Part one(plan, 1, vocabulary, batch), two(plan, 2, vocabulary, batch);
  two.pass();  // touches the memory
  const int passes = passes_of(one);
  Times times_of_one, times_of_two;
  const auto time = [&](Part& part, Times& times) {
    times.seconds.push_back(seconds_of([&] {
                              for (int i = 0; i < passes; ++i) part.pass();
                            }) /
                            passes);
  };
  for (int i = 0; i < kRepetitions; ++i) {
    time(one, times_of_one);
    time(two, times_of_two);
  }
  const double block = std::max(times_of_two.fastest() - times_of_one.fastest(), 0.0);
  const double rest = std::max(times_of_one.fastest() - block, 0.0);
  const double head =
      rest * static_cast<double>(plan.model.vocabulary_size) / static_cast<double>(vocabulary);
  const Times update = time_update(plan, vocabulary);
  return {.seconds_a_sequence = (block * static_cast<double>(plan.model.layers) + head) /
                                static_cast<double>(sequences),
          .update_seconds = update.fastest(),
          .spread = std::max({times_of_one.spread(), times_of_two.spread()})};
}

}  // namespace ovid::training
