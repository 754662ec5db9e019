#pragma once
// Functions that device code calls and the machine itself provides: vprintf, __assertfail, malloc,
// free.

#include <cstdint>
#include <string>
#include <vector>

#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {

// Where the caller's local memory holds the arguments and takes the result.
struct BuiltinCall {
  struct Slot {
    std::uint32_t offset = 0;  // in the call's local memory
    std::uint32_t bytes = 0;
  };
  std::vector<Slot> arguments;
  std::vector<Slot> results;
};

using Builtin = void (*)(Warp& warp, const Op* op, std::uint32_t lanes, const BuiltinCall& call);

// nullptr where the machine provides no function of this name.
Builtin find_builtin(const std::string& name);
// Arguments that it takes.
std::uint32_t num_arguments(Builtin builtin);

// The text that vprintf makes of a format and its packed arguments. `read` gives `bytes` bytes at
// an offset of the argument buffer; `text` the zero-terminated text at a device address.
class FormatSource {
 public:
  virtual ~FormatSource() = default;
  virtual std::uint64_t read(std::uint64_t offset, std::uint32_t bytes) = 0;
  virtual std::string text(std::uint64_t address) = 0;
};
std::string format_device_text(const std::string& format, FormatSource& source,
                               std::uint32_t& num_arguments);

}  // namespace ptx_emulator
