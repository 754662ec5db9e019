#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/common/execution_context.h"
#include "src/memory/arena.h"
#include "src/model/parameters.h"

namespace ovid::model {

using kernels::ExecutionContext;

// The weights of a model with low-rank adapters, as a pass reads them: those of the linears that
// have one are merged (low_rank.h) when the pass comes to their block, into two buffers in which
// blocks take turns. All else is where it was.
class MergedWeights {
 public:
  // `exact`: float32, with the adapters; `compute`: what the model is computed from, `exact` itself
  // or its 16-bit copy. Both must outlive this; config.low_rank.rank > 0. Throws ResourceError.
  MergedWeights(const ModelConfig& config, const ParameterSet& exact, const ParameterSet& compute);

  // For ModelPass::weights, with note_needed for on_weights_needed. Adapters are float32.
  const ModelParameters<View>& views() const { return views_; }
  // Merges block group - 1 unless its buffer holds it. Enqueued on ctx.
  void note_needed(ExecutionContext& ctx, std::size_t group);
  // To be called where weights have changed.
  void forget() { held_.fill(-1); }

  // What the constructor takes, and the scratch of a merge by a dry run of it.
  static std::size_t bytes(const ModelConfig& config, DType compute);
  static void measure_scratch(ExecutionContext& ctx, const ModelConfig& config);

 private:
  static constexpr std::size_t kBuffers = 2;
  struct Buffers {
    std::array<std::vector<View>, kBuffers> weights;  // by adapted linear of a block
    std::vector<View> sums;  // float32, by adapted linear: of 16-bit weights, else empty
  };
  static Buffers lay_out(memory::Arena& arena, const ModelConfig& config, DType compute);

  double scale_;
  const ParameterSet& exact_;
  memory::Arena arena_;
  Buffers buffers_;
  ModelParameters<View> views_;
  std::array<std::int64_t, kBuffers> held_{};  // block in each buffer; -1: none
};

// Fills `into`, of the same model without adapters on the same device, of any number type, with the
// merged weights of `exact` (float32, with adapters). Takes memory for one weight where it rounds,
// and waits for the device. Throws ResourceError.
void merge_all(ExecutionContext& ctx, const ModelConfig& config, const ParameterSet& exact,
               ParameterSet& into);

}  // namespace ovid::model
