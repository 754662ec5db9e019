#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/distributed/communicator.h"
#include "src/memory/arena.h"
#include "src/model/parameters.h"
#include "src/model/shard_layout.h"

namespace ovid::training {

// What of one tensor lies in this rank's part of a group's row.
struct WeightPiece {
  model::TensorDescription description;
  std::int64_t begin = 0, end = 0;  // elements of the tensor, in C order
  model::View view;                 // float32, flat
};

// The weights of ZeRO stage 3 (Rajbhandari et al. 2020, section 5.3): a rank keeps its own part of
// each group's row, in float32 and, where products read 16 bits, in those too. Whole rows, in the
// number type that products read, are gathered when a pass comes to them, each one before it is
// needed where the pass's direction tells which that is. Rows of blocks take turns in three
// buffers. Embeddings and end have one each and keep it until the weights change: a tied head needs
// the embeddings while three blocks are there, so that no buffer could be shared.
//
// All ranks must tell of the same groups in the same order (model::tell_of_forward where one of
// them has nothing to compute).
class ShardedWeights {
 public:
  // `compute` is the number type of products. On `device`, null: the CPU. Zeros. Both references
  // must outlive this. Throws ResourceError.
  ShardedWeights(distributed::Communicator& communicator, const model::ModelConfig& config,
                 const model::ShardLayout& layout, model::DType compute,
                 kernels::cuda::Device* device);

  // For ModelPass::weights, with note_needed for on_weights_needed.
  const model::ModelParameters<model::View>& views() const { return views_; }
  // The row of `group` is there afterwards; that of the one before it in the model stays where it
  // was told of last. Collective.
  void note_needed(std::size_t group);
  // Waits for what is on its way; rows are gathered anew from now on. To be called before parts are
  // written.
  void forget();

  // By group, of this rank. Padding and reserved rows are zero and must stay so.
  std::span<const model::View> parts() const { return memory_.parts; }            // float32
  std::span<const model::View> rounded_parts() const { return memory_.rounded; }  // or none
  // The tensors in parts().
  std::vector<WeightPiece> pieces() const;

  // Gathers everything, group by group, into `into`, a set of one rank of the number type of
  // products on the same device; null: this rank only takes part. Enqueued. Collective.
  void collect(model::ParameterSet* into);

  // What the constructor takes: for parts, and for whole rows. Takes none.
  struct Bytes {
    std::size_t parts = 0;
    std::size_t rounded = 0;
    std::size_t rows = 0;
  };
  static Bytes bytes(const model::ShardLayout& layout, model::DType compute);

 private:
  struct Memory {
    std::vector<model::View> parts, rounded, rows;  // by group
  };
  static Memory lay_out(memory::Arena& arena, const model::ShardLayout& layout,
                        model::DType compute);
  bool is_block(std::size_t group) const { return group > 0 && group + 1 < held_.size(); }
  void begin(std::size_t group);  // unless it is there or on its way
  void begin_block(std::size_t group);
  void begin_next(std::size_t group);
  void wait(std::size_t group);

  distributed::Communicator& communicator_;
  const model::ShardLayout& layout_;
  memory::Arena arena_;
  Memory memory_;
  model::ModelParameters<model::View> views_;
  std::vector<bool> held_;                                   // by group: there, or on its way
  std::vector<std::optional<distributed::Ticket>> gathers_;  // by group: those on their way
  std::optional<std::size_t> previous_;                      // told of last
};

// "NAME@begin:end": the name of a piece for a checkpoint to write or read.
std::string stored_name(const WeightPiece& piece);

}  // namespace ovid::training
