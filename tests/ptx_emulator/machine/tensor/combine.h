#pragma once
// Reductions of bulk copies (cp.reduce.async.bulk), atomic element by element.

#include <string_view>

#include "tests/ptx_emulator/machine/async.h"
#include "tests/ptx_emulator/machine/tensor/tensor_map.h"

namespace ptx_emulator::tensor {

// For an operation ("add", "min", "max", "inc", "dec", "and", "or", "xor") and a type ("f32",
// "bf16", "u64", "b32", ...); nullptr where the ISA has no such reduction. f32 flushes nothing; f16
// and bf16 round each sum once.
BulkCombine combine_for(std::string_view operation, std::string_view type);
// The type word of a tensor map's elements.
std::string_view type_word(TensorDataType type, std::string_view operation);

}  // namespace ptx_emulator::tensor
