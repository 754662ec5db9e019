#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/diagnosis/finding.h"
#include "src/diagnosis/system_view.h"

namespace ovid::diagnosis {

// What the kernels say of themselves (kernels/cpu/instruction_set.h, gemm.h).
struct KernelFacts {
  std::string instruction_set;                          // in use
  std::vector<std::string> supported_instruction_sets;  // the best first
  std::string matrix_library;                           // "onednn", "openblas", "builtin"
};

// The vector instructions that the processor has (/proc/cpuinfo), that Ovid uses, and that an
// environment variable withholds from the matrix library.
Finding check_instruction_sets(const SystemView& system, const KernelFacts& kernels);

// How many cores this process may use, and what keeps it from more.
struct CoreFacts {
  int machine = 1;           // cores that are online
  int affinity = 1;          // of those this process may run on
  std::optional<int> quota;  // of the control group
  int used = 1;              // what Ovid takes by default
};
Finding check_cores(const CoreFacts& cores);

// The cores that are online, by /sys/devices/system/cpu/online ("0-3,8"); 0 where it does not say.
int online_cores(const SystemView& system);

// Whether two hardware threads share a core (/sys/devices/system/cpu/smt/active).
Finding check_hardware_threads(const SystemView& system);

// Work of other programs: the load of the last minute against the cores.
Finding check_load(const SystemView& system, int cores);

}  // namespace ovid::diagnosis
