#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/common/errors.h"
#include "kernels/cuda_backend/backend.h"

namespace ovid::kernels::cuda {

namespace {

namespace fs = std::filesystem;

constexpr const char* kModuleFile = "libovid_cuda.so";

std::vector<fs::path> candidates() {
  if (const char* named = std::getenv("OVID_CUDA_MODULE"); named != nullptr && *named != '\0') {
    return {named};
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path folder = program.parent_path();
  return {folder / kModuleFile, folder.parent_path() / "lib/ovid" / kModuleFile};
}

[[noreturn]] void refuse(const std::string& reason) {
  throw DeviceError("CUDA is not available: " + reason);
}

const Backend& load() {
  fs::path found;
  for (const fs::path& path : candidates()) {
    std::error_code error;
    if (fs::is_regular_file(path, error)) {
      found = path;
      break;
    }
  }
  if (found.empty()) {
    const fs::path first = candidates().front();
    refuse("there is no " + first.string() +
           " (this program was built without CUDA, or its module was not installed beside it); "
           "build with a CUDA toolkit, or set device.kind: cpu");
  }
  // Local: the module's symbols of the same names as ours must stay its own.
  void* module = ::dlopen(found.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    refuse(std::string(::dlerror()) +
           "; install CUDA's runtime and cuBLAS libraries (or set LD_LIBRARY_PATH to them), or set "
           "device.kind: cpu");
  }
  const auto entry = reinterpret_cast<const Backend* (*)()>(::dlsym(module, "ovid_cuda_backend"));
  if (entry == nullptr) refuse(found.string() + " is no CUDA module of Ovid");
  const Backend* backend = entry();
  if (std::strcmp(backend->interface, kModuleInterface) != 0) {
    refuse(found.string() + " has interface " + backend->interface + ", this program needs " +
           kModuleInterface + "; build both from the same sources");
  }
  return *backend;
}

// Whether a driver is installed: a look that costs a millisecond, where loading CUDA's libraries
// costs 200 MB and a good part of a second. The management library comes with every driver too.
bool has_driver() {
  for (const char* library : {"libcuda.so.1", "libnvidia-ml.so.1"}) {
    if (void* found = ::dlopen(library, RTLD_LAZY | RTLD_LOCAL); found != nullptr) {
      ::dlclose(found);
      return true;
    }
  }
  return false;
}

}  // namespace

const Backend& backend() {
  static const Backend& loaded = load();  // a failure is tried again: nothing is kept
  return loaded;
}

Availability availability() noexcept {
  try {
    if (!has_driver()) {
      return {0,
              "CUDA is not available: no NVIDIA driver is installed (libcuda.so.1 was not found); "
              "install one, or set the device to cpu"};
    }
    const int devices = backend().device_count();
    return {devices, devices > 0 ? "" : "no CUDA device is visible"};
  } catch (const std::exception& error) {
    return {0, error.what()};
  }
}

std::unique_ptr<Device> open_device(int index) {
  return backend().open_device(index);
}

}  // namespace ovid::kernels::cuda
