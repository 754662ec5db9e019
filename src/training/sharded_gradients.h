#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/common/execution_context.h"
#include "src/distributed/communicator.h"
#include "src/memory/arena.h"
#include "src/model/model.h"
#include "src/model/parameters.h"
#include "src/model/shard_layout.h"

namespace ovid::training {

// The gradients of ZeRO stage 2 (Rajbhandari et al. 2020, section 5.2): a rank keeps its own part
// of each group's row. The whole row of a group exists while a backward pass writes it and until it
// is reduced: those of the blocks take turns in three buffers, since a block writes the first norm
// of the one behind it too and a third is being reduced; embeddings and end have one each.
//
// Every pass (micro-batch) is reduced, into the own parts. What the passes before left there is put
// into the row before a group is written, so that a sum over passes costs no operation of its own.
class ShardedGradients {
 public:
  // `storage`: number type and device; all else of it is ignored. Both referred to must outlive
  // this. Throws ResourceError.
  ShardedGradients(distributed::Communicator& communicator, const model::ModelConfig& config,
                   const model::ShardLayout& layout, const model::ParameterStorage& storage);

  // Where a backward pass writes; the addresses of a group are its own between note_needed and
  // note_ready.
  const model::ModelParameters<model::View>& views() const { return views_; }
  // After finish(): of each group the part that this rank owns, summed over passes and ranks.
  std::span<const model::View> parts() const { return rows_.parts; }

  // Of a step: finish() at its end waits until the parts may be read.
  void begin_step() { passes_ = 0; }
  void finish();

  // Of a pass; it overwrites the gradients where it is the first of the step, and adds else.
  kernels::GradientMode begin_pass();
  void note_needed(kernels::ExecutionContext& ctx, std::size_t group);  // model::GradientNeeded
  void note_ready(std::int64_t block);                                  // model::GradientReady
  // In place of these, for a rank that has no sequence in a pass of the others; weights that ranks
  // gather are told of meanwhile, as a pass would (null: they are not gathered).
  void pass_without_sequences(kernels::ExecutionContext& ctx, const model::ModelConfig& config,
                              const model::WeightsNeeded& on_weights_needed = nullptr);

  // What the constructor takes. Takes none.
  static std::size_t bytes(const model::ShardLayout& layout, model::DType dtype);

 private:
  // The groups' rows, those of the blocks in turns, and the parts.
  struct Rows {
    std::vector<model::View> whole;  // by group
    std::vector<model::View> parts;  // by group
  };
  static Rows lay_out(memory::Arena& arena, const model::ShardLayout& layout, model::DType dtype);
  void reduce(std::size_t group);
  void wait(std::size_t group);

  distributed::Communicator& communicator_;
  const model::ShardLayout& layout_;
  memory::Arena arena_;
  Rows rows_;
  model::ModelParameters<model::View> views_;
  std::vector<std::optional<distributed::Ticket>> reductions_;  // by group: those not waited for
  std::int64_t passes_ = 0;                                     // begun in this step
};

}  // namespace ovid::training
