#include "src/diagnosis/library_checks.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <sstream>

namespace ovid::diagnosis {

bool can_load(const std::string& library) {
  void* handle = ::dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) return false;
  ::dlclose(handle);
  return true;
}

Finding check_cuda(const SystemView& system, const CanLoad& loads, bool built_with_cuda) {
  const bool has_library = loads("libcuda.so.1");
  const bool has_module = !text_of(system, "proc/driver/nvidia/version").empty();
  const char* build = built_with_cuda ? "built with CUDA" : "built without CUDA kernels";
  if (!has_library && !has_module) {
    return {"CUDA", Grade::kGood, fmt::format("no NVIDIA driver, {}: trains on the CPU", build),
            ""};
  }
  if (has_module && !has_library) {
    return {"CUDA", Grade::kDoubtful, "the kernel has NVIDIA's driver, but libcuda.so.1 is missing",
            "install the driver's libraries of the same version, or start the container with "
            "--gpus all"};
  }
  if (!has_module) {
    return {"CUDA", Grade::kDoubtful,
            "libcuda.so.1 is there, but the kernel has no NVIDIA driver loaded",
            "load it (modprobe nvidia), or start the container with --gpus all"};
  }
  if (!built_with_cuda) {
    return {"CUDA", Grade::kDoubtful, "an NVIDIA driver is there, this Ovid was built without CUDA",
            "build with the preset cuda where that version has CUDA kernels; until then it trains "
            "on the CPU"};
  }
  return {"CUDA", Grade::kGood, "driver found, built with CUDA", ""};
}

Finding check_nccl(const CanLoad& loads) {
  return {"NCCL", Grade::kGood,
          loads("libnccl.so.2") ? "found" : "not found; only several GPUs need it", ""};
}

std::optional<std::string> find_on_path(const SystemView& system, const std::string& program) {
  std::istringstream folders(variable(system, "PATH").value_or(""));
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.empty()) continue;
    const std::string path = folder + "/" + program;
    std::error_code error;
    if (std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0)
      return path;
  }
  return std::nullopt;
}

Finding check_mpi(const SystemView& system, const CanLoad& loads) {
  // Open MPI 4 and 3, MPICH and those of its interface.
  const bool has_library =
      loads("libmpi.so.40") || loads("libmpi.so.12") || loads("libmpich.so.12");
  const auto launcher = find_on_path(system, "mpirun");
  if (has_library && launcher) return {"MPI", Grade::kGood, "found, " + *launcher, ""};
  if (has_library || launcher) {
    return {"MPI", Grade::kDoubtful,
            has_library ? "its library is there, mpirun is not on PATH"
                        : *launcher + " is there, its library cannot be loaded",
            "install both of one MPI (openmpi-bin and libopenmpi3), or load its module"};
  }
  return {"MPI", Grade::kGood, "not found; only several processes need it", ""};
}

}  // namespace ovid::diagnosis
