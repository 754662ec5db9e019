#include "src/diagnosis/library_checks.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <sstream>

#include "kernels/cuda/device.h"
#include "kernels/cuda_backend/backend.h"
#include "src/memory/buffer.h"

namespace ovid::diagnosis {

bool can_load(const std::string& library) {
  void* handle = ::dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) return false;
  ::dlclose(handle);
  return true;
}

CudaFacts cuda_facts() {
  const kernels::cuda::Availability available = kernels::cuda::availability();
  CudaFacts facts{.devices = {}, .unavailable = available.reason};
  for (int i = 0; i < available.devices; ++i) {
    const auto device = kernels::cuda::open_device(i);
    const kernels::cuda::DeviceProperties& p = device->properties();
    facts.devices.push_back(fmt::format(
        "{} (device {}, compute capability {}.{}, {} of {} free, driver {}, runtime {}, cuBLAS {})",
        p.name, i, p.major, p.minor, memory::readable_bytes(device->free_memory()),
        memory::readable_bytes(p.memory_bytes), p.driver_version, p.runtime_version,
        p.cublas_version));
  }
  return facts;
}

Finding check_cuda(const SystemView& system, const CanLoad& loads, const CudaFacts& facts) {
  if (!facts.devices.empty()) {
    return {"CUDA", Grade::kGood, fmt::format("{}", fmt::join(facts.devices, "; ")), ""};
  }
  const bool has_library = loads("libcuda.so.1");
  const bool has_module = !text_of(system, "proc/driver/nvidia/version").empty();
  if (!has_library && !has_module) {
    return {"CUDA", Grade::kGood, "no NVIDIA driver: trains on the CPU", ""};
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
  return {"CUDA", Grade::kDoubtful, "an NVIDIA driver is there, but " + facts.unavailable,
          "follow the message; until then Ovid trains on the CPU"};
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
