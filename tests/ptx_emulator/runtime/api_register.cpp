// What nvcc's start-up code calls: fat binaries, kernels and variables of the program.

#include <string>

#include "tests/ptx_emulator/runtime/runtime.h"

using namespace ptx_emulator;

namespace {

std::string program_name() {
  static const std::string name = [] {
    char text[400] = "program";
    if (FILE* const file = std::fopen("/proc/self/comm", "r")) {
      if (std::fscanf(file, "%399[^\n]", text) != 1) text[0] = '\0';
      std::fclose(file);
    }
    return std::string(text);
  }();
  return name;
}

RegisteredModule& module_of(void** handle) {
  return *reinterpret_cast<RegisteredModule*>(handle);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  void** handle = nullptr;
  api("the program's start", [&](Call& call) {
    static int number = 0;
    const std::string label = "fat binary " + std::to_string(++number) + " of " + program_name();
    std::unique_ptr<RegisteredModule> module;
    try {
      module =
          std::make_unique<RegisteredModule>(read_registered_fat_binary(wrapper, label), label);
    } catch (const FatBinaryError& error) {
      module = std::make_unique<RegisteredModule>(cudaErrorInvalidKernelImage, error.what());
    }
    handle = reinterpret_cast<void**>(&call.runtime.programs.add(std::move(module)));
  });
  return handle;
}

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void** handle) {
  if (handle == nullptr) return;
  api("__cudaUnregisterFatBinary",
      [&](Call& call) { call.runtime.programs.remove(module_of(handle)); });
}

void __cudaRegisterFunction(void** handle, const char* host_function, char*, const char* name, int,
                            uint3*, uint3*, dim3*, dim3*, int*) {
  api("__cudaRegisterFunction", [&](Call& call) {
    call.runtime.programs.add_kernel(module_of(handle), host_function, name);
  });
}

void __cudaRegisterVar(void** handle, char* host_variable, char*, const char* name, int,
                       std::size_t bytes, int, int) {
  api("__cudaRegisterVar", [&](Call& call) {
    call.runtime.programs.add_variable(host_variable, {&module_of(handle), name, bytes, nullptr});
  });
}

void __cudaRegisterManagedVar(void** handle, void** host_pointer, char*, const char* name, int,
                              std::size_t bytes, int, int) {
  api("__cudaRegisterManagedVar", [&](Call& call) {
    call.runtime.programs.add_variable(host_pointer,
                                       {&module_of(handle), name, bytes, host_pointer});
  });
}

// Called before the first use of a managed variable.
char __cudaInitModule(void**) {
  api("__cudaInitModule", [](Call& call) { call.runtime.programs.place_managed(call.device()); });
  return 1;
}

}  // extern "C"
#pragma GCC visibility pop
