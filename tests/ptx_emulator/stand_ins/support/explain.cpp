#include "tests/ptx_emulator/stand_ins/support/explain.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

namespace ptx_emulator::stand_ins {
namespace {

bool asked_by_environment() {
  for (const char* const name : {"CUBLASLT_LOG_LEVEL", "PTX_EMULATOR_LOG", "CUBLAS_LOG"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0' && std::string(value) != "0") return true;
  }
  return false;
}

// The library's logger is process-wide by its API.
std::atomic<bool>& printing() {
  static std::atomic<bool> on{asked_by_environment()};
  return on;
}
std::atomic<LogCallback>& callback() {
  static std::atomic<LogCallback> current{nullptr};
  return current;
}

}  // namespace

std::string text(const char* format, ...) {
  char buffer[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}

void explain(const char* function, const std::string& reason) {
  if (const LogCallback call = callback().load(); call != nullptr)
    call(1, function, reason.c_str());
  if (printing().load()) complain(function, reason);
}

void complain(const char* function, const std::string& reason) {
  std::fprintf(stderr, "ptx-emulator: %s: %s\n", function, reason.c_str());
}

void set_log_callback(LogCallback call) {
  callback().store(call);
}
void set_log_level(int level) {
  printing().store(level != 0);
}

bool plays_hopper() {
  const char* const device = std::getenv("PTX_EMULATOR_DEVICE");
  return device != nullptr && std::string(device) == "h100";
}

}  // namespace ptx_emulator::stand_ins
