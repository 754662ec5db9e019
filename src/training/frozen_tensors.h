#pragma once

#include <string>
#include <vector>

#include "src/model/model_config.h"

namespace ovid::training {

// The names of the tensors that `patterns` (training.freeze) mean in a model of `config`, sorted,
// each once. A pattern is one of
//   embeddings, token_embedding, position_embedding, norms, biases, head (of an untied model)
//   blocks, blocks.3, blocks.0-5   the norms and linears of all blocks, of one, of a range
//   a tensor's name, "transformer." left out or not, with * for any letters and ? for any one
// Throws UsageError for one that means nothing, with what is near and what there is, and where
// nothing is left to train.
std::vector<std::string> frozen_tensors(const std::vector<std::string>& patterns,
                                        const model::ModelConfig& config);

}  // namespace ovid::training
