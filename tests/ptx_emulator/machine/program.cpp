#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "tests/ptx_emulator/machine/assembler.h"
#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/machine/function_decoder.h"
#include "tests/ptx_emulator/machine/program_layout.h"

namespace ptx_emulator {
namespace {

std::string demangled(const std::string& name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string result = status == 0 && text != nullptr ? text : name;
  std::free(text);
  return result;
}

}  // namespace

struct Program::State {
  State(ptx::Module given, DeviceMemory& memory)
      : module(std::move(given)), layout(module, memory) {}

  void measure_stacks();

  ptx::Module module;
  ProgramLayout layout;
  std::vector<std::unique_ptr<Code>> codes;  // by the function's number
  std::unordered_map<std::string, Code*> by_name;
};

// The deepest chain of calls from each function; where functions can call themselves, all of them
// once.
void Program::State::measure_stacks() {
  enum class Mark : std::uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(codes.size(), Mark::kNew);
  struct Frame {
    std::uint32_t function;
    std::size_t next;
  };
  for (std::uint32_t root = 0; root < codes.size(); ++root) {
    if (marks[root] != Mark::kNew) continue;
    std::vector<Frame> stack{{root, 0}};
    marks[root] = Mark::kOpen;
    while (!stack.empty()) {
      const std::uint32_t f = stack.back().function;
      const auto& callees = layout.callees(f);
      if (stack.back().next < callees.size()) {
        const std::uint32_t callee = callees[stack.back().next++];
        if (marks[callee] == Mark::kNew) {
          marks[callee] = Mark::kOpen;
          stack.push_back({callee, 0});
        }
        continue;
      }
      std::uint64_t registers = 0, local = 0;
      for (const std::uint32_t callee : callees) {
        registers = std::max(registers, codes[callee]->stack_register_bytes);
        local = std::max(local, codes[callee]->stack_local_bytes);
      }
      codes[f]->stack_register_bytes = registers + codes[f]->frame_bytes;
      codes[f]->stack_local_bytes = local + codes[f]->local_bytes;
      marks[f] = Mark::kDone;
      stack.pop_back();
    }
  }
  for (std::uint32_t f = 0; f < codes.size(); ++f) {
    for (const std::uint32_t g : layout.reachable(f)) {
      const auto& callees = layout.callees(g);
      codes[f]->recursive =
          codes[f]->recursive || std::any_of(callees.begin(), callees.end(), [&](std::uint32_t h) {
            return layout.reachable(h).contains(g);
          });
    }
  }
}

Program::Program(ptx::Module module, DeviceMemory& memory)
    : state_(std::make_unique<State>(std::move(module), memory)) {
  State& state = *state_;
  std::vector<std::unique_ptr<FunctionDecoder>> decoders;
  for (const ptx::Function& function : state.module.functions) {
    auto& code = *state.codes.emplace_back(std::make_unique<Code>());
    code.function = &function;
    code.name = function.name;
    code.demangled = demangled(function.name);
    code.program = this;
  }
  for (std::size_t i = 0; i < state.codes.size(); ++i) {
    Code& code = *state.codes[i];
    decoders.push_back(std::make_unique<FunctionDecoder>(state.module, *code.function, state.layout,
                                                         code, state.codes));
    decoders.back()->lay_out();
    const auto [place, added] = state.by_name.emplace(code.name, &code);
    if (!added && place->second->function->is_external) place->second = &code;
  }
  for (std::size_t i = 0; i < state.codes.size(); ++i) {
    if (!state.codes[i]->function->is_external) decoders[i]->decode();
    decoders[i].reset();
  }
  state.measure_stacks();
}

Program::~Program() = default;

const Code* Program::function(const std::string& name) const {
  const auto found = state_->by_name.find(name);
  return found == state_->by_name.end() ? nullptr : found->second;
}

Program::Symbol Program::symbol(const std::string& name) const {
  const PlacedSymbol* placed = state_->layout.find_global(name);
  if (placed == nullptr || placed->kind != PlacedSymbol::Kind::kGlobal) return {};
  return {placed->address, placed->bytes};
}

const ptx::Module& Program::module() const {
  return state_->module;
}

std::vector<const Code*> Program::functions() const {
  std::vector<const Code*> result;
  for (const auto& code : state_->codes) result.push_back(code.get());
  return result;
}

const Code* Program::function_at(std::uint64_t address) const {
  const std::uint64_t offset = address - kFunctionWindow;
  if (offset % 16 != 0 || offset / 16 == 0 || offset / 16 > state_->codes.size()) return nullptr;
  return state_->codes[offset / 16 - 1].get();
}

std::vector<std::string> supported_forms() {
  std::vector<std::string> forms;
  const auto add = [&](const char* family, std::span<const OpcodeEntry> entries) {
    for (const OpcodeEntry& entry : entries)
      forms.push_back(std::string(family) + ": " + std::string(entry.forms));
  };
  add("control", control_opcodes());
  add("memory", memory_opcodes());
  add("integer", integer_opcodes());
  add("float", float_opcodes());
  add("mixed", mixed_opcodes());
  add("warp", warp_opcodes());
  add("tensor", tensor_opcodes());
  add("async", async_opcodes());
  return forms;
}

}  // namespace ptx_emulator
