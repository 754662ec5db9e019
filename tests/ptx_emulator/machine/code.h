#pragma once
// Decoded programs.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/ptx_emulator/machine/device_memory.h"
#include "tests/ptx_emulator/machine/op.h"
#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator {

class Program;

// One function, decoded.
struct Code {
  const ptx::Function* function = nullptr;
  std::string name;  // as in the PTX
  std::string demangled;
  std::vector<Op> ops;                  // addresses are stable after decoding
  std::vector<std::uint32_t> op_lines;  // PTX line of each op
  std::uint32_t frame_bytes = 0;        // of registers, one call
  std::uint32_t num_registers =
      0;  // 4-byte slots in use at once: the occupancy calculation's estimate
  std::uint32_t local_bytes = 0;          // a thread, one call
  std::uint32_t static_shared_bytes = 0;  // of an entry: itself and all it calls
  std::uint32_t dynamic_shared_offset =
      0;  // where extern shared memory begins, aligned as declared
  struct Parameter {
    std::uint32_t offset;
    std::uint32_t bytes;
    std::uint32_t alignment;
  };
  std::vector<Parameter> parameters;  // of an entry
  std::uint32_t parameter_bytes = 0;
  // What a call gives to the function and takes from it, in order.
  struct Formal {
    bool in_register = false;
    std::uint32_t offset = 0;  // of the register's slot in the frame, or of the call's local memory
    std::uint32_t bytes = 0;   // a thread
  };
  std::vector<Formal> formals, results;
  // With all that the function may call: of registers a warp, of local memory a thread.
  // `recursive`: as far as the stack reaches.
  std::uint64_t stack_register_bytes = 0, stack_local_bytes = 0;
  bool recursive = false;
  const Program* program = nullptr;
  std::vector<std::byte> constants;  // broadcast immediates: the storage behind Base::kConstants
  // Where they begin: 64-byte aligned.
  std::byte* constants_base() const {
    const auto address = reinterpret_cast<std::uintptr_t>(constants.data());
    return reinterpret_cast<std::byte*>((address + 63) / 64 * 64);
  }
  std::vector<std::shared_ptr<const void>> records;
  // By instruction, the frame offsets of the registers that it reads; of functions with wgmma only,
  // whose accumulators are not there before a wait.
  std::vector<std::vector<std::int32_t>> reads;
  std::vector<std::string> unsupported;  // "line 12: tcgen05.mma...: why", in the order of the text
};

// A module, decoded, with its variables placed in device memory. Modules never move.
class Program {
 public:
  // Allocates and initialises the module's global and constant variables in `memory`, then decodes
  // every function.
  Program(ptx::Module module, DeviceMemory& memory);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const Code* function(const std::string& name) const;  // nullptr where there is none
  // Device address and bytes of a variable; {0, 0} where there is none.
  struct Symbol {
    std::uint64_t address = 0;
    std::uint64_t bytes = 0;
  };
  Symbol symbol(const std::string& name) const;
  const ptx::Module& module() const;
  std::vector<const Code*> functions() const;
  // The function whose "address" a function pointer holds; nullptr where it is none.
  const Code* function_at(std::uint64_t address) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Every supported form by family, for the coverage list.
std::vector<std::string> supported_forms();

}  // namespace ptx_emulator
