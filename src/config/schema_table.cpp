#include "src/config/schema_table.h"

#include "src/config/presets.h"
#include "src/config/schema_binding.h"

namespace ovid::config {
namespace {

constexpr double kMostSteps = 1e12;
constexpr double kMostSequences =
    16777216;  // with the longest context a step stays below 2^44 tokens
constexpr double kLongestContext = 1048576;

Key joined(Binding binding, Key key) {
  key.get = binding.get;
  key.set = binding.set;
  return key;
}

template <typename E>
std::vector<std::string_view> names_of() {
  return {kNames<E>.begin(), kNames<E>.end()};
}

std::vector<std::string_view> preset_names() {
  std::vector<std::string_view> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  return names;
}

void add_run(std::vector<Key>& keys) {
  keys.push_back(joined(
      bind<&RunConfig::run, &RunSection::name>(),
      {.path = "run.name",
       .type = Type::kFolderName,
       .documentation =
           "The run's name, and its folder's. Two runs of different configs need two names."}));
  keys.push_back(joined(
      bind<&RunConfig::run, &RunSection::directory>(),
      {.path = "run.directory",
       .type = Type::kPath,
       .documentation = "The folder that holds the run's folder. Made where it is absent."}));
  keys.push_back(
      joined(bind<&RunConfig::run, &RunSection::seed>(),
             {.path = "run.seed",
              .type = Type::kInteger,
              .range = {0, 9007199254740991.0},  // 2^53 − 1: every JSON reader keeps it whole
              .documentation = "The seed of the initial weights, the data's order, dropout and "
                               "samples. The same seed, config, "
                               "build and machine give the same run, bit by bit."}));
}

void add_device(std::vector<Key>& keys) {
  keys.push_back(
      joined(bind<&RunConfig::device, &DeviceSection::kind>(),
             {.path = "device.kind",
              .type = Type::kChoice,
              .choices = names_of<DeviceKindChoice>(),
              .documentation = "`auto` takes a GPU where the build and the machine have one."}));
  keys.push_back(joined(
      bind<&RunConfig::device, &DeviceSection::threads>(),
      {.path = "device.threads",
       .type = Type::kInteger,
       .range = {0, 4096},
       .documentation = "Threads of the CPU's work; 0 takes all cores that this process may use. "
                        "The results do not depend on it."}));
  keys.push_back(joined(
      bind<&RunConfig::precision>(),
      {.path = "precision",
       .type = Type::kChoice,
       .choices = names_of<Precision>(),
       .documentation =
           "The numbers of activations and products. `bfloat16` keeps float32 master weights."}));
}

void add_model(std::vector<Key>& keys) {
  constexpr std::string_view kOfPreset = "the preset's";
  keys.push_back(
      joined(bind<&RunConfig::model, &ModelSection::preset>(),
             {.path = "model.preset",
              .type = Type::kChoice,
              .choices = preset_names(),
              .nullable = true,
              .default_rule =
                  "gpt2-124m, unless `layers`, `heads` and `width` or `initialize_from` are given",
              .documentation = "A published shape: the four GPT-2 sizes, or DistilGPT2's."}));
  keys.push_back(joined(bind<&RunConfig::model, &ModelSection::layers, true>(),
                        {.path = "model.layers",
                         .type = Type::kInteger,
                         .range = {1, 1024},
                         .nullable = true,
                         .default_rule = kOfPreset,
                         .documentation = "Transformer blocks."}));
  keys.push_back(joined(bind<&RunConfig::model, &ModelSection::heads, true>(),
                        {.path = "model.heads",
                         .type = Type::kInteger,
                         .range = {1, 1024},
                         .nullable = true,
                         .default_rule = kOfPreset,
                         .documentation = "Attention heads of a block; must divide `width`."}));
  keys.push_back(joined(bind<&RunConfig::model, &ModelSection::width, true>(),
                        {.path = "model.width",
                         .type = Type::kInteger,
                         .range = {1, 65536},
                         .nullable = true,
                         .default_rule = kOfPreset,
                         .documentation = "Columns of the residual stream."}));
  keys.push_back(
      joined(bind<&RunConfig::model, &ModelSection::context_length, true>(),
             {.path = "model.context_length",
              .type = Type::kInteger,
              .range = {1, kLongestContext},
              .nullable = true,
              .unit = "tokens",
              .default_rule = "the preset's; 1024 without one",
              .documentation =
                  "The longest sequence that the model can read: one position embedding each."}));
  keys.push_back(joined(
      bind<&RunConfig::model, &ModelSection::vocabulary_size, true>(),
      {.path = "model.vocabulary_size",
       .type = Type::kInteger,
       .range = {1, 65536},
       .nullable = true,
       .unit = "tokens",
       .default_rule = "the preset's; without one the data set's tokenizer has the say",
       .documentation = "Rows of the token embedding. Must not be below the tokenizer's size."}));
  keys.push_back(
      joined(bind<&RunConfig::model, &ModelSection::tied_head>(),
             {.path = "model.tied_head",
              .type = Type::kBoolean,
              .nullable = true,
              .default_rule = "true; the model directory's where `initialize_from` is given",
              .documentation = "Whether the head's weight is the token embedding, as in "
                               "GPT-2, or a matrix of its own."}));
  keys.push_back(joined(
      bind<&RunConfig::model, &ModelSection::dropout>(),
      {.path = "model.dropout",
       .type = Type::kNumber,
       .range = {0, 1, false, true},
       .unit = "probability",
       .documentation =
           "Dropout of embeddings, attention weights and residual branches during training."}));
  keys.push_back(joined(
      bind<&RunConfig::initialize_from>(),
      {.path = "initialize_from",
       .type = Type::kPath,
       .nullable = true,
       .documentation = "A model directory whose weights the run starts from (fine-tuning): a "
                        "checkpoint of Ovid or a Hugging Face GPT-2."}));
}

void add_data(std::vector<Key>& keys) {
  keys.push_back(
      joined(bind<&RunConfig::data, &DataSection::train>(),
             {.path = "data.train",
              .type = Type::kPathList,
              .required = true,
              .documentation =
                  "The token shards to train on. Patterns with `*` take files in sorted order; a "
                  "value that begins with `*` needs quotes."}));
  keys.push_back(
      joined(bind<&RunConfig::data, &DataSection::validation>(),
             {.path = "data.validation",
              .type = Type::kPathList,
              .documentation = "The token shards of the validation loss. Empty: no validation."}));
  keys.push_back(joined(bind<&RunConfig::data, &DataSection::order>(),
                        {.path = "data.order",
                         .type = Type::kChoice,
                         .choices = names_of<DataOrder>(),
                         .documentation = "`shuffled` draws a new order in each epoch; "
                                          "`sequential` reads the shards from end to end."}));
  keys.push_back(joined(
      bind<&RunConfig::data, &DataSection::tokenizer>(),
      {.path = "data.tokenizer",
       .type = Type::kPath,
       .nullable = true,
       .default_rule = "the one that `dataset.json` beside the shards names",
       .documentation = "The tokenizer of the shards: a folder, a `.tiktoken` file, or `bytes`."}));
}

void add_batch(std::vector<Key>& keys) {
  keys.push_back(joined(
      bind<&RunConfig::batch, &BatchSection::sequences>(),
      {.path = "batch.sequences",
       .type = Type::kInteger,
       .range = {1, kMostSequences},
       .documentation = "Sequences of one optimizer step, over all ranks and forward passes."}));
  keys.push_back(joined(
      bind<&RunConfig::batch, &BatchSection::micro_sequences>(),
      {.path = "batch.micro_sequences",
       .type = Type::kInteger,
       .range = {1, kMostSequences},
       .default_rule = "the largest number up to 16 that divides `batch.sequences`",
       .documentation =
           "Sequences of one forward pass; must divide `sequences`. Less takes less memory."}));
  keys.push_back(
      joined(bind<&RunConfig::batch, &BatchSection::length, true>(),
             {.path = "batch.length",
              .type = Type::kInteger,
              .range = {1, kLongestContext},
              .nullable = true,
              .unit = "tokens",
              .default_rule = "the model's context length",
              .documentation = "Tokens of a sequence; at most the model's context length."}));
}

void add_optimizer(std::vector<Key>& keys) {
  keys.push_back(joined(bind<&RunConfig::optimizer, &OptimizerSection::learning_rate>(),
                        {.path = "optimizer.learning_rate",
                         .type = Type::kNumber,
                         .range = {0, 1e3},
                         .documentation = "The highest learning rate, where the warm-up ends."}));
  keys.push_back(joined(bind<&RunConfig::optimizer, &OptimizerSection::beta1>(),
                        {.path = "optimizer.beta1",
                         .type = Type::kNumber,
                         .range = {0, 1, false, true},
                         .documentation = "Decay of the running mean of the gradients."}));
  keys.push_back(joined(bind<&RunConfig::optimizer, &OptimizerSection::beta2>(),
                        {.path = "optimizer.beta2",
                         .type = Type::kNumber,
                         .range = {0, 1, false, true},
                         .documentation = "Decay of the running mean of their squares."}));
  keys.push_back(joined(bind<&RunConfig::optimizer, &OptimizerSection::epsilon>(),
                        {.path = "optimizer.epsilon",
                         .type = Type::kNumber,
                         .range = {0, 1, true, false},
                         .documentation = "Added to the root in AdamW's denominator."}));
  keys.push_back(
      joined(bind<&RunConfig::optimizer, &OptimizerSection::weight_decay>(),
             {.path = "optimizer.weight_decay",
              .type = Type::kNumber,
              .range = {0, 1e3},
              .documentation =
                  "Decoupled decay of the matrices; a step takes this share times the learning "
                  "rate from each weight."}));
  keys.push_back(
      joined(bind<&RunConfig::optimizer, &OptimizerSection::gradient_clip>(),
             {.path = "optimizer.gradient_clip",
              .type = Type::kNumber,
              .range = {},
              .documentation =
                  "The longest norm of all gradients together; longer ones are scaled down to "
                  "it. 0: never."}));
}

void add_schedule(std::vector<Key>& keys) {
  keys.push_back(joined(
      bind<&RunConfig::schedule, &ScheduleSection::kind>(),
      {.path = "schedule.kind",
       .type = Type::kChoice,
       .choices = names_of<ScheduleKind>(),
       .documentation = "The curve after the warm-up: half a cosine or a line down to "
                        "`final_fraction`, no change, or no change until a last linear fall."}));
  keys.push_back(
      joined(bind<&RunConfig::schedule, &ScheduleSection::warmup_steps>(),
             {.path = "schedule.warmup_steps",
              .type = Type::kInteger,
              .range = {0, kMostSteps},
              .unit = "steps",
              .default_rule = "700, or a tenth of `training.steps` where that is less",
              .documentation =
                  "Steps of the linear rise to the learning rate; at most `training.steps`."}));
  keys.push_back(
      joined(bind<&RunConfig::schedule, &ScheduleSection::final_fraction>(),
             {.path = "schedule.final_fraction",
              .type = Type::kNumber,
              .range = {0, 1},
              .documentation =
                  "The last learning rate, as a share of the highest. `constant` ignores it."}));
  keys.push_back(joined(
      bind<&RunConfig::schedule, &ScheduleSection::decay_fraction>(),
      {.path = "schedule.decay_fraction",
       .type = Type::kNumber,
       .range = {0, 1},
       .documentation = "The share of all steps that the last fall of `warmup_stable_decay` takes. "
                        "Other kinds ignore it."}));
  keys.push_back(joined(
      bind<&RunConfig::training, &TrainingSection::steps>(),
      {.path = "training.steps",
       .type = Type::kInteger,
       .range = {1, kMostSteps},
       .unit = "steps",
       .documentation = "Optimizer steps of the whole run, those before a resume included."}));
}

void add_watching(std::vector<Key>& keys) {
  keys.push_back(joined(bind<&RunConfig::validation, &ValidationSection::every_steps>(),
                        {.path = "validation.every_steps",
                         .type = Type::kInteger,
                         .range = {0, kMostSteps},
                         .unit = "steps",
                         .default_rule = "250; 0 without `data.validation`",
                         .documentation = "Steps between two validations. 0: never."}));
  keys.push_back(
      joined(bind<&RunConfig::validation, &ValidationSection::sequences>(),
             {.path = "validation.sequences",
              .type = Type::kInteger,
              .range = {1, kMostSequences},
              .documentation = "Sequences of one validation, always the same ones; fewer where the "
                               "validation data holds fewer."}));
  keys.push_back(joined(
      bind<&RunConfig::checkpoint, &CheckpointSection::every_steps>(),
      {.path = "checkpoint.every_steps",
       .type = Type::kInteger,
       .range = {0, kMostSteps},
       .unit = "steps",
       .documentation = "Steps between two checkpoints. 0: only at the end of the run, and when a "
                        "signal stops it."}));
  keys.push_back(joined(
      bind<&RunConfig::checkpoint, &CheckpointSection::keep_last>(),
      {.path = "checkpoint.keep_last",
       .type = Type::kInteger,
       .range = {1, 1e6},
       .documentation = "How many of the newest checkpoints stay. That of step 0 and the best one "
                        "always do."}));
  keys.push_back(
      joined(bind<&RunConfig::checkpoint, &CheckpointSection::initial>(),
             {.path = "checkpoint.initial",
              .type = Type::kBoolean,
              .documentation =
                  "Whether the weights before the first step are saved, so that another program "
                  "can start from the same ones."}));
  keys.push_back(joined(bind<&RunConfig::samples, &SamplesSection::every_steps>(),
                        {.path = "samples.every_steps",
                         .type = Type::kInteger,
                         .range = {0, kMostSteps},
                         .unit = "steps",
                         .documentation = "Steps between two samples. 0: never."}));
  keys.push_back(joined(
      bind<&RunConfig::samples, &SamplesSection::prompt>(),
      {.path = "samples.prompt",
       .type = Type::kText,
       .documentation = "The text that a sample continues. Empty: the sample begins a document."}));
  keys.push_back(joined(bind<&RunConfig::samples, &SamplesSection::tokens>(),
                        {.path = "samples.tokens",
                         .type = Type::kInteger,
                         .range = {1, kLongestContext},
                         .unit = "tokens",
                         .documentation = "The length of a sample."}));
}

void add_distribution(std::vector<Key>& keys) {
  keys.push_back(
      joined(bind<&RunConfig::recompute>(),
             {.path = "recompute",
              .type = Type::kChoice,
              .choices = names_of<Recompute>(),
              .documentation =
                  "What the backward pass computes again instead of keeping it: nothing, what "
                  "is cheap, or whole blocks. More takes less memory and more time."}));
  keys.push_back(joined(
      bind<&RunConfig::distributed, &DistributedSection::zero_stage>(),
      {.path = "distributed.zero_stage",
       .type = Type::kInteger,
       .range = {0, 3},
       .documentation = "What is split over the ranks: 0 nothing, 1 optimizer state, 2 gradients "
                        "too, 3 parameters too (Rajbhandari et al. 2020)."}));
  keys.push_back(joined(
      bind<&RunConfig::distributed, &DistributedSection::reduction>(),
      {.path = "distributed.reduction",
       .type = Type::kChoice,
       .choices = names_of<ReductionOrder>(),
       .documentation =
           "`canonical` sums gradients over the sequences in one fixed tree, so that the number of "
           "ranks "
           "and the micro-batch do not change a bit; `fast` sums in the order of the machine."}));
}

}  // namespace

std::vector<Key> make_schema_table() {
  std::vector<Key> keys;
  add_run(keys);
  add_device(keys);
  add_model(keys);
  add_data(keys);
  add_batch(keys);
  add_optimizer(keys);
  add_schedule(keys);
  add_watching(keys);
  add_distribution(keys);
  return keys;
}

}  // namespace ovid::config
