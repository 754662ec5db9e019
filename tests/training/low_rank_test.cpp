#include <filesystem>
#include <string>
#include <vector>

#include "src/checkpoint/adapter_files.h"
#include "src/core/error.h"
#include "src/evaluation/loss_evaluation.h"
#include "src/training/low_rank_plan.h"
#include "src/training/memory_plan.h"
#include "src/training/model_export.h"
#include "src/training/parameter_files.h"
#include "src/training/plan_report.h"
#include "src/training/run_tensors.h"
#include "src/training/training_state.h"
#include "src/training/training_step.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::training {
namespace {

constexpr std::int64_t kSequences = 4;
constexpr std::int64_t kLength = 12;

model::ModelConfig base_config() {
  return {.layers = 3, .heads = 2, .width = 16, .context_length = kLength, .vocabulary_size = 29};
}

RunPlan plan_of(const std::vector<std::string>& targets, std::int64_t rank = 3) {
  RunPlan plan;
  plan.model = base_config();
  plan.loaded.values.lora = {.rank = rank, .alpha = 6, .targets = targets};
  add_adapters(plan.loaded.values.lora, plan.model);
  plan.micro_batch = {.sequences = kSequences / 2, .length = kLength};
  plan.compute.target.threads = 1;
  plan.loaded.values.batch.sequences = kSequences;
  plan.loaded.values.batch.micro_sequences = kSequences / 2;
  plan.loaded.values.training.steps = 100;
  plan.loaded.values.optimizer.learning_rate = 1e-2;
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

std::vector<std::vector<float>> values_of(const model::ParameterSet& set) {
  std::vector<std::vector<float>> all;
  for (const auto& tensor : set.tensors()) all.push_back(values_of(tensor.view));
  return all;
}

double train(TrainingStep& step, int first, int last) {
  double loss = 0;
  for (int i = first; i < last; ++i) loss = step.run(batch(), i * kSequences, i).loss;
  return loss;
}

void save(const Path& run, const RunPlan& plan, TrainingStep& step, std::int64_t steps) {
  checkpoint::CheckpointContent content{.config = plan.model};
  content.parameters = named_tensors(step.weights());
  for (const optimizer::MomentPiece& piece : step.optimizer().pieces_to_store()) {
    content.optimizer.push_back({"exp_avg." + piece.name, piece.first, nullptr});
    content.optimizer.push_back({"exp_avg_sq." + piece.name, piece.second, nullptr});
  }
  content.state_json = to_json(TrainingState{.step = steps, .model = plan.model});
  content.texts = checkpoint::adapter_texts(
      plan.model.low_rank, named_tensors(step.weights(), TensorKind::kAdapter), "..");
  checkpoint::write_checkpoint(run, steps, content, {.keep_last = 3});
}

}  // namespace

TEST_CASE("adapters learn, and the model that they adapt keeps every bit", "[training]") {
  const RunPlan plan = plan_of({"all"});
  TrainingStep step(plan);
  model::initialise(step.weights(), plan.model, 3);
  step.adopt_weights(0);
  const auto before = values_of(step.weights());
  const double first = train(step, 0, 1), last = train(step, 1, 40);
  CHECK(last < first - 0.05);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const auto& tensor = step.weights().tensors()[i];
    CAPTURE(tensor.description.name);
    CHECK(tensor.description.trained == tensor.description.is_adapter);
    CHECK((values_of(tensor.view) == before[i]) == !tensor.description.is_adapter);
  }
}

TEST_CASE("a checkpoint with adapters continues to the same bits", "[training]") {
  const test::TemporaryDirectory folder;
  const RunPlan plan = plan_of({"attn.c_attn", "mlp.c_proj"});
  TrainingStep unbroken(plan);
  model::initialise(unbroken.weights(), plan.model, 3);
  unbroken.adopt_weights(0);
  train(unbroken, 0, 3);
  save(folder.path(), plan, unbroken, 3);
  train(unbroken, 3, 6);

  const Path checkpoint = folder.path() / "checkpoints" / "step-00000003";
  CHECK(checkpoint::verify(checkpoint).empty());
  TrainingStep resumed(plan);
  resume_tensors(plan, checkpoint, 3, resumed);
  train(resumed, 3, 6);
  CHECK(values_of(resumed.weights()) == values_of(unbroken.weights()));
}

TEST_CASE("merged at load, exported and while it trains, a model is the same to the bit",
          "[training]") {
  const test::TemporaryDirectory folder;
  const RunPlan plan = plan_of({"attn.c_attn", "attn.c_proj", "mlp.c_fc"});
  TrainingStep step(plan);
  model::initialise(step.weights(), plan.model, 3);
  step.adopt_weights(0);
  train(step, 0, 4);
  save(folder.path(), plan, step, 4);
  const Path checkpoint = folder.path() / "checkpoints" / "step-00000004";
  const Path exported = folder.path() / "exported";
  export_model(checkpoint, exported, {.threads = 1});
  const auto merged = values_of(step.merged_weights());
  CHECK(values_of(load_model(checkpoint).weights) == merged);
  CHECK(values_of(load_model(exported).weights) == merged);
  CHECK(merged != values_of(step.weights()));
  CHECK_FALSE(checkpoint::find_adapter(exported));

  // What a pass reads, block by block.
  const WeightsOfPass pass = step.weights_of_pass();
  const model::ParameterSet whole = step.merged_weights();
  for (std::size_t block = 0; block < pass.views.blocks.size(); ++block) {
    pass.on_needed(block + 1);
    const auto& read = pass.views.blocks[block];
    CHECK(values_of(read.qkv.weight) == values_of(whole.views().blocks[block].qkv.weight));
    CHECK(values_of(read.expand.weight) == values_of(whole.views().blocks[block].expand.weight));
    CHECK(values_of(read.contract.weight) ==
          values_of(whole.views().blocks[block].contract.weight));
  }
  CHECK_THROWS_AS(export_model(checkpoint, exported, {.threads = 1}), UsageError);
  CHECK_THROWS_AS(export_model(checkpoint, "", {.threads = 1}), UsageError);
  // A bare name, as people type it.
  const Path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  CHECK(export_model(checkpoint, "bare/", {.threads = 1}) == exported.parent_path() / "bare");
  std::filesystem::current_path(before);
  CHECK(values_of(load_model(folder.path() / "bare").weights) == merged);
}

TEST_CASE("adapters of a model that has adapters itself come on top of those", "[training]") {
  const test::TemporaryDirectory folder;
  const RunPlan plan = plan_of({"attn.c_attn"});
  TrainingStep step(plan);
  model::initialise(step.weights(), plan.model, 3);
  step.adopt_weights(0);
  train(step, 0, 4);
  save(folder.path(), plan, step, 4);
  const Path checkpoint = folder.path() / "checkpoints" / "step-00000004";
  const auto merged = values_of(load_model(checkpoint).weights);
  // The checkpoint's own folder of adapters, whose base is the checkpoint: not twice.
  CHECK(values_of(load_model(checkpoint / "adapter").weights) == merged);
  // A folder elsewhere with that checkpoint as its base, and the same adapters once more.
  const Path other = folder.path() / "other";
  std::filesystem::copy(checkpoint / "adapter", other);
  std::string config = read_file(other / "adapter_config.json");
  config.replace(config.find("\"..\""), 4, "\"checkpoints/step-00000004\"");
  config.replace(config.find("checkpoints/"), 12, "../checkpoints/");
  replace_file(other / "adapter_config.json", config);
  const auto twice = values_of(load_model(other).weights);
  CHECK(twice != merged);
  export_model(other, folder.path() / "twice", {.threads = 1});
  CHECK(values_of(load_model(folder.path() / "twice").weights) == twice);
}

TEST_CASE("a run goes on only with the adapters that it has", "[training]") {
  using Catch::Matchers::Contains;
  TrainingState saved{.model = plan_of({"all"}).model};
  CHECK(training_state_from_json(to_json(saved), "state.json") == saved);
  TrainingState now{.model = plan_of({"all"}, 4).model};
  CHECK_THROWS_WITH(check_continues(saved, now, "runs/a"),
                    Contains("lora: rank 3") && Contains("rank 4"));
  now.model = base_config();
  CHECK_THROWS_WITH(check_continues(saved, now, "runs/a"), Contains("none now"));
}

TEST_CASE("adapters take memory for what is trained, and for two blocks merged", "[training]") {
  const RunPlan plan = plan_of({"attn.c_attn"});
  std::size_t gradients = 0, merged = 0;
  for (const MemoryPlan::Part& part : plan_memory(plan).parts) {
    if (part.name == "gradients") gradients = part.bytes;
    if (part.name == "merged weights of two blocks") merged = part.bytes;
  }
  CHECK(model::trained_parameter_count(plan.model) == 3 * 3 * (16 + 48));
  CHECK(gradients < 3 * 3 * (16 + 48) * 4 + 6 * 64 + 1);
  CHECK(merged == 2 * 16 * 48 * 4);
}

TEST_CASE("a rank above the model's width is refused", "[training]") {
  model::ModelConfig model = base_config();
  CHECK_THROWS_AS(add_adapters({.rank = 17}, model), UsageError);
}

}  // namespace ovid::training
