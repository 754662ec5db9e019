#include "src/training/run_plan.h"

#include <fmt/format.h>

#include "kernels/cpu/parallel_for.h"
#include "src/checkpoint/hugging_face_model.h"
#include "src/core/error.h"
#include "src/data/dataset_description.h"
#include "src/memory/arena.h"
#include "src/model/model.h"
#include "src/tokenizer/tokenizer.h"
#include "src/training/parameter_files.h"

namespace ovid::training {
namespace {

void refuse_what_is_absent(const config::RunConfig& c) {
  const auto refuse = [](const std::string& setting, const std::string& cure) {
    throw UsageError(fmt::format("this version of Ovid has no {}: {}", setting, cure));
  };
  if (c.device.kind == config::DeviceKindChoice::kCuda)
    refuse("CUDA backend", "use device.kind: cpu or auto");
  if (c.precision != config::Precision::kFloat32)
    refuse("bfloat16 training", "use precision: float32");
  if (c.recompute != config::Recompute::kNone)
    refuse("activation recomputation", "use recompute: none");
  if (c.distributed.zero_stage != 0) refuse("ZeRO stages", "use distributed.zero_stage: 0");
  if (c.distributed.reduction != config::ReductionOrder::kFast) {
    refuse("canonical reduction", "use distributed.reduction: fast");
  }
}

// The number of the config, or of the model that training starts from; both must agree where both
// are given.
void settle(const char* key, std::int64_t configured, std::int64_t& value) {
  if (configured == 0) return;
  if (value != 0 && value != configured) {
    throw UsageError(fmt::format(
        "model.{} = {} contradicts the model in initialize_from, which has {}; leave the "
        "model section out to take that model's shape",
        key, configured, value));
  }
  value = configured;
}

model::ModelConfig model_of(const config::LoadedConfig& loaded) {
  const config::RunConfig& c = loaded.values;
  model::ModelConfig model;
  if (c.initialize_from) {
    model = checkpoint::read_model_config(*c.initialize_from);
    const auto origin = loaded.origins.find("model.tied_head");
    const bool given = origin != loaded.origins.end() && origin->second != "default";
    if (given && c.model.tied_head != model.tied_head) {
      throw UsageError(fmt::format("model.tied_head = {} contradicts the model in initialize_from",
                                   c.model.tied_head));
    }
  } else {
    model.tied_head = c.model.tied_head;
  }
  settle("layers", c.model.layers, model.layers);
  settle("heads", c.model.heads, model.heads);
  settle("width", c.model.width, model.width);
  settle("context_length", c.model.context_length, model.context_length);
  settle("vocabulary_size", c.model.vocabulary_size, model.vocabulary_size);
  const auto dropout = static_cast<float>(c.model.dropout);
  model.embedding_dropout = model.attention_dropout = model.residual_dropout = dropout;
  return model;
}

std::optional<std::string> tokenizer_of(
    const config::RunConfig& c, const std::optional<data::DatasetDescription>& description) {
  if (c.data.tokenizer) return c.data.tokenizer;
  if (description) return description->tokenizer;
  if (c.initialize_from) {
    if (const auto found = find_tokenizer(*c.initialize_from)) return found->string();
  }
  return std::nullopt;
}

std::int64_t vocabulary_of(const RunPlan& plan,
                           const std::optional<data::DatasetDescription>& description) {
  const std::int64_t configured = plan.model.vocabulary_size;
  std::int64_t needed = description ? description->vocabulary_size : 0;
  if (needed == 0 && plan.tokenizer)
    needed = tokenizer::Tokenizer::load(*plan.tokenizer).vocabulary_size();
  if (configured == 0 && needed == 0) {
    throw UsageError(
        "model.vocabulary_size is not set, and neither dataset.json beside the shards nor "
        "data.tokenizer "
        "tells it: set one of them");
  }
  if (configured != 0 && needed > configured) {
    throw UsageError(fmt::format(
        "the data's tokenizer has {} entries, more than model.vocabulary_size = {}; leave "
        "model.vocabulary_size out, or encode the texts with the model's tokenizer",
        needed, configured));
  }
  return configured != 0 ? configured : needed;
}

void check_length(const data::TokenDataset& dataset, std::int64_t length, const char* key) {
  if (dataset.total_tokens() < length + 1) {
    throw DataError(
        fmt::format("{} holds {} tokens, fewer than one sequence of batch.length = {} and its last "
                    "target; give more text or a smaller batch.length",
                    key, dataset.total_tokens(), length));
  }
}

}  // namespace

RunPlan make_run_plan(config::LoadedConfig loaded) {
  RunPlan plan;
  plan.loaded = std::move(loaded);
  const config::RunConfig& c = plan.config();
  refuse_what_is_absent(c);
  plan.directory = Path(c.run.directory) / c.run.name;
  plan.threads = c.device.threads > 0 ? c.device.threads : kernels::cpu::available_threads();
  plan.model = model_of(plan.loaded);
  plan.train = std::make_unique<data::TokenDataset>(c.data.train);
  const auto description = data::describe_dataset_of(plan.train->shards().front().path());
  plan.tokenizer = tokenizer_of(c, description);
  plan.model.vocabulary_size = vocabulary_of(plan, description);
  model::check_model_config(plan.model);
  const std::int64_t length = c.batch.length > 0 ? c.batch.length : plan.model.context_length;
  if (length > plan.model.context_length) {
    throw UsageError(fmt::format("batch.length = {} exceeds the model's context_length = {}",
                                 length, plan.model.context_length));
  }
  plan.micro_batch = {.sequences = c.batch.micro_sequences, .length = length};
  check_length(*plan.train, length, "data.train");
  plan.train->check_vocabulary(plan.model.vocabulary_size);
  if (!c.data.validation.empty() && c.validation.every_steps > 0) {
    plan.validation = std::make_unique<data::TokenDataset>(c.data.validation);
    check_length(*plan.validation, length, "data.validation");
    plan.validation->check_vocabulary(plan.model.vocabulary_size);
  }
  return plan;
}

MemoryPlan plan_memory(const RunPlan& plan) {
  const model::ParameterSet weights(plan.model, "weights", true);
  MemoryPlan memory;
  memory.weights = weights.arena().used_bytes();
  memory.activations = memory::measure([&](memory::Arena& arena) {
    model::lay_out_activations(arena, plan.model, plan.micro_batch, model::Keep::kForBackward);
    model::lay_out_activation_gradients(arena, plan.model, plan.micro_batch);
  });
  memory.scratch =
      model::measure_scratch(plan.model, plan.micro_batch, plan.device, plan.threads, true);
  return memory;
}

void check_memory(const MemoryPlan& memory) {
  const std::size_t available = memory::available_memory();
  if (available == 0 || memory.total() <= available) return;
  using memory::readable_bytes;
  throw ResourceError(fmt::format(
      "the run needs {} of memory (4 x {} for weights, gradients and two moments, {} of "
      "activations, {} of scratch), "
      "but only {} are free; choose a smaller model, batch.micro_sequences or batch.length",
      readable_bytes(memory.total()), readable_bytes(memory.weights),
      readable_bytes(memory.activations), readable_bytes(memory.scratch),
      readable_bytes(available)));
}

}  // namespace ovid::training
