#pragma once

#include <cstdint>

namespace ovid::kernels::cuda {

// The byte offset in the block's shared memory, which the instructions of inline PTX take.
__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

}  // namespace ovid::kernels::cuda
