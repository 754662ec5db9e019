#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/training/frozen_tensors.h"
#include "src/training/memory_plan.h"
#include "src/training/training_state.h"
#include "src/training/training_step.h"
#include "tests/catch.h"

namespace ovid::training {
namespace {

using Names = std::vector<std::string>;
constexpr std::int64_t kSequences = 4;
constexpr std::int64_t kLength = 12;

model::ModelConfig model_of(bool tied = true) {
  return {.layers = 3,
          .heads = 2,
          .width = 16,
          .context_length = kLength,
          .vocabulary_size = 29,
          .tied_head = tied};
}

std::string error_of(const Names& patterns, const model::ModelConfig& config) {
  try {
    frozen_tensors(patterns, config);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

RunPlan plan_of(const Names& freeze, std::int64_t micro_sequences = kSequences) {
  RunPlan plan;
  plan.model = model_of();
  plan.model.frozen = frozen_tensors(freeze, plan.model);
  plan.micro_batch = {.sequences = micro_sequences, .length = kLength};
  plan.compute.target.threads = 1;
  plan.loaded.values.batch.sequences = kSequences;
  plan.loaded.values.batch.micro_sequences = micro_sequences;
  plan.loaded.values.training.steps = 100;
  plan.loaded.values.optimizer.learning_rate = 3e-3;
  plan.loaded.values.schedule.warmup_steps = 0;
  return plan;
}

data::TokenBatch batch() {
  data::TokenBatch batch{.count = kSequences, .length = kLength};
  for (std::int64_t i = 0; i < kSequences * kLength; ++i) {
    batch.tokens.push_back(static_cast<std::int32_t>(i * i % 29));
    batch.targets.push_back(static_cast<std::int32_t>((i + 1) * (i + 1) % 29));
  }
  return batch;
}

std::vector<float> values_of(const model::View& view) {
  return {view.data<float>(), view.data<float>() + view.elements()};
}

}  // namespace

TEST_CASE("patterns of training.freeze name tensors, blocks and kinds of tensors", "[training]") {
  const auto model = model_of();
  CHECK(frozen_tensors({}, model).empty());
  CHECK(frozen_tensors({"embeddings"}, model) ==
        Names{"transformer.wpe.weight", "transformer.wte.weight"});
  CHECK(frozen_tensors({"position_embedding"}, model) == Names{"transformer.wpe.weight"});
  CHECK(frozen_tensors({"blocks"}, model).size() == 3 * 12);
  CHECK(frozen_tensors({"blocks.0-1"}, model).size() == 2 * 12);
  CHECK(frozen_tensors({"blocks.0-1", "blocks.1"}, model).size() == 2 * 12);
  CHECK(frozen_tensors({"norms"}, model).size() == 3 * 4 + 2);
  CHECK(frozen_tensors({"biases"}, model).size() == 3 * 6 + 1);
  CHECK(frozen_tensors({"h.2.mlp.c_fc.weight"}, model) == Names{"transformer.h.2.mlp.c_fc.weight"});
  CHECK(frozen_tensors({"transformer.h.*.mlp.*"}, model).size() == 3 * 4);
  CHECK(frozen_tensors({"h.?.attn.c_attn.weight"}, model).size() == 3);
  CHECK(frozen_tensors({"head"}, model_of(false)) == Names{"lm_head.weight"});
}

TEST_CASE("a pattern of training.freeze that means nothing is refused with what is near",
          "[training]") {
  using Catch::Matchers::Contains;
  const auto model = model_of();
  CHECK_THAT(error_of({"embedings"}, model), Contains("did you mean embeddings?"));
  CHECK_THAT(error_of({"h.0.atn.c_attn.weight"}, model),
             Contains("did you mean h.0.attn.c_attn.weight?"));
  CHECK_THAT(error_of({"blocks.1-3"}, model), Contains("blocks 0 to 2"));
  CHECK_THAT(error_of({"blocks.two"}, model), Contains("blocks 0 to 2"));
  CHECK_THAT(error_of({"blocks.-1"}, model), Contains("blocks 0 to 2"));
  CHECK_THAT(error_of({"head"}, model), Contains("freeze token_embedding"));
  CHECK_THAT(error_of({"h.7.*"}, model), Contains("matches no tensor"));
  CHECK_THAT(error_of({"*"}, model), Contains("leaves nothing to train"));
}

TEST_CASE("frozen tensors keep every bit, the others learn", "[training]") {
  const RunPlan plan = plan_of({"embeddings", "blocks.0-1"});
  TrainingStep step(plan);
  model::initialise(step.weights(), plan.model, 3);
  std::vector<std::vector<float>> before;
  for (const auto& tensor : step.weights().tensors()) before.push_back(values_of(tensor.view));
  double first = 0, last = 0;
  for (int i = 0; i < 20; ++i) {
    last = step.run(batch(), i * kSequences, i).loss;
    if (i == 0) first = last;
  }
  CHECK(last < first - 0.1);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const auto& tensor = step.weights().tensors()[i];
    CAPTURE(tensor.description.name);
    CHECK((values_of(tensor.view) == before[i]) == !tensor.description.trained);
  }
}

TEST_CASE("norm and clipping are those of the trained tensors, however the batch is split",
          "[training]") {
  const RunPlan whole = plan_of({});
  TrainingStep all(whole);
  model::initialise(all.weights(), whole.model, 3);
  all.compute_gradients(batch(), 0, 0);
  for (const std::int64_t micro : {kSequences, kSequences / 2}) {
    const RunPlan plan = plan_of({"blocks.0", "norms", "biases"}, micro);
    TrainingStep step(plan);
    model::initialise(step.weights(), plan.model, 3);
    const StepReport report = step.compute_gradients(batch(), 0, 0);
    double sum = 0;
    for (std::size_t i = 0; i < all.weights().tensors().size(); ++i) {
      if (!step.weights().tensors()[i].description.trained) continue;
      for (const float x : values_of(all.gradients().tensors()[i].view)) sum += double{x} * x;
    }
    CHECK(report.gradient_norm == Approx(std::sqrt(sum)).epsilon(1e-6));
  }
}

TEST_CASE("frozen tensors take no memory for gradients and moments", "[training]") {
  const auto bytes_of = [](const RunPlan& plan, const std::string& part) {
    for (const MemoryPlan::Part& p : plan_memory(plan).parts) {
      if (p.name == part) return p.bytes;
    }
    return std::size_t{0};
  };
  const RunPlan all = plan_of({}), last = plan_of({"embeddings", "blocks.0-1"});
  const auto trained = static_cast<std::size_t>(model::trained_parameter_count(last.model));
  const std::size_t gaps = 64 * model::describe_tensors(last.model).size();
  CHECK(bytes_of(last, "gradients") < bytes_of(all, "gradients"));
  CHECK(bytes_of(last, "gradients") <= 4 * trained + gaps);
  CHECK(bytes_of(last, "moments of AdamW") <= 2 * (4 * trained + gaps));
  CHECK(bytes_of(last, "weights") == bytes_of(all, "weights"));
}

TEST_CASE("a run goes on only with what it has trained so far", "[training]") {
  using Catch::Matchers::Contains;
  TrainingState saved{.model = model_of()};
  saved.model.frozen = frozen_tensors({"embeddings"}, saved.model);
  CHECK(training_state_from_json(to_json(saved), "state.json") == saved);
  check_continues(saved, saved, "runs/a");
  TrainingState now{.model = model_of()};
  CHECK_THROWS_WITH(check_continues(saved, now, "runs/a"),
                    Contains("training.freeze: 2 tensors") && Contains("nothing now"));
}

}  // namespace ovid::training
