#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/common/view.h"
#include "src/checkpoint/optimizer_parts.h"
#include "src/checkpoint/safetensors.h"

namespace ovid::checkpoint {

// Copies what a stored tensor, the elements `stored_range` of some whole one, has of the elements
// `wanted` of that whole, which `destination` holds: float32 in host memory, rows may be padded.
// Nothing where they have none in common. Throws CheckpointError as read_as_float32.
void read_common_range(const StoredTensor& stored, PartName::Range stored_range,
                       PartName::Range wanted, const kernels::View& destination,
                       std::string_view label);

}  // namespace ovid::checkpoint
