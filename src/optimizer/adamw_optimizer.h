#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/adamw/adamw.h"
#include "kernels/common/execution_context.h"
#include "src/memory/arena.h"
#include "src/memory/compute_target.h"
#include "src/model/parameters.h"
#include "src/model/shard_layout.h"

namespace ovid::optimizer {

struct AdamWSettings {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;   // on matrices only
  double gradient_clip = 1.0;  // the largest global norm; 0: no clipping
  // What both moments are kept in: float32, or bfloat16, half as large
  model::DType moments = model::DType::kFloat32;
};

// What one update works on; all sets on the optimizer's device.
struct AdamWUpdate {
  model::ParameterSet* weights = nullptr;  // float32; null: `weight_parts` has them
  model::ParameterSet* rounded = nullptr;  // the 16-bit copy that products read; null: none
  // Those of the last measure_gradients(); null: `gradient_parts` has them.
  const model::ParameterSet* gradients = nullptr;
  // Of each group of the layout, the part of its row that this rank owns, where moments are shared
  // among the ranks.
  std::span<const model::View> gradient_parts = {};
  // Likewise of the weights in float32, and of their 16-bit copy: where they are given, in place of
  // `weights` and `rounded`.
  std::span<const model::View> weight_parts = {};
  std::span<const model::View> rounded_parts = {};
  double learning_rate = 0;
  std::int64_t step = 1;   // counted from 1
  std::uint64_t seed = 0;  // of rounding
};

// The elements of a tensor that one rank keeps the moments of.
struct MomentPiece {
  std::size_t tensor = 0;  // in the order of ParameterSet::tensors()
  std::string name;
  model::Shape shape;               // of the whole tensor
  std::int64_t begin = 0, end = 0;  // in C order
  bool whole = false;               // all of it: the views have its shape; else they are flat rows
  std::size_t group = 0;            // of the layout
  std::int64_t offset = 0;          // of `begin` in the rank's part of the group's row
  // Of the settings' number type.
  model::View first, second;
};

// Which part of the moments, and so of the update, is whose: everything everywhere, or (ZeRO stage
// 1 and above) the part of one rank, by lay_out_shards(config, ranks).
struct MomentSharding {
  int ranks = 1;
  int rank = 0;
  bool shards_moments = false;
};

// AdamW over all trained parameters of a model, with its two moments. Weights and gradients belong
// to the caller. A bfloat16 copy of the weights is rounded up or down at random, by numbers that
// are a pure function of (seed, step, place of the element in the model), so that updates too small
// for the type still count on average; a float16 copy, which has eight times finer steps, to
// nearest. Moments in bfloat16 are rounded likewise, by numbers of their own.
class AdamWOptimizer {
 public:
  // On `device`; null: the CPU. Throws ResourceError.
  AdamWOptimizer(const model::ModelConfig& config, AdamWSettings settings,
                 kernels::cuda::Device* device = nullptr, const MomentSharding& sharding = {});

  // Works out the global norm of `gradients`, and the factor that update() multiplies them by;
  // `unscale` is 1 / the loss scale. Enqueued.
  void measure_gradients(kernels::ExecutionContext& ctx, const model::ParameterSet& gradients,
                         float unscale = 1.0f);
  // The same where the sum of squares is known to the host, as after a sum over ranks.
  void adopt_sum_of_squares(kernels::ExecutionContext& ctx, double sum, float unscale = 1.0f);
  // The norm of the last measure_gradients() before clipping; after the device was waited for.
  double gradient_norm() const;
  // Where the last measure_gradients() leaves them, for ops that run before update().
  const model::View& sum_of_squares() const { return results_.sum_of_squares; }  // () float64
  const model::View& clip_scale() const { return results_.clip_scale; }  // () float32; NaN: none

  // One update. Does nothing where the norm is not finite. Enqueued.
  void update(kernels::ExecutionContext& ctx, const AdamWUpdate& op);

  // Writes op.rounded as update() wrote it at the end of step op.step, from the weights that it
  // left (0: none was done). Before the moments are filled: it needs them zero. Overwrites
  // op.gradients. Enqueued.
  void round_weights(kernels::ExecutionContext& ctx, const AdamWUpdate& op);

  // The bytes of both moments that a rank keeps. Takes none.
  static std::size_t measure_moments(const model::ModelConfig& config, model::DType moments,
                                     const MomentSharding& sharding = {});

  // The scratch that these need at once. Takes none.
  static std::size_t measure_scratch(const model::ModelConfig& config,
                                     const memory::ComputeTarget& target,
                                     model::ParameterStorage gradients);

  // What this rank writes into a checkpoint: with several ranks its own part alone, whether it
  // keeps more or not. And what it must be given when the run goes on: all that it keeps.
  std::vector<MomentPiece> pieces_to_store() const;
  std::vector<MomentPiece> pieces_to_load() const;
  const model::ShardLayout& layout() const { return layout_; }

 private:
  struct Results {
    model::View sum_of_squares;  // () float64
    model::View clip_scale;      // () float32
  };
  static Results lay_out(memory::Arena& arena);
  static std::vector<MomentPiece> take_moments(memory::Arena& arena,
                                               const model::ShardLayout& layout, model::DType dtype,
                                               const MomentSharding& sharding);
  static void enqueue_norm(kernels::ExecutionContext& ctx, const model::ParameterSet& gradients,
                           const Results& results, double clip, float unscale);

  std::vector<kernels::AdamWTensor> tensors_of(const AdamWUpdate& op, double weight_decay) const;

  AdamWSettings settings_;
  MomentSharding sharding_;
  model::ShardLayout layout_;
  memory::Arena moments_;
  std::vector<MomentPiece> pieces_;  // all that this rank keeps
  memory::Arena arena_;
  Results results_;
  memory::TransferBuffer host_sum_;  // of squares
  double unscale_ = 1.0;
};

}  // namespace ovid::optimizer
