#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "src/model/model_config.h"
#include "src/model/parameters.h"

namespace ovid::model {

// How a model's tensors lie in rows that ranks share, the same for weights, gradients and moments,
// in elements of whatever number type. Tensors are gathered and reduced by groups: the embeddings,
// each block, and what follows the last block. Those of a group lie one after another in one flat
// row, in the order of build_parameters, as they lie in a ParameterSet of float32 (reserved rows
// behind an embedding included). The row is padded at its end, and rank r of R owns its r-th part.
// Frozen tensors are listed with no elements and take no place: ranks share nothing of them.
// A pure function of (config, ranks).
struct ShardLayout {
  static constexpr std::int64_t kAlignment = 16;  // of a tensor in its row: 64 bytes of float32
  // Parts are whole granules, counted from the row's begin, so that sums over granules are the same
  // for every number of ranks.
  static constexpr std::int64_t kGranule = 256;

  struct Tensor {
    TensorDescription description;
    std::size_t group = 0;
    std::int64_t offset = 0;  // in the group's row
    std::int64_t elements = 0;
  };
  struct Group {
    std::string name;  // "embeddings", "block 3", "end"
    std::size_t first_tensor = 0;
    std::size_t tensors = 0;
    std::int64_t offset = 0;    // of the row in a ParameterSet's flat row (float32, unpadded)
    std::int64_t elements = 0;  // to the end of the last tensor, gaps included
    std::int64_t padded = 0;    // a multiple of ranks x kGranule
  };
  // What of a tensor lies in a rank's part of a group's row.
  struct Piece {
    std::size_t tensor = 0;
    std::int64_t begin = 0;  // elements [begin, end) of the tensor, in C order
    std::int64_t end = 0;
    std::int64_t offset = 0;  // of the first of them in the part
  };

  int ranks = 1;
  std::vector<Tensor> tensors;  // in the order of build_parameters
  std::vector<Group> groups;    // embeddings, blocks, end

  std::int64_t part_elements(std::size_t group) const { return groups[group].padded / ranks; }
  // Elements of all parts of one rank: what it keeps of a sharded set.
  std::int64_t shard_elements() const;
  // Of the largest row: what a buffer for any group holds.
  std::int64_t largest_row() const;
  // Of rank `rank` in `group`, by offset; empty where its part is padding alone.
  std::vector<Piece> pieces(std::size_t group, int rank) const;
};

// Throws UsageError for a number of ranks outside [1, 1,000,000].
ShardLayout lay_out_shards(const ModelConfig& config, int ranks);

}  // namespace ovid::model
