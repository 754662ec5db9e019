#pragma once
// The device code that a program registers: fat binaries, kernels, variables. Code is parsed and
// decoded when a device first needs it.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/runtime/cuda_api.h"
#include "tests/ptx_emulator/runtime/fat_binary.h"

namespace ptx_emulator {

class Device;

// One fat binary (or one library loaded by the program).
class RegisteredModule {
 public:
  RegisteredModule(std::vector<FatBinaryContainer> containers, std::string label);
  // One that cannot be used: every use of it ends with this error, the message is printed at the
  // first.
  RegisteredModule(cudaError_t error, std::string message);

  // The code as the device executes it. Throws ApiError: no PTX for the device, PTX that cannot be
  // parsed.
  const Program& program(Device& device);
  const std::string& label() const { return label_; }

 private:
  void load(Device& device, std::unique_ptr<Program>& slot);
  std::vector<FatBinaryContainer> containers_;
  std::string label_;
  cudaError_t error_ = cudaSuccess;
  std::string message_;
  std::map<const Device*, std::unique_ptr<Program>> programs_;
};

// A kernel by name, with what the program set for it. Its address is the cudaKernel_t and
// cudaFunction_t of the program.
class Kernel {
 public:
  Kernel(RegisteredModule& module, std::string name) : module_(&module), name_(std::move(name)) {}
  // Throws ApiError (invalid device function) where the module has no such entry.
  const Code& code(Device& device);
  const Program& program(Device& device) { return module_->program(device); }
  const std::string& name() const { return name_; }
  const RegisteredModule& module() const { return *module_; }

  // cudaFuncSetAttribute.
  int max_dynamic_shared_bytes = -1;  // -1: not set, 48 KiB less the static ones
  int carveout = -1;
  bool non_portable_cluster = false;
  std::uint32_t required_cluster[3] = {0, 0, 0};

 private:
  RegisteredModule* module_;
  std::string name_;
};

struct RegisteredVariable {
  RegisteredModule* module = nullptr;
  std::string name;
  std::uint64_t bytes = 0;
  void** managed_pointer = nullptr;  // of a __managed__ variable: the host's pointer to it
};

class ProgramRegistry {
 public:
  RegisteredModule& add(std::unique_ptr<RegisteredModule> module);
  void remove(RegisteredModule& module);
  void add_kernel(RegisteredModule& module, const void* host_function, const char* name);
  void add_variable(const void* host_variable, RegisteredVariable variable);
  // Null where the pointer is no registered one; kernels are also found by their own handle.
  Kernel* kernel(const void* function);
  Kernel& library_kernel(RegisteredModule& module, const std::string& name);
  const RegisteredVariable* variable(const void* host_variable) const;
  // Points the program's __managed__ variables into the device's memory.
  void place_managed(Device& device);

 private:
  std::vector<std::unique_ptr<RegisteredModule>> modules_;
  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::unordered_map<const void*, Kernel*> by_pointer_;
  std::unordered_map<const void*, RegisteredVariable> variables_;
  std::map<std::pair<const RegisteredModule*, std::string>, Kernel*> by_name_;
};

}  // namespace ptx_emulator
