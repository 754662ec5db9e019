#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/data/sequence_order.h"
#include "src/model/model_config.h"
#include "src/training/early_stopping.h"
#include "src/training/loss_scale.h"
#include "src/training/step_guard.h"

namespace ovid::training {

// All that a checkpoint keeps beside tensors (state.json). Random numbers need no state: every one
// is a pure function of the seed and of what it is for.
struct TrainingState {
  std::int64_t step = 0;                       // updates done
  std::int64_t sequences_consumed = 0;         // by all ranks: the data cursor
  std::int64_t tokens = 0;                     // trained on
  std::optional<double> best_validation_loss;  // of a checkpoint
  std::optional<std::int64_t> best_step;       // that checkpoint's step
  GuardState guard;
  ValidationProgress validations;
  // The step of the last update that was not skipped: what a 16-bit copy of the weights was rounded
  // by. 0: there was none.
  std::int64_t last_update = 0;
  std::optional<LossScale> loss_scale;  // of float16; nothing: another precision
  // What a resumed run must share with the one that wrote this, or the order of its data would
  // change.
  std::uint64_t seed = 0;
  std::string data_fingerprint;
  data::SequenceOrder order = data::SequenceOrder::kShuffled;
  std::int64_t length = 0;
  model::ModelConfig model;

  bool operator==(const TrainingState&) const = default;
};

std::string to_json(const TrainingState& state);

// Throws CheckpointError naming `source` where the text is no such state, or one of a newer Ovid.
TrainingState training_state_from_json(const std::string& text, const std::string& source);

// Throws UsageError with every difference between a run's state at its start and the checkpoint it
// would continue.
void check_continues(const TrainingState& checkpoint, const TrainingState& run,
                     const std::string& run_directory);

}  // namespace ovid::training
