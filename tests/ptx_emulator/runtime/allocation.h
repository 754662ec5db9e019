#pragma once
// Allocation of memory for the program, shared by the functions that do it.

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {

// Address of fresh memory, labelled with the function and a number. Throws ApiError (memory
// allocation).
std::uint64_t allocate(Device& device, DeviceMemory& memory, MemoryKind kind, std::size_t bytes,
                       const char* function);

}  // namespace ptx_emulator
