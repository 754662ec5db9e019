#include "tests/ptx_emulator/machine/program_layout.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tests/ptx_emulator/machine/block.h"

namespace ptx_emulator {
namespace {

std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

void visit_symbols(const std::vector<ptx::Operand>& operands, const auto& visit) {
  for (const ptx::Operand& operand : operands) {
    const bool named = operand.kind == ptx::Operand::Kind::kSymbol ||
                       (operand.kind == ptx::Operand::Kind::kAddress && !operand.base_is_register);
    if (named && !operand.name.empty()) visit(operand.name);
    visit_symbols(operand.parts, visit);
  }
}

bool calls_a_pointer(const ptx::Instruction& instruction) {
  if (instruction.opcode != "call") return false;
  return std::any_of(instruction.operands.begin(), instruction.operands.end(),
                     [](const ptx::Operand& o) { return o.kind == ptx::Operand::Kind::kRegister; });
}

}  // namespace

ProgramLayout::ProgramLayout(const ptx::Module& module, DeviceMemory& memory)
    : module_(module), memory_(memory) {
  for (std::uint32_t i = 0; i < module.functions.size(); ++i) {
    const ptx::Function& function = module.functions[i];
    const auto found = function_numbers_.find(function.name);
    // A definition wins over its own forward declaration.
    if (found != function_numbers_.end() && function.is_external) continue;
    function_numbers_[function.name] = i;
    globals_[function.name] = {PlacedSymbol::Kind::kFunction,
                               kFunctionWindow + (std::uint64_t{i} + 1) * 16, 0};
  }
  place_globals();
  write_initial_values();
  find_calls();
  place_shared();
}

ProgramLayout::~ProgramLayout() {
  for (const std::uint64_t address : allocations_) memory_.release(address);
}

void ProgramLayout::place_globals() {
  for (const ptx::Variable& variable : module_.variables) {
    if (variable.space != ptx::Space::kGlobal && variable.space != ptx::Space::kConstant) continue;
    if (variable.is_external && globals_.contains(variable.name)) continue;
    const bool constant = variable.space == ptx::Space::kConstant;
    const std::uint64_t bytes = std::max<std::uint64_t>(variable.size_bytes(), 1);
    const MemoryKind kind = constant              ? MemoryKind::kConstant
                            : variable.is_managed ? MemoryKind::kManaged
                                                  : MemoryKind::kDevice;
    const Allocation* allocation = memory_.allocate(
        bytes, kind,
        (constant ? "__constant__ variable " : "__device__ variable ") + variable.name);
    if (allocation == nullptr) {
      throw std::runtime_error("variable " + variable.name + " of " + std::to_string(bytes) +
                               " bytes does not fit in device memory");
    }
    allocations_.push_back(allocation->begin);
    globals_[variable.name] = {PlacedSymbol::Kind::kGlobal, allocation->begin,
                               variable.size_bytes()};
  }
}

void ProgramLayout::write_initial_values() {
  for (const ptx::Variable& variable : module_.variables) {
    if (variable.space != ptx::Space::kGlobal && variable.space != ptx::Space::kConstant) continue;
    const PlacedSymbol& place = globals_.at(variable.name);
    if (place.bytes == 0 || place.bytes != variable.size_bytes()) continue;
    std::byte* bytes = memory_.host_pointer(place.address, place.bytes);
    std::memset(bytes, 0, place.bytes);
    if (!variable.initial.empty()) {
      std::memcpy(bytes, variable.initial.data(),
                  std::min<std::uint64_t>(variable.initial.size(), place.bytes));
    }
    for (const ptx::Variable::Relocation& relocation : variable.relocations) {
      const auto target = globals_.find(relocation.symbol);
      if (target == globals_.end()) {
        throw std::runtime_error("the initial value of " + variable.name + " names " +
                                 relocation.symbol +
                                 ", which is neither a global variable nor a function");
      }
      const std::uint64_t value =
          (target->second.address + static_cast<std::uint64_t>(relocation.addend)) >>
          relocation.shift;
      const std::uint64_t count = std::min<std::uint64_t>(relocation.bytes, 8);
      if (relocation.offset > place.bytes || count > place.bytes - relocation.offset) {
        throw std::runtime_error("the initial value of " + variable.name +
                                 " is longer than the variable");
      }
      std::memcpy(bytes + relocation.offset, &value, count);
    }
    note_initialised(memory_, place.address, place.bytes);
  }
}

void ProgramLayout::find_calls() {
  const std::size_t count = module_.functions.size();
  callees_.resize(count);
  shared_uses_.resize(count);
  std::unordered_map<std::string, const ptx::Variable*> module_shared;
  for (const ptx::Variable& variable : module_.variables) {
    if (variable.space == ptx::Space::kShared) module_shared.emplace(variable.name, &variable);
  }
  // Functions whose address is taken: an indirect call may reach each.
  std::vector<std::uint32_t> pointed_at;
  for (const ptx::Variable& variable : module_.variables) {
    for (const auto& relocation : variable.relocations) {
      const auto found = function_numbers_.find(relocation.symbol);
      if (found != function_numbers_.end()) pointed_at.push_back(found->second);
    }
  }
  std::vector<bool> indirect(count, false);
  for (std::uint32_t f = 0; f < count; ++f) {
    const ptx::Function& function = module_.functions[f];
    std::unordered_set<std::string> seen;
    std::unordered_map<std::string, const ptx::Variable*> own;
    for (const ptx::Variable& variable : function.variables) {
      if (variable.space == ptx::Space::kShared) own.emplace(variable.name, &variable);
    }
    for (const ptx::Instruction& instruction : function.instructions) {
      indirect[f] = indirect[f] || calls_a_pointer(instruction);
      visit_symbols(instruction.operands, [&](const std::string& name) {
        if (!seen.insert(name).second && instruction.opcode == "call") return;
        if (const auto called = function_numbers_.find(name); called != function_numbers_.end()) {
          callees_[f].push_back(called->second);
          if (instruction.opcode != "call") pointed_at.push_back(called->second);
        } else if (const auto mine = own.find(name); mine != own.end()) {
          shared_uses_[f].push_back(mine->second);
        } else if (const auto shared = module_shared.find(name); shared != module_shared.end()) {
          shared_uses_[f].push_back(shared->second);
        }
      });
    }
  }
  reachable_.resize(count);
  for (std::uint32_t f = 0; f < count; ++f) {
    if (indirect[f]) callees_[f].insert(callees_[f].end(), pointed_at.begin(), pointed_at.end());
    std::sort(callees_[f].begin(), callees_[f].end());
    callees_[f].erase(std::unique(callees_[f].begin(), callees_[f].end()), callees_[f].end());
  }
  for (std::uint32_t f = 0; f < count; ++f) {
    std::vector<std::uint32_t> work{f};
    reachable_[f].insert(f);
    while (!work.empty()) {
      const std::uint32_t at = work.back();
      work.pop_back();
      for (const std::uint32_t callee : callees_[at]) {
        if (reachable_[f].insert(callee).second) work.push_back(callee);
      }
    }
  }
}

void ProgramLayout::place_shared() {
  const std::size_t count = module_.functions.size();
  shared_.resize(count);
  extents_.resize(count);
  // What functions that are no entries use has one place in all kernels, as their code is decoded
  // once.
  std::unordered_map<const ptx::Variable*, std::uint64_t> common;
  std::uint64_t end = 0;
  for (std::uint32_t f = 0; f < count; ++f) {
    if (module_.functions[f].is_entry) continue;
    for (const ptx::Variable* variable : shared_uses_[f]) {
      PlacedSymbol placed{PlacedSymbol::Kind::kDynamicShared, 0, 0};
      if (variable->num_elements) {
        auto [place, added] = common.try_emplace(variable, 0);
        if (added) {
          end = align_up(end, variable->alignment);
          place->second = end;
          end += variable->size_bytes();
        }
        placed = {PlacedSymbol::Kind::kShared, place->second, variable->size_bytes()};
      }
      shared_[f][variable->name] = placed;
    }
  }
  for (std::uint32_t f = 0; f < count; ++f) {
    if (!module_.functions[f].is_entry) continue;
    for (const ptx::Variable* variable : shared_uses_[f]) {
      if (const auto place = common.find(variable); place != common.end()) {
        shared_[f][variable->name] = {PlacedSymbol::Kind::kShared, place->second,
                                      variable->size_bytes()};
      }
    }
    place_shared_of_entry(f, end);
  }
}

void ProgramLayout::place_shared_of_entry(std::uint32_t entry, std::uint64_t common_end) {
  std::uint64_t end = 0;
  std::uint64_t dynamic_alignment = 16;
  for (const std::uint32_t f : reachable_[entry]) {
    for (const ptx::Variable* variable : shared_uses_[f]) {
      if (!variable->num_elements) {
        dynamic_alignment = std::max<std::uint64_t>(dynamic_alignment, variable->alignment);
      } else if (f != entry || shared_[entry].contains(variable->name)) {
        end = common_end;
      }
    }
  }
  for (const ptx::Variable* variable : shared_uses_[entry]) {
    if (!variable->num_elements || shared_[entry].contains(variable->name)) continue;
    end = align_up(end, variable->alignment);
    shared_[entry][variable->name] = {PlacedSymbol::Kind::kShared, end, variable->size_bytes()};
    end += variable->size_bytes();
  }
  if (end > (1u << kClusterRankShift)) {
    throw std::runtime_error(module_.functions[entry].name + " declares " + std::to_string(end) +
                             " bytes of shared memory");
  }
  extents_[entry] = {static_cast<std::uint32_t>(end),
                     static_cast<std::uint32_t>(align_up(end, dynamic_alignment))};
  for (const ptx::Variable* variable : shared_uses_[entry]) {
    if (variable->num_elements) continue;
    shared_[entry][variable->name] = {PlacedSymbol::Kind::kShared, extents_[entry].dynamic_offset,
                                      0};
  }
}

const PlacedSymbol* ProgramLayout::find(const ptx::Function& function,
                                        const std::string& name) const {
  const auto number = static_cast<std::size_t>(&function - module_.functions.data());
  const auto shared = shared_[number].find(name);
  return shared != shared_[number].end() ? &shared->second : find_global(name);
}

const PlacedSymbol* ProgramLayout::find_global(const std::string& name) const {
  const auto found = globals_.find(name);
  return found == globals_.end() ? nullptr : &found->second;
}

ProgramLayout::SharedExtent ProgramLayout::shared_extent(const ptx::Function& entry) const {
  return extents_[static_cast<std::size_t>(&entry - module_.functions.data())];
}

}  // namespace ptx_emulator
