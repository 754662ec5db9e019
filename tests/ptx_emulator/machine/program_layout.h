#pragma once
// Where the variables of a program are: in device memory, in a block's shared memory, and the
// numbers that stand for functions.

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/ptx_emulator/machine/device_memory.h"
#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator {

struct PlacedSymbol {
  enum class Kind : std::uint8_t { kGlobal, kFunction, kShared, kDynamicShared };
  Kind kind = Kind::kGlobal;
  std::uint64_t address = 0;  // kShared: offset in the block's shared memory
  std::uint64_t bytes = 0;
};

class ProgramLayout {
 public:
  // Allocates the module's variables in `memory` and writes their initial values. Throws
  // std::runtime_error where memory is exhausted or a symbol is missing.
  ProgramLayout(const ptx::Module& module, DeviceMemory& memory);
  ~ProgramLayout();
  ProgramLayout(const ProgramLayout&) = delete;
  ProgramLayout& operator=(const ProgramLayout&) = delete;

  // What a name means in a function; its own shared variables included. nullptr where there is
  // none.
  const PlacedSymbol* find(const ptx::Function& function, const std::string& name) const;
  const PlacedSymbol* find_global(const std::string& name) const;

  // Shared memory of an entry: static bytes, and where the dynamic part begins.
  struct SharedExtent {
    std::uint32_t static_bytes = 0;
    std::uint32_t dynamic_offset = 0;
  };
  SharedExtent shared_extent(const ptx::Function& entry) const;
  // Functions that `function` may call, itself included.
  const std::unordered_set<std::uint32_t>& reachable(std::uint32_t function) const {
    return reachable_[function];
  }
  const std::vector<std::uint32_t>& callees(std::uint32_t function) const {
    return callees_[function];
  }

 private:
  struct SharedVariable {
    const ptx::Variable* variable;
    std::uint32_t owner;  // function, or kModule
  };
  void place_globals();
  void write_initial_values();
  void find_calls();
  void place_shared();
  void place_shared_of_entry(std::uint32_t entry, std::uint64_t common_end);

  const ptx::Module& module_;
  DeviceMemory& memory_;
  std::unordered_map<std::string, PlacedSymbol> globals_;
  std::unordered_map<std::string, std::uint32_t> function_numbers_;
  std::vector<std::vector<std::uint32_t>> callees_;
  std::vector<std::unordered_set<std::uint32_t>> reachable_;
  std::vector<std::vector<const ptx::Variable*>>
      shared_uses_;  // of each function, static and dynamic
  std::vector<std::unordered_map<std::string, PlacedSymbol>> shared_;  // as each function sees it
  std::vector<SharedExtent> extents_;
  std::vector<std::uint64_t> allocations_;
};

}  // namespace ptx_emulator
