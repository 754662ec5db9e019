#pragma once

#include <functional>
#include <optional>
#include <string>

#include "src/diagnosis/finding.h"
#include "src/diagnosis/system_view.h"

namespace ovid::diagnosis {

// Whether a shared library can be loaded, by its name ("libcuda.so.1").
using CanLoad = std::function<bool(const std::string& library)>;

// By dlopen; the library is closed again.
bool can_load(const std::string& library);

// NVIDIA's driver, and whether this Ovid can use it. `built_with_cuda`: it has CUDA kernels.
Finding check_cuda(const SystemView& system, const CanLoad& loads, bool built_with_cuda);

// What several devices need. Their absence is no fault of a machine that trains alone.
Finding check_nccl(const CanLoad& loads);
Finding check_mpi(const SystemView& system, const CanLoad& loads);

// The first file of that name in the folders of PATH that may be executed.
std::optional<std::string> find_on_path(const SystemView& system, const std::string& program);

}  // namespace ovid::diagnosis
