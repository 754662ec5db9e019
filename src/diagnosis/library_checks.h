#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "src/diagnosis/finding.h"
#include "src/diagnosis/system_view.h"

namespace ovid::diagnosis {

// Whether a shared library can be loaded, by its name ("libcuda.so.1").
using CanLoad = std::function<bool(const std::string& library)>;

// By dlopen; the library is closed again.
bool can_load(const std::string& library);

// What the CUDA module says of this machine.
struct CudaFacts {
  std::vector<std::string> devices;  // a line for each: name, memory, versions
  std::string unavailable;           // why there is none
};

// Opens every device once.
CudaFacts cuda_facts();

// The GPUs; where there are none, whether NVIDIA's driver says that there should be.
Finding check_cuda(const SystemView& system, const CanLoad& loads, const CudaFacts& facts);

// What several devices need. Their absence is no fault of a machine that trains alone.
Finding check_nccl(const CanLoad& loads);
Finding check_mpi(const SystemView& system, const CanLoad& loads);

// The first file of that name in the folders of PATH that may be executed.
std::optional<std::string> find_on_path(const SystemView& system, const std::string& program);

}  // namespace ovid::diagnosis
