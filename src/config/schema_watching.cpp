#include "src/config/schema_rows.h"

namespace ovid::config {
namespace {

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
       .documentation =
           "How many of the newest checkpoints stay. That of step 0 always does, and those that "
           "`keep_best` and `keep_every` name."}));
  keys.push_back(
      joined(bind<&RunConfig::checkpoint, &CheckpointSection::keep_every>(),
             {.path = "checkpoint.keep_every",
              .type = Type::kInteger,
              .range = {0, kMostSteps},
              .unit = "steps",
              .documentation =
                  "Checkpoints of steps that this number divides stay. 0: none for that reason."}));
  keys.push_back(
      joined(bind<&RunConfig::checkpoint, &CheckpointSection::keep_best>(),
             {.path = "checkpoint.keep_best",
              .type = Type::kBoolean,
              .documentation = "Whether the checkpoint with the lowest validation loss stays."}));
  keys.push_back(
      joined(bind<&RunConfig::checkpoint, &CheckpointSection::save_best>(),
             {.path = "checkpoint.save_best",
              .type = Type::kBoolean,
              .default_rule = "true where `early_stopping.patience` is above 0",
              .documentation = "Whether a checkpoint is also saved after each validation that is "
                               "the best so far. Needs `data.validation`."}));
  keys.push_back(
      joined(bind<&RunConfig::checkpoint, &CheckpointSection::initial>(),
             {.path = "checkpoint.initial",
              .type = Type::kBoolean,
              .documentation =
                  "Whether the weights before the first step are saved, so that another program "
                  "can start from the same ones."}));
  keys.push_back(joined(
      bind<&RunConfig::checkpoint, &CheckpointSection::asynchronous>(),
      {.path = "checkpoint.asynchronous",
       .type = Type::kBoolean,
       .documentation =
           "Whether training goes on while a checkpoint is written, from a copy of weights and "
           "optimizer state in memory. It is written in place where the copy does not fit."}));
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
  keys.push_back(joined(
      bind<&RunConfig::metrics, &MetricsSection::tensorboard>(),
      {.path = "metrics.tensorboard",
       .type = Type::kBoolean,
       .documentation = "Whether event files for TensorBoard are written to the run's folder."}));
  keys.push_back(joined(bind<&RunConfig::metrics, &MetricsSection::report>(),
                        {.path = "metrics.report",
                         .type = Type::kBoolean,
                         .documentation = "Whether `report.html` is written to the run's folder, "
                                          "at each validation and at the end."}));
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
  keys.push_back(joined(
      bind<&RunConfig::distributed, &DistributedSection::hash_every_steps>(),
      {.path = "distributed.hash_every_steps",
       .type = Type::kInteger,
       .range = {0, kMostSteps},
       .unit = "steps",
       .documentation =
           "Steps between two comparisons of the ranks' weights by hash; they are also compared "
           "before each checkpoint. A rank that differs ends the run. Not with ZeRO stage "
           "3, where each weight is on one rank alone. 0: never."}));
  keys.push_back(joined(
      bind<&RunConfig::distributed, &DistributedSection::straggler_limit>(),
      {.path = "distributed.straggler_limit",
       .type = Type::kNumber,
       .range = {0, 1, false, true},
       .documentation =
           "A rank is told as slow where its score (the fastest rank's time, or its own best, over "
           "its time, averaged over 16 steps) is below this. 0: never."}));
}

void add_watchdog(std::vector<Key>& keys) {
  keys.push_back(joined(
      bind<&RunConfig::watchdog, &WatchdogSection::enabled>(),
      {.path = "watchdog.enabled",
       .type = Type::kBoolean,
       .documentation =
           "Whether a rank that hangs is named and ends the run, with exit code 6 and a dump of "
           "each rank's last collectives in the run's folder. Runs of one rank have none."}));
  keys.push_back(
      joined(bind<&RunConfig::watchdog, &WatchdogSection::initial_seconds>(),
             {.path = "watchdog.initial_seconds",
              .type = Type::kNumber,
              .range = {0, 1e6, true, false},
              .unit = "seconds",
              .documentation = "How long the start may take, and the first step, validation, "
                               "checkpoint and sample each."}));
  keys.push_back(
      joined(bind<&RunConfig::watchdog, &WatchdogSection::safety_factor>(),
             {.path = "watchdog.safety_factor",
              .type = Type::kNumber,
              .range = {1, 1e6},
              .documentation = "Later ones may take this many times the longest of the last 32 of "
                               "their kind, and at least `watchdog.least_seconds`."}));
  keys.push_back(joined(bind<&RunConfig::watchdog, &WatchdogSection::least_seconds>(),
                        {.path = "watchdog.least_seconds",
                         .type = Type::kNumber,
                         .range = {0, 1e6, true, false},
                         .unit = "seconds",
                         .documentation = "Nothing that takes less counts as a hang."}));
  keys.push_back(joined(
      bind<&RunConfig::watchdog, &WatchdogSection::starts_without_progress>(),
      {.path = "watchdog.starts_without_progress",
       .type = Type::kInteger,
       .range = {0, 1e6},
       .unit = "starts",
       .documentation =
           "After this many starts in a row that died before they took a step beyond the best "
           "one known, the run is not started again: exit code 93. 0: always."}));
}

}  // namespace

void add_watching_rows(std::vector<Key>& keys) {
  add_watching(keys);
  add_distribution(keys);
  add_watchdog(keys);
}

}  // namespace ovid::config
