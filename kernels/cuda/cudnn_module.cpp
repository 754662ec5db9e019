#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "kernels/common/errors.h"
#include "kernels/cuda/cudnn_attention.h"

namespace ovid::kernels::cuda {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& reason) {
  throw DeviceError("cuDNN's attention is not available: " + reason);
}

fs::path module_path() {
  if (const char* named = std::getenv("OVID_CUDNN_MODULE"); named != nullptr && *named != '\0') {
    return named;
  }
  Dl_info self{};
  if (::dladdr(reinterpret_cast<const void*>(&cudnn_module), &self) == 0) return {};
  return fs::path(self.dli_fname).parent_path() / "libovid_cudnn.so";
}

const CudnnModule& load() {
  const fs::path path = module_path();
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    refuse("there is no " + path.string() +
           "; build where cudnn.h and cudnn_frontend.h are found (the wheels nvidia-cudnn-cu13 and "
           "nvidia-cudnn-frontend have them), or set attention: flash");
  }
  void* const module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    refuse(std::string(::dlerror()) +
           "; install cuDNN 9 (or set LD_LIBRARY_PATH to it), or set attention: flash");
  }
  const auto entry =
      reinterpret_cast<const CudnnModule* (*)()>(::dlsym(module, "ovid_cudnn_module"));
  if (entry == nullptr) refuse(path.string() + " is no cuDNN module of Ovid");
  const CudnnModule* const found = entry();
  if (std::strcmp(found->interface, kCudnnInterface) != 0) {
    refuse(path.string() + " has interface " + found->interface + ", this program needs " +
           kCudnnInterface + "; build both from the same sources");
  }
  return *found;
}

}  // namespace

const CudnnModule& cudnn_module() {
  static const CudnnModule& loaded = load();  // a failure is tried again: nothing is kept
  return loaded;
}

}  // namespace ovid::kernels::cuda
