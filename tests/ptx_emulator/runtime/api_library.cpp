// Device code that the program loads itself: fat binaries and PTX text.

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/ptx_emulator/runtime/runtime.h"

using namespace ptx_emulator;

namespace {

constexpr std::uint32_t kWrapperMagic = 0x466243B1u;
constexpr std::uint32_t kContainerMagic = 0xBA55ED50u;

RegisteredModule& module_of(cudaLibrary_t library) {
  require(library != nullptr, "the library is null", cudaErrorInvalidResourceHandle);
  return *reinterpret_cast<RegisteredModule*>(library);
}

std::vector<FatBinaryContainer> containers_of_text(std::string text) {
  FatBinaryEntry entry;
  entry.kind = FatBinaryEntry::Kind::kPtx;
  entry.kind_number = 1;
  entry.text = std::move(text);
  return {{std::move(entry)}};
}

// `code` is trusted to be what its first bytes say, as the interface gives no size.
std::vector<FatBinaryContainer> containers_at(const void* code, const std::string& label) {
  std::uint32_t magic = 0;
  std::memcpy(&magic, code, sizeof magic);
  if (magic == kWrapperMagic) return read_registered_fat_binary(code, label);
  if (magic == kContainerMagic) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, static_cast<const char*>(code) + 8, sizeof bytes);
    require(bytes < (std::uint64_t{1} << 40), "the fat binary's size is damaged",
            cudaErrorInvalidKernelImage);
    return read_fat_binary({static_cast<const std::byte*>(code), bytes + 16}, label);
  }
  require(std::memcmp(code, "\177ELF", 4) != 0, "the code is machine code for one device; give PTX",
          cudaErrorNoKernelImageForDevice);
  return containers_of_text(static_cast<const char*>(code));
}

cudaLibrary_t add(Call& call, std::vector<FatBinaryContainer> containers, std::string label) {
  RegisteredModule& module = call.runtime.programs.add(
      std::make_unique<RegisteredModule>(std::move(containers), std::move(label)));
  module.program(call.device());  // errors show at the load
  return reinterpret_cast<cudaLibrary_t>(&module);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaLibraryLoadData(cudaLibrary_t* library, const void* code, cudaJitOption*, void**,
                                unsigned, cudaLibraryOption*, void**, unsigned) {
  return api("cudaLibraryLoadData", [&](Call& call) {
    require(library != nullptr && code != nullptr);
    try {
      *library = add(call, containers_at(code, "loaded library"), "loaded library");
    } catch (const FatBinaryError& error) {
      throw ApiError(cudaErrorInvalidKernelImage, error.what());
    }
  });
}
cudaError_t cudaLibraryLoadFromFile(cudaLibrary_t* library, const char* path, cudaJitOption*,
                                    void**, unsigned, cudaLibraryOption*, void**, unsigned) {
  return api("cudaLibraryLoadFromFile", [&](Call& call) {
    require(library != nullptr && path != nullptr);
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    require(static_cast<bool>(file), "the file cannot be read", cudaErrorFileNotFound);
    const std::string bytes = std::move(text).str();
    require(bytes.size() >= 16, "the file is too short", cudaErrorInvalidKernelImage);
    std::uint32_t magic = 0;
    std::memcpy(&magic, bytes.data(), sizeof magic);
    try {
      *library = magic == kContainerMagic
                     ? add(call, read_fat_binary(std::as_bytes(std::span(bytes)), path), path)
                     : add(call, containers_of_text(bytes), path);
    } catch (const FatBinaryError& error) {
      throw ApiError(cudaErrorInvalidKernelImage, error.what());
    }
  });
}
cudaError_t cudaLibraryUnload(cudaLibrary_t library) {
  return api("cudaLibraryUnload", [&](Call& call) {
    call.runtime.scheduler.wait(call.lock, nullptr);
    call.runtime.programs.remove(module_of(library));
  });
}
cudaError_t cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t library, const char* name) {
  return api("cudaLibraryGetKernel", [&](Call& call) {
    require(kernel != nullptr && name != nullptr);
    RegisteredModule& module = module_of(library);
    const Code* const code = module.program(call.device()).function(name);
    require(code != nullptr && code->function->is_entry, "the library has no such kernel",
            cudaErrorSymbolNotFound);
    *kernel = reinterpret_cast<cudaKernel_t>(&call.runtime.programs.library_kernel(module, name));
  });
}
cudaError_t cudaLibraryGetKernelCount(unsigned* count, cudaLibrary_t library) {
  return api("cudaLibraryGetKernelCount", [&](Call& call) {
    require(count != nullptr);
    *count = 0;
    for (const Code* const code : module_of(library).program(call.device()).functions()) {
      *count += code->function->is_entry;
    }
  });
}
cudaError_t cudaLibraryEnumerateKernels(cudaKernel_t* kernels, unsigned count,
                                        cudaLibrary_t library) {
  return api("cudaLibraryEnumerateKernels", [&](Call& call) {
    require(count == 0 || kernels != nullptr);
    RegisteredModule& module = module_of(library);
    unsigned found = 0;
    for (const Code* const code : module.program(call.device()).functions()) {
      if (!code->function->is_entry || found == count) continue;
      kernels[found++] =
          reinterpret_cast<cudaKernel_t>(&call.runtime.programs.library_kernel(module, code->name));
    }
  });
}
cudaError_t cudaLibraryGetGlobal(void** address, std::size_t* bytes, cudaLibrary_t library,
                                 const char* name) {
  return api("cudaLibraryGetGlobal", [&](Call& call) {
    require(name != nullptr);
    const Program::Symbol symbol = module_of(library).program(call.device()).symbol(name);
    require(symbol.address != 0, "the library has no such variable", cudaErrorSymbolNotFound);
    if (address != nullptr) *address = reinterpret_cast<void*>(symbol.address);
    if (bytes != nullptr) *bytes = symbol.bytes;
  });
}

}  // extern "C"
#pragma GCC visibility pop
