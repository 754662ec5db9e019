#include "src/config/schema_rows.h"

namespace ovid::config {
namespace {

void add_batch(std::vector<Key>& keys) {
  keys.push_back(joined(
      bind<&RunConfig::batch, &BatchSection::sequences>(),
      {.path = "batch.sequences",
       .type = Type::kInteger,
       .range = {1, kMostSequences},
       .documentation = "Sequences of one optimizer step, over all ranks and forward passes."}));
  keys.push_back(joined(
      bind<&RunConfig::batch, &BatchSection::micro_sequences, Zero::kAuto>(),
      {.path = "batch.micro_sequences",
       .type = Type::kInteger,
       .range = {1, kMostSequences},
       .choices = {kAutoWord},
       .default_rule = "the largest number up to 16 that divides `batch.sequences` (and "
                       "`batch.ramp_from`)",
       .documentation =
           "Sequences of one forward pass; must divide `sequences`. Less takes less memory. `auto` "
           "takes the largest that fits in memory."}));
  keys.push_back(
      joined(bind<&RunConfig::batch, &BatchSection::ramp_from>(),
             {.path = "batch.ramp_from",
              .type = Type::kInteger,
              .range = {0, kMostSequences},
              .documentation = "Sequences of the first step, where the batch grows: a multiple of "
                               "`micro_sequences`, at most `sequences`. 0: no ramp."}));
  keys.push_back(
      joined(bind<&RunConfig::batch, &BatchSection::ramp_steps>(),
             {.path = "batch.ramp_steps",
              .type = Type::kInteger,
              .range = {0, kMostSteps},
              .unit = "steps",
              .documentation =
                  "Steps in which the batch grows from `ramp_from` to `sequences`. 0: no ramp."}));
  keys.push_back(
      joined(bind<&RunConfig::batch, &BatchSection::length, Zero::kNull>(),
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
  keys.push_back(joined(
      bind<&RunConfig::optimizer, &OptimizerSection::state>(),
      {.path = "optimizer.state",
       .type = Type::kChoice,
       .choices = names_of<OptimizerState>(),
       .documentation =
           "Number type of AdamW's two moments, in memory and in checkpoints: float32, or "
           "bfloat16, rounded up or down at random, which halves them (4 bytes of a parameter). A "
           "resume may change it."}));
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
  keys.push_back(joined(
      bind<&RunConfig::training, &TrainingSection::freeze>(),
      {.path = "training.freeze",
       .type = Type::kNameList,
       .documentation =
           "What of the model stays as it is: it has no gradients and no moments, and below the "
           "lowest tensor that is trained there is no backward pass. `embeddings`, "
           "`token_embedding`, `position_embedding`, `blocks`, `blocks.3`, `blocks.0-5`, `norms`, "
           "`biases`, `head` (where it is not tied), or names of tensors with `*` and `?`: "
           "`h.*.mlp.*`. Empty: all is trained."}));
}

void add_lora(std::vector<Key>& keys) {
  keys.push_back(joined(
      bind<&RunConfig::lora, &LoraSection::rank>(),
      {.path = "lora.rank",
       .type = Type::kInteger,
       .range = {0, 65'536},
       .documentation = "Rank r of the adapters: y = x (W + alpha / r A B) + b, of which A (in, r) "
                        "and B (r, out) are trained. 0: no adapters, the model itself is trained. "
                        "Needs `initialize_from`."}));
  keys.push_back(
      joined(bind<&RunConfig::lora, &LoraSection::alpha>(),
             {.path = "lora.alpha",
              .type = Type::kNumber,
              .range = {0, 1e6, true, false},
              .documentation =
                  "What the adapters count for: their product is multiplied by alpha / rank."}));
  keys.push_back(joined(
      bind<&RunConfig::lora, &LoraSection::targets>(),
      {.path = "lora.targets",
       .type = Type::kNameList,
       .documentation = "The linears of each block that have an adapter: any of `attn.c_attn`, "
                        "`attn.c_proj`, `mlp.c_fc` and `mlp.c_proj`, or `all`."}));
}

void add_stopping(std::vector<Key>& keys) {
  keys.push_back(
      joined(bind<&RunConfig::early_stopping, &EarlyStoppingSection::patience>(),
             {.path = "early_stopping.patience",
              .type = Type::kInteger,
              .range = {0, kMostSteps},
              .unit = "validations",
              .documentation = "The run ends after this many validations in a row without a better "
                               "loss. 0: it never ends early. Needs `data.validation`."}));
  keys.push_back(
      joined(bind<&RunConfig::early_stopping, &EarlyStoppingSection::minimum_improvement>(),
             {.path = "early_stopping.minimum_improvement",
              .type = Type::kNumber,
              .range = {0, 1e3},
              .unit = "nats",
              .documentation = "A validation loss counts as better where it is lower than the best "
                               "by more than this."}));
  keys.push_back(joined(
      bind<&RunConfig::weight_average, &WeightAverageSection::decay>(),
      {.path = "weight_average.decay",
       .type = Type::kNumber,
       .range = {0, 1, false, true},
       .documentation =
           "Decay of an exponential moving average of the weights, kept beside them and saved with "
           "each checkpoint; 0.999 averages over some 1000 steps. 0: none is kept."}));
  keys.push_back(
      joined(bind<&RunConfig::guard, &GuardSection::window>(),
             {.path = "guard.window",
              .type = Type::kInteger,
              .range = {2, 1e6},
              .unit = "steps",
              .documentation =
                  "How many of the last good steps say what loss and gradient norm are usual."}));
  keys.push_back(
      joined(bind<&RunConfig::guard, &GuardSection::outlier_z>(),
             {.path = "guard.outlier_z",
              .type = Type::kNumber,
              .range = {0, 1e6},
              .unit = "standard deviations",
              .documentation =
                  "An update is skipped where the loss or the gradient norm lies further than this "
                  "above the mean of the window. 0: only where one of them is not finite."}));
  keys.push_back(joined(bind<&RunConfig::guard, &GuardSection::most_skips>(),
                        {.path = "guard.most_skips",
                         .type = Type::kInteger,
                         .range = {0, 1e6},
                         .unit = "steps",
                         .documentation = "Updates that may be skipped in a row. One more ends the "
                                          "run as diverged, and names the last good checkpoint."}));
}

}  // namespace

void add_optimization_rows(std::vector<Key>& keys) {
  add_batch(keys);
  add_optimizer(keys);
  add_schedule(keys);
  add_lora(keys);
  add_stopping(keys);
}

}  // namespace ovid::config
