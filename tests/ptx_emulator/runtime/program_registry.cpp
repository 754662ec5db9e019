#include "tests/ptx_emulator/runtime/program_registry.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tests/ptx_emulator/ptx/parser.h"
#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {

RegisteredModule::RegisteredModule(std::vector<FatBinaryContainer> containers, std::string label)
    : containers_(std::move(containers)), label_(std::move(label)) {}

RegisteredModule::RegisteredModule(cudaError_t error, std::string message)
    : error_(error), message_(std::move(message)) {}

const Program& RegisteredModule::program(Device& device) {
  if (error_ != cudaSuccess) throw ApiError(error_, std::exchange(message_, {}));
  std::unique_ptr<Program>& slot = programs_[&device];
  if (!slot) load(device, slot);
  return *slot;
}

void RegisteredModule::load(Device& device, std::unique_ptr<Program>& slot) {
  // An unusable module stays so: its message is printed once, its code is returned every time.
  const auto fail = [this](cudaError_t error, const std::string& message) {
    error_ = error;
    throw ApiError(error, message);
  };
  std::vector<const FatBinaryEntry*> chosen;
  try {
    chosen = choose_ptx(containers_, device.architecture(), label_);
  } catch (const FatBinaryError& error) {
    fail(cudaErrorNoKernelImageForDevice, error.what());
  }
  if (chosen.empty()) {
    fail(cudaErrorNoKernelImageForDevice,
         label_ + " holds no code; compile with -gencode arch=compute_80,code=compute_80");
  }
  try {
    std::vector<ptx::Module> units;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const std::string unit =
          chosen.size() == 1 ? label_ : label_ + ", unit " + std::to_string(i + 1);
      units.push_back(ptx::parse(chosen[i]->text, unit));
    }
    ptx::Module module = units.size() == 1 ? std::move(units.front()) : ptx::link(std::move(units));
    slot = std::make_unique<Program>(std::move(module), device.memory());
  } catch (const ptx::ParseError& error) {
    fail(cudaErrorInvalidPtx, error.what());
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    fail(cudaErrorInvalidKernelImage, label_ + ": " + error.what());
  }
  if (!Runtime::instance().settings.list_unsupported) return;
  for (const Code* const code : slot->functions()) {
    for (const std::string& line : code->unsupported) {
      std::fprintf(stderr, "ptx-emulator: unsupported in %s: %s\n", code->demangled.c_str(),
                   line.c_str());
    }
  }
}

const Code& Kernel::code(Device& device) {
  const Code* const code = module_->program(device).function(name_);
  if (code == nullptr || !code->function->is_entry) {
    throw ApiError(cudaErrorInvalidDeviceFunction,
                   "the device code of " + module_->label() + " has no kernel " + name_);
  }
  return *code;
}

RegisteredModule& ProgramRegistry::add(std::unique_ptr<RegisteredModule> module) {
  modules_.push_back(std::move(module));
  return *modules_.back();
}

void ProgramRegistry::remove(RegisteredModule& module) {
  // Code that was launched may still be referenced; only what finds it is forgotten.
  for (auto entry = by_pointer_.begin(); entry != by_pointer_.end();) {
    entry = &entry->second->module() == &module ? by_pointer_.erase(entry) : std::next(entry);
  }
  for (auto entry = variables_.begin(); entry != variables_.end();) {
    entry = entry->second.module == &module ? variables_.erase(entry) : std::next(entry);
  }
  for (auto entry = by_name_.begin(); entry != by_name_.end();) {
    entry = entry->first.first == &module ? by_name_.erase(entry) : std::next(entry);
  }
}

void ProgramRegistry::add_kernel(RegisteredModule& module, const void* host_function,
                                 const char* name) {
  Kernel& kernel = library_kernel(module, name);
  by_pointer_[host_function] = &kernel;
}

Kernel& ProgramRegistry::library_kernel(RegisteredModule& module, const std::string& name) {
  Kernel*& kernel = by_name_[{&module, name}];
  if (kernel == nullptr) {
    kernels_.push_back(std::make_unique<Kernel>(module, name));
    kernel = kernels_.back().get();
    by_pointer_[kernel] = kernel;
  }
  return *kernel;
}

void ProgramRegistry::add_variable(const void* host_variable, RegisteredVariable variable) {
  variables_[host_variable] = std::move(variable);
}

Kernel* ProgramRegistry::kernel(const void* function) {
  const auto found = by_pointer_.find(function);
  return found != by_pointer_.end() ? found->second : nullptr;
}

const RegisteredVariable* ProgramRegistry::variable(const void* host_variable) const {
  const auto found = variables_.find(host_variable);
  return found != variables_.end() ? &found->second : nullptr;
}

void ProgramRegistry::place_managed(Device& device) {
  for (auto& [host_variable, variable] : variables_) {
    if (variable.managed_pointer == nullptr) continue;
    const Program::Symbol symbol = variable.module->program(device).symbol(variable.name);
    *variable.managed_pointer = reinterpret_cast<void*>(symbol.address);
  }
}

}  // namespace ptx_emulator
