#pragma once
// Why a call of a library was refused: printed where CUBLASLT_LOG_LEVEL, CUBLAS_LOG or
// PTX_EMULATOR_LOG asks for it.

#include <string>

namespace ptx_emulator::stand_ins {

// printf into a string.
__attribute__((format(printf, 1, 2))) std::string text(const char* format, ...);

// Prints "function: reason" to stderr where logging is on, and hands it to the callback where one
// is set.
void explain(const char* function, const std::string& reason);
// Prints always: what must not happen in silence.
void complain(const char* function, const std::string& reason);

using LogCallback = void (*)(int level, const char* function, const char* message);
void set_log_callback(LogCallback callback);
void set_log_level(int level);  // 0 is silence, anything else prints

// The name of the device that is played: true for h100 (PTX_EMULATOR_DEVICE), false for a100.
bool plays_hopper();

}  // namespace ptx_emulator::stand_ins
