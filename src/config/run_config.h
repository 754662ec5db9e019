#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// A run's configuration as plain values. Every field is the key of the same name; its range, unit
// and documentation stand in schema.cpp, from which docs/configuration.md is made. Paths are as
// written: relative ones start at the working directory. Where load() filled a field, it holds the
// rule given beside the field.
namespace ovid::config {

enum class DeviceKindChoice { kAuto, kCpu, kCuda };
enum class Precision { kFloat32, kTfloat32, kBfloat16, kFloat16 };
enum class AttentionChoice { kAuto, kFlash, kCudnn, kNaive };
enum class DataOrder { kShuffled, kSequential };
enum class OptimizerState { kFloat32, kBfloat16 };
enum class ScheduleKind { kCosine, kLinear, kConstant, kWarmupStableDecay };
enum class Recompute { kNone, kCheap, kBlock };
enum class ReductionOrder { kFast, kCanonical };

struct RunSection {
  std::string name = "demo";  // one folder name
  std::string directory = "runs";
  std::uint64_t seed = 1337;

  bool operator==(const RunSection&) const = default;
};

struct DeviceSection {
  DeviceKindChoice kind = DeviceKindChoice::kAuto;
  int index = 0;    // of the GPU, among those that CUDA sees
  int threads = 0;  // 0: all cores of this process

  bool operator==(const DeviceSection&) const = default;
};

// After load() the numbers hold the preset's values where no key overrides them. A 0 is left where
// the config leaves the number to another source: vocabulary_size to the data set's tokenizer;
// every number of the shape to the model directory, where initialize_from is given and the config
// names neither a preset nor that number.
struct ModelSection {
  std::optional<std::string>
      preset;  // gpt2-124m where the config gives no shape and no initialize_from
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t width = 0;
  std::int64_t context_length = 0;
  std::int64_t vocabulary_size = 0;
  bool tied_head = true;  // the model directory's say where its origin is "default", as above
  double dropout = 0.0;

  bool operator==(const ModelSection&) const = default;
};

struct DataSection {
  std::vector<std::string> train;       // paths or glob patterns; never empty after load()
  std::vector<double> weights;          // one for each entry of train, each above 0; empty: none
  std::vector<std::string> validation;  // empty: no validation
  DataOrder order = DataOrder::kShuffled;
  std::optional<std::string>
      tokenizer;  // nothing: the one that dataset.json beside the shards names

  bool operator==(const DataSection&) const = default;
};

struct BatchSection {
  std::int64_t sequences = 512;       // per optimizer step, over all ranks
  std::int64_t micro_sequences = 16;  // per forward pass; divides sequences; 0: auto
  std::int64_t ramp_from = 0;         // sequences of the first step; 0: no ramp
  std::int64_t ramp_steps = 0;        // steps until `sequences` is reached
  std::int64_t length = 0;  // tokens; the context length where absent, 0 where that is 0 too

  bool operator==(const BatchSection&) const = default;
};

struct OptimizerSection {
  double learning_rate = 6.0e-4;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1.0e-8;
  double weight_decay = 0.1;
  double gradient_clip = 1.0;  // 0: no clipping
  OptimizerState state = OptimizerState::kFloat32;

  bool operator==(const OptimizerSection&) const = default;
};

struct ScheduleSection {
  ScheduleKind kind = ScheduleKind::kCosine;
  std::int64_t warmup_steps = 700;
  double final_fraction = 0.1;  // of learning_rate, at the end
  double decay_fraction = 0.2;  // of the steps; warmup_stable_decay only

  bool operator==(const ScheduleSection&) const = default;
};

struct TrainingSection {
  std::int64_t steps = 19560;
  std::vector<std::string> freeze;  // names and patterns of tensors; empty: all are trained

  bool operator==(const TrainingSection&) const = default;
};

struct LoraSection {
  std::int64_t rank = 0;  // of the low-rank adapters; 0: none, all is trained
  double alpha = 16.0;
  // Linears, or "all". (gcc 12 fails on a list in braces here.)
  std::vector<std::string> targets = std::vector<std::string>(1, "attn.c_attn");

  bool operator==(const LoraSection&) const = default;
};

struct EarlyStoppingSection {
  std::int64_t patience = 0;         // validations without improvement; 0: never stop early
  double minimum_improvement = 0.0;  // nats

  bool operator==(const EarlyStoppingSection&) const = default;
};

struct WeightAverageSection {
  double decay = 0.0;  // of the exponential moving average of the weights; 0: none is kept

  bool operator==(const WeightAverageSection&) const = default;
};

struct GuardSection {
  std::int64_t window = 128;     // steps that an outlier is measured against
  double outlier_z = 30.0;       // standard deviations; 0: only what is not finite is skipped
  std::int64_t most_skips = 10;  // in a row; one more ends the run

  bool operator==(const GuardSection&) const = default;
};

// In this section and the two below, every_steps = 0 means never.
struct ValidationSection {
  std::int64_t every_steps = 250;  // 0 after load() where data.validation is empty
  std::int64_t sequences = 512;

  bool operator==(const ValidationSection&) const = default;
};

struct CheckpointSection {
  std::int64_t every_steps = 1000;
  std::int64_t keep_last = 3;
  std::int64_t keep_every = 0;  // checkpoints of steps divisible by it stay; 0: no such
  bool keep_best = true;
  bool save_best = false;  // also save where a validation is the best so far
  bool initial = true;
  bool asynchronous = true;

  bool operator==(const CheckpointSection&) const = default;
};

struct SamplesSection {
  std::int64_t every_steps = 1000;
  std::string prompt;
  std::int64_t tokens = 64;

  bool operator==(const SamplesSection&) const = default;
};

struct MetricsSection {
  bool tensorboard = true;
  bool report = true;

  bool operator==(const MetricsSection&) const = default;
};

struct DistributedSection {
  int zero_stage = 0;  // 0 to 3
  ReductionOrder reduction = ReductionOrder::kFast;
  std::int64_t hash_every_steps = 100;  // 0: weights are never compared across ranks
  double straggler_limit = 0.7;         // score; 0: stragglers are not told

  bool operator==(const DistributedSection&) const = default;
};

// The last of them also of runs of one rank.
struct WatchdogSection {
  bool enabled = true;
  double initial_seconds = 1800;
  double safety_factor = 5;
  double least_seconds = 60;
  std::int64_t starts_without_progress = 3;  // one more is refused; 0: any number

  bool operator==(const WatchdogSection&) const = default;
};

struct RunConfig {
  RunSection run;
  DeviceSection device;
  Precision precision = Precision::kFloat32;
  AttentionChoice attention = AttentionChoice::kAuto;
  ModelSection model;
  std::optional<std::string> initialize_from;  // a model directory
  DataSection data;
  BatchSection batch;
  OptimizerSection optimizer;
  ScheduleSection schedule;
  TrainingSection training;
  LoraSection lora;
  EarlyStoppingSection early_stopping;
  WeightAverageSection weight_average;
  GuardSection guard;
  ValidationSection validation;
  CheckpointSection checkpoint;
  SamplesSection samples;
  MetricsSection metrics;
  Recompute recompute = Recompute::kNone;
  DistributedSection distributed;
  WatchdogSection watchdog;

  bool operator==(const RunConfig&) const = default;
};

}  // namespace ovid::config
