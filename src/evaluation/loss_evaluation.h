#pragma once

#include <cstdint>
#include <functional>

#include "kernels/common/execution_context.h"
#include "src/data/dataset.h"
#include "src/distributed/communicator.h"
#include "src/model/activations.h"
#include "src/model/model.h"
#include "src/model/parameters.h"

namespace ovid::evaluation {

struct LossSum {
  double sum = 0;            // nats
  std::int64_t targets = 0;  // that count
  bool complete = true;      // false where on_progress ended it
  double mean() const { return targets > 0 ? sum / static_cast<double>(targets) : 0.0; }
};

struct LossEvaluation {
  const model::ModelConfig& config;
  const model::ModelParameters<model::View>& weights;  // on the device of ctx
  const model::Activations& activations;  // laid out for `batch`, Keep::kNothing is enough
  model::BatchShape batch;                // of one forward pass
  const data::TokenDataset& dataset;
  std::int64_t windows = 0;  // how many; 0: all that the data set holds
  // Ranks that share the windows (data/batch_share.h) and all get the loss of all of them; null:
  // this rank alone has them.
  distributed::Communicator* communicator = nullptr;
  // Told after each pass how many windows are done, of how many of this rank; false ends the
  // evaluation of all ranks early.
  std::function<bool(std::int64_t done, std::int64_t all)> on_progress = nullptr;
  model::WeightsNeeded on_weights_needed = nullptr;  // ModelPass's
  // Whether on_weights_needed and on_progress are collective: each rank then makes as many passes
  // as the one with the most windows, the last ones of some of them with nothing computed.
  // on_progress must say the same on all.
  bool joins_passes = false;
};

// Next-token loss over consecutive windows of batch.length tokens from the start of the data set:
// window i reads tokens [i T, (i + 1) T], the last one only as a target. What does not fill a
// window at the end is left out. Each window's losses are summed in double, and windows in the
// order of the data, so the result depends neither on threads nor on ranks (where `batch` is the
// same). Collective where there is a communicator. Throws DataError where not even one window fits.
LossSum evaluate_loss(kernels::ExecutionContext& ctx, const LossEvaluation& evaluation);

}  // namespace ovid::evaluation
