#pragma once

#include <cstdint>

#include "kernels/common/execution_context.h"
#include "src/memory/arena.h"
#include "src/memory/compute_target.h"
#include "src/model/parameters.h"

namespace ovid::optimizer {

struct AdamWSettings {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;   // on matrices only
  double gradient_clip = 1.0;  // the largest global norm; 0: no clipping
};

// What one update works on; all sets on the optimizer's device.
struct AdamWUpdate {
  model::ParameterSet& weights;            // float32
  model::ParameterSet* rounded = nullptr;  // the 16-bit copy that products read; null: none
  const model::ParameterSet& gradients;    // those of the last measure_gradients()
  double learning_rate = 0;
  std::int64_t step = 1;   // counted from 1
  std::uint64_t seed = 0;  // of rounding
};

// AdamW over all parameters of a model, with its two moments. Weights and gradients belong to the
// caller. A bfloat16 copy of the weights is rounded up or down at random, by numbers that are a
// pure function of (seed, step, place of the element in the model), so that updates too small for
// the type still count on average; a float16 copy, which has eight times finer steps, to nearest.
class AdamWOptimizer {
 public:
  // On `device`; null: the CPU. Throws ResourceError.
  AdamWOptimizer(const model::ModelConfig& config, AdamWSettings settings,
                 kernels::cuda::Device* device = nullptr);

  // Works out the global norm of `gradients`, and the factor that update() multiplies them by;
  // `unscale` is 1 / the loss scale. Enqueued.
  void measure_gradients(kernels::ExecutionContext& ctx, const model::ParameterSet& gradients,
                         float unscale = 1.0f);
  // The norm of the last measure_gradients() before clipping; after the device was waited for.
  double gradient_norm() const;

  // One update. Does nothing where the norm is not finite. Enqueued.
  void update(kernels::ExecutionContext& ctx, const AdamWUpdate& op);

  // Writes op.rounded as update() wrote it at the end of step op.step, from the weights that it
  // left (0: none was done). Before the moments are filled: it needs them zero. Overwrites
  // op.gradients. Enqueued.
  void round_weights(kernels::ExecutionContext& ctx, const AdamWUpdate& op);

  // The scratch that these need at once. Takes none.
  static std::size_t measure_scratch(const model::ModelConfig& config,
                                     const memory::ComputeTarget& target,
                                     model::ParameterStorage gradients);

  model::ParameterSet& first_moment() { return first_moment_; }
  model::ParameterSet& second_moment() { return second_moment_; }

 private:
  struct Results {
    model::View sum_of_squares;  // () float64
    model::View clip_scale;      // () float32
  };
  static Results lay_out(memory::Arena& arena);
  static void enqueue_norm(kernels::ExecutionContext& ctx, const model::ParameterSet& gradients,
                           const Results& results, double clip, float unscale);

  AdamWSettings settings_;
  model::ParameterSet first_moment_;
  model::ParameterSet second_moment_;
  memory::Arena arena_;
  Results results_;
  memory::TransferBuffer host_sum_;  // of squares
  double unscale_ = 1.0;
};

}  // namespace ovid::optimizer
