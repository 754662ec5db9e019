#pragma once

#include <cstdint>

#include "src/model/model_config.h"

namespace ovid::model {

// How far down a backward pass must go: what lies below the lowest tensor that is trained needs no
// gradient at all.
struct BackwardExtent {
  // The lowest block whose backward pass runs; layers: none, -1: all, and what is below them.
  std::int64_t block = -1;
  // Its lowest equation (block.cpp), whose inputs then need no gradient; of block -1: 0 the
  // embeddings, 7 only the norm that block 0 reads.
  int equation = 0;

  // The lowest equation of block i, 0 for all of them and the gradient of its input.
  int lowest_of(std::int64_t i) const { return i == block ? equation : 0; }
  bool operator==(const BackwardExtent&) const = default;
};

// Of the tensors that `config` trains. The norm before block i belongs to the pass of block i - 1,
// as in block.h.
BackwardExtent backward_extent(const ModelConfig& config);

}  // namespace ovid::model
