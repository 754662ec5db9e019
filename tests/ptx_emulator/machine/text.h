#pragma once
// Numbers and thread indices as messages write them.

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

namespace ptx_emulator {

inline std::string hexadecimal(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%" PRIx64, value);
  return text;
}

}  // namespace ptx_emulator
