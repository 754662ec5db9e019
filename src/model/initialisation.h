#pragma once

#include <cstdint>
#include <span>

#include "src/model/model_config.h"
#include "src/model/parameters.h"

namespace ovid::model {

// Fills `values` with elements [begin, begin + values.size()) of a tensor, in C order, by GPT-2's
// initialisation: a pure function of (seed, tensor name, index), so that a part of a tensor has the
// bits that the whole one has there.
void initialise_range(const TensorDescription& tensor, const ModelConfig& config,
                      std::uint64_t seed, std::int64_t begin, std::span<float> values);

}  // namespace ovid::model
