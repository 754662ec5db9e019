#include "src/training/run_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/checkpoint/hugging_face_model.h"
#include "src/core/error.h"
#include "src/data/dataset_description.h"
#include "src/memory/arena.h"
#include "src/model/model.h"
#include "src/tokenizer/tokenizer.h"
#include "src/training/memory_plan.h"
#include "src/training/parameter_files.h"
#include "src/training/run_directory.h"

namespace ovid::training {
namespace {

void refuse_what_is_absent(const config::RunConfig& c) {
  const auto refuse = [](const std::string& setting, const std::string& cure) {
    throw UsageError(fmt::format("this version of Ovid has no {}: {}", setting, cure));
  };
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

const Path& first_shard(const data::TokenMixture& mixture) {
  return mixture.sources().front().shards().front().path();
}

// Sources of a mixture that count different things as tokens would train without an error, and to
// nothing.
void check_same_tokenizer(const data::TokenMixture& mixture,
                          const std::optional<data::DatasetDescription>& first) {
  for (const data::TokenDataset& source : mixture.sources()) {
    const auto other = data::describe_dataset_of(source.shards().front().path());
    if (!first || !other || other->vocabulary_size == first->vocabulary_size) continue;
    throw UsageError(fmt::format(
        "data.train mixes tokenizers: {} was encoded with one of {} entries, {} with one "
        "of {}; encode all texts with one tokenizer",
        first_shard(mixture).string(), first->vocabulary_size,
        source.shards().front().path().string(), other->vocabulary_size));
  }
}

kernels::DType dtype_of(config::Precision precision) {
  switch (precision) {
    case config::Precision::kBfloat16:
      return kernels::DType::kBfloat16;
    case config::Precision::kFloat16:
      return kernels::DType::kFloat16;
    case config::Precision::kFloat32:
    case config::Precision::kTfloat32:
      break;
  }
  return kernels::DType::kFloat32;
}

memory::DeviceRequest request_of(config::DeviceKindChoice kind) {
  switch (kind) {
    case config::DeviceKindChoice::kCpu:
      return memory::DeviceRequest::kCpu;
    case config::DeviceKindChoice::kCuda:
      return memory::DeviceRequest::kCuda;
    case config::DeviceKindChoice::kAuto:
      break;
  }
  return memory::DeviceRequest::kAuto;
}

memory::OpenTarget choose_target(const config::RunConfig& c, DeviceUse use) {
  const memory::TargetRequest request{.device = request_of(c.device.kind),
                                      .index = c.device.index,
                                      .threads = c.device.threads,
                                      .dtype = dtype_of(c.precision)};
  memory::OpenTarget open =
      use == DeviceUse::kOpen ? memory::open_target(request) : memory::plan_target(request);
  if (c.precision == config::Precision::kTfloat32) {
    if (open.target.kind == kernels::DeviceKind::kCpu) {
      throw UsageError(
          "precision: tfloat32 is computed by GPUs only, and this run is on the CPU; "
          "use precision: float32");
    }
    open.target.tfloat32 = true;
  }
  return open;
}

// `auto`: what an earlier part of the run chose, since another split would change its bits; else
// what fits nine tenths of the free memory.
std::int64_t choose_micro_batch(const RunPlan& plan) {
  const config::BatchSection& batch = plan.config().batch;
  const auto earlier = read_choices(RunDirectory{plan.directory}).micro_sequences;
  if (earlier && batch.sequences % *earlier == 0 && batch.ramp_from % *earlier == 0)
    return *earlier;
  return largest_micro_batch(plan, available_memory(plan) / 10 * 9);
}

}  // namespace

RunPlan make_run_plan(config::LoadedConfig loaded, DeviceUse use) {
  RunPlan plan;
  plan.loaded = std::move(loaded);
  const config::RunConfig& c = plan.config();
  refuse_what_is_absent(c);
  plan.directory = Path(c.run.directory) / c.run.name;
  plan.compute = choose_target(c, use);
  plan.model = model_of(plan.loaded);
  plan.train = std::make_unique<data::TokenMixture>(c.data.train, c.data.weights);
  const auto description = data::describe_dataset_of(first_shard(*plan.train));
  plan.tokenizer = tokenizer_of(c, description);
  plan.model.vocabulary_size = vocabulary_of(plan, description);
  model::check_model_config(plan.model);
  const std::int64_t length = c.batch.length > 0 ? c.batch.length : plan.model.context_length;
  if (length > plan.model.context_length) {
    throw UsageError(fmt::format("batch.length = {} exceeds the model's context_length = {}",
                                 length, plan.model.context_length));
  }
  plan.micro_batch = {.sequences = c.batch.micro_sequences, .length = length};
  for (const data::TokenDataset& source : plan.train->sources()) {
    check_length(source, length, "data.train");
  }
  check_same_tokenizer(*plan.train, description);
  plan.data_fingerprint = plan.train->check_and_fingerprint(plan.model.vocabulary_size);
  if (!c.data.validation.empty() && c.validation.every_steps > 0) {
    plan.validation = std::make_unique<data::TokenDataset>(c.data.validation);
    check_length(*plan.validation, length, "data.validation");
    plan.validation->check_vocabulary(plan.model.vocabulary_size);
  }
  if (plan.micro_batch.sequences == 0) plan.micro_batch.sequences = choose_micro_batch(plan);
  return plan;
}

model::Keep RunPlan::keep() const {
  switch (config().recompute) {
    case config::Recompute::kCheap:
      return model::Keep::kWithoutCheap;
    case config::Recompute::kBlock:
      return model::Keep::kBlockInputs;
    case config::Recompute::kNone:
      break;
  }
  return model::Keep::kForBackward;
}

model::ParameterStorage RunPlan::gradient_storage(const model::BatchShape& pass) const {
  const config::BatchSection& batch = config().batch;
  model::ParameterStorage storage{.dtype = target().dtype};
  if (batch.sequences > pass.sequences) {
    storage.dtype = kernels::DType::kFloat32;
  } else if (model::head_chunk_rows(model, pass.rows()) < pass.rows()) {
    storage.head_dtype = kernels::DType::kFloat32;
  }
  return storage;
}

std::int64_t RunPlan::positions_of_step() const {
  return std::max(config().batch.sequences, micro_batch.sequences) * micro_batch.length;
}

}  // namespace ovid::training
