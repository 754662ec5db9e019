#pragma once

#include <cstdint>
#include <vector>

#include "src/distributed/communicator.h"
#include "src/memory/arena.h"
#include "src/model/parameters.h"
#include "src/model/shard_layout.h"
#include "src/training/canonical_tree.h"
#include "src/training/gradient_exchange.h"

namespace ovid::training {

// Sums the gradients of a step's sequences, each computed apart, by the tree of canonical_tree.h:
// the same bits for every number of ranks and every split into micro-batches. A rank adds up the
// nodes that its own sequences make whole; what remains goes, node after node, from who holds it to
// the owners of the parts, who add on by the same tree. In the host's memory, float32.
class CanonicalReduction {
 public:
  // `gradients`, a set of several shards, gets the result; more sets like it are taken as the tree
  // needs them, at most 1 + log2(sequences of this rank), at once for steps of `sequences`. All
  // referred to must outlive this. Throws ResourceError.
  CanonicalReduction(distributed::Communicator& communicator, const model::ModelConfig& config,
                     const model::ShardLayout& layout, model::ParameterSet& gradients,
                     GradientExchange::Result result, std::int64_t sequences);

  // A step over `sequences` of all ranks. Then, for each sequence of this rank's share in order:
  // next() is the set to overwrite with its gradient, add() takes it in.
  void begin(std::int64_t sequences);
  const model::ParameterSet& next(std::int64_t sequence);
  void add(int threads);
  // Adds up over the ranks. Waits.
  void finish(int threads);

 private:
  model::ParameterSet& buffer(int index);
  model::View shard_row(int index) const;
  void receive(const HeldNode& held, int into);
  void keep_result();

  distributed::Communicator& communicator_;
  const model::ModelConfig& config_;
  const model::ShardLayout& layout_;
  model::ParameterSet& gradients_;
  GradientExchange::Result result_;
  std::vector<model::ParameterSet> more_;  // buffers 1, 2, ...
  memory::Arena shards_;                   // buffers of the own part of all groups
  std::vector<model::View> shard_rows_;
  TreeStack stack_;
  TreeStack::Push pushed_;
  std::int64_t sequences_ = 0;
};

}  // namespace ovid::training
