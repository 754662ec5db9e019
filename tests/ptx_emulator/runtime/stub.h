#pragma once
// Functions of the real library that this one does not have.

#include <atomic>

namespace ptx_emulator {

// Prints the name at the first call and remembers the error, which it returns (801, not supported).
int unsupported(const char* function, std::atomic<bool>& told);

}  // namespace ptx_emulator
