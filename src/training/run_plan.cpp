#include "src/training/run_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/common/errors.h"
#include "kernels/cuda/device.h"
#include "src/checkpoint/adapter_files.h"
#include "src/checkpoint/hugging_face_model.h"
#include "src/core/error.h"
#include "src/data/dataset_description.h"
#include "src/memory/arena.h"
#include "src/model/model.h"
#include "src/tokenizer/tokenizer.h"
#include "src/training/frozen_tensors.h"
#include "src/training/grown_vocabulary.h"
#include "src/training/low_rank_plan.h"
#include "src/training/memory_plan.h"
#include "src/training/parameter_files.h"
#include "src/training/run_directory.h"
#include "src/training/stage_three.h"

namespace ovid::training {
namespace {

void refuse_what_is_absent(const RunPlan& plan) {
  const auto refuse = [](const std::string& setting, const std::string& cure) {
    throw UsageError(fmt::format("this version of Ovid has no {}: {}", setting, cure));
  };
  if (plan.canonical() && plan.target().kind == kernels::DeviceKind::kCuda)
    refuse("canonical reduction on a GPU", "use distributed.reduction: fast, or device.kind: cpu");
}

// Stage 2 has the gradients of blocks take turns in buffers of one layout.
void refuse_frozen_in_stage_2(const RunPlan& plan) {
  if (plan.model.frozen.empty() || !plan.shards_gradients()) return;
  throw UsageError(fmt::format(
      "distributed.zero_stage = {} cuts gradients of whole blocks, and {} leaves some out; use "
      "distributed.zero_stage: 1, with which frozen tensors have no gradients either",
      plan.config().distributed.zero_stage,
      plan.model.low_rank.rank > 0 ? "lora.rank" : "training.freeze"));
}

// The embedding's new rows are random, and adapters leave it as it is.
void refuse_untrained_rows(const RunPlan& plan) {
  const std::int64_t added = plan.model.vocabulary_size - plan.rows_to_read;
  if (plan.config().lora.rank == 0 || plan.rows_to_read == 0 || added == 0) return;
  throw UsageError(fmt::format(
      "the data have {} tokens that the model in initialize_from has not, and lora.rank = {} "
      "leaves "
      "its embedding as it is: their rows would stay random; make the data with --control text, or "
      "train the model itself (lora.rank: 0)",
      added, plan.config().lora.rank));
}

// Every rank computes as many passes of as many sequences, unless single sequences are the unit.
void check_shares(const RunPlan& plan) {
  const config::BatchSection& batch = plan.config().batch;
  const std::int64_t ranks = plan.ranks.count;
  if (plan.canonical() || ranks == 1) return;
  for (const std::int64_t sequences : {batch.sequences, batch.ramp_from}) {
    if (sequences % (ranks * plan.micro_batch.sequences) == 0) continue;
    throw UsageError(fmt::format(
        "a batch of {} sequences is not divided evenly by {} ranks x batch.micro_sequences = {}; "
        "use batch.micro_sequences: 1 and a multiple of {} sequences (say batch.sequences: {}), "
        "another number of ranks, or distributed.reduction: canonical",
        sequences, ranks, plan.micro_batch.sequences, ranks,
        (sequences + ranks - 1) / ranks * ranks));
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
    model = checkpoint::read_model_config(checkpoint::base_model_directory(*c.initialize_from));
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
    const config::RunConfig& c = plan.config();
    if (c.initialize_from && c.model.vocabulary_size == 0 && plan.tokenizer) {
      check_grown_tokenizer(checkpoint::base_model_directory(*c.initialize_from), configured,
                            *plan.tokenizer);
      return needed;
    }
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

kernels::cuda::AttentionKernels attention_of(config::AttentionChoice choice) {
  switch (choice) {
    case config::AttentionChoice::kCudnn:
      return kernels::cuda::AttentionKernels::kCudnn;
    case config::AttentionChoice::kNaive:
      return kernels::cuda::AttentionKernels::kNaive;
    case config::AttentionChoice::kAuto:
    case config::AttentionChoice::kFlash:
      break;
  }
  return kernels::cuda::AttentionKernels::kFlash;
}

void choose_attention(const config::RunConfig& c, const memory::OpenTarget& open) {
  const kernels::cuda::AttentionKernels kernels = attention_of(c.attention);
  if (kernels == kernels::cuda::AttentionKernels::kFlash) return;
  if (open.target.kind == kernels::DeviceKind::kCpu) {
    throw UsageError(
        "attention: cudnn and naive are GPU kernels, and this run is on the CPU; use attention: "
        "auto");
  }
  const bool is_cudnn = kernels == kernels::cuda::AttentionKernels::kCudnn;
  if (is_cudnn && open.target.dtype == kernels::DType::kFloat32) {
    throw UsageError("attention: cudnn computes in 16-bit numbers only; set precision: bfloat16");
  }
  if (is_cudnn && c.model.dropout > 0) {
    throw UsageError(
        fmt::format("attention: cudnn knows no dropout, and model.dropout = {}; set "
                    "it to 0, or attention: flash",
                    c.model.dropout));
  }
  if (open.device == nullptr) return;  // only planned
  try {
    open.device->choose_attention(kernels);
  } catch (const kernels::DeviceError& error) {
    throw ResourceError(error.what());
  }
}

memory::OpenTarget choose_target(const config::RunConfig& c, DeviceUse use,
                                 const distributed::RankInfo& ranks, int threads) {
  const memory::TargetRequest request{.device = request_of(c.device.kind),
                                      .index = c.device.index + ranks.local_rank,
                                      .threads = c.device.threads > 0 ? c.device.threads : threads,
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
  choose_attention(c, open);
  return open;
}

// `auto`: what an earlier part of the run chose, since another split would change its bits; else
// what fits nine tenths of the free memory.
std::int64_t choose_micro_batch(const RunPlan& plan) {
  const config::BatchSection& batch = plan.config().batch;
  const auto earlier = read_choices(RunDirectory{plan.directory}).micro_sequences;
  const std::int64_t unit = plan.ranks.count * earlier.value_or(1);
  if (earlier && batch.sequences % unit == 0 && batch.ramp_from % unit == 0) return *earlier;
  return largest_micro_batch(plan, available_memory(plan) / 10 * 9);
}

}  // namespace

RunPlan make_run_plan(config::LoadedConfig loaded, DeviceUse use,
                      const distributed::RankInfo& ranks, int threads) {
  RunPlan plan;
  plan.loaded = std::move(loaded);
  plan.ranks = ranks;
  const config::RunConfig& c = plan.config();
  plan.directory = Path(c.run.directory) / c.run.name;
  plan.compute = choose_target(c, use, ranks, threads);
  refuse_what_is_absent(plan);
  plan.model = model_of(plan.loaded);
  plan.train = std::make_unique<data::TokenMixture>(c.data.train, c.data.weights);
  const auto description = data::describe_dataset_of(first_shard(*plan.train));
  plan.tokenizer = tokenizer_of(c, description);
  if (c.initialize_from) plan.rows_to_read = plan.model.vocabulary_size;
  plan.model.vocabulary_size = vocabulary_of(plan, description);
  model::check_model_config(plan.model);
  plan.model.frozen = frozen_tensors(c.training.freeze, plan.model);
  refuse_untrained_rows(plan);
  add_adapters(c.lora, plan.model);
  check_stage_three(plan);
  refuse_frozen_in_stage_2(plan);
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
  if (plan.canonical()) {
    plan.micro_batch.sequences = 1;
  } else if (plan.micro_batch.sequences == 0) {
    plan.micro_batch.sequences = choose_micro_batch(plan);
  }
  check_shares(plan);
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
  model::ParameterStorage storage{
      .dtype = target().dtype, .shards = shards(), .trained_only = true};
  const bool chunked = model::head_chunk_rows(model, pass.rows()) < pass.rows();
  if (batch.sequences > pass.sequences * ranks.count || (chunked && shards() > 0)) {
    storage.dtype = kernels::DType::kFloat32;
  } else if (chunked) {
    storage.head_dtype = kernels::DType::kFloat32;
  }
  return storage;
}

std::int64_t RunPlan::positions_of_step() const {
  const std::int64_t share = (config().batch.sequences + ranks.count - 1) / ranks.count;
  return std::max(share, micro_batch.sequences) * micro_batch.length;
}

}  // namespace ovid::training
