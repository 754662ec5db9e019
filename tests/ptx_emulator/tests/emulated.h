#pragma once
// Runs a CUDA test program under the emulator's libraries.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/test_files.h"
#include "tests/test_process.h"

namespace ptx_emulator::test {

inline std::filesystem::path emulator_folder() {
  return ovid::test::binary_directory() / "tests" / "ptx_emulator";
}

// The built program, or nothing (after saying so) where programs were left out of this build.
inline std::optional<std::filesystem::path> program(const std::string& name) {
  const std::filesystem::path path = emulator_folder() / "tests" / "programs" / name;
  if (std::filesystem::exists(path) &&
      std::filesystem::exists(emulator_folder() / "lib" / "libcudart.so.13")) {
    return path;
  }
  WARN("skipped: "
       << path
       << " or the emulator's libcudart.so.13 is not in this build (no nvcc, or sanitizers)");
  return std::nullopt;
}

// `environment`: "NAME=value"; PTX_EMULATOR_* of the caller's environment are not inherited unless
// named.
inline ovid::test::ProcessResult run_emulated(const std::vector<std::string>& command,
                                              std::vector<std::string> environment = {}) {
  environment.push_back("LD_LIBRARY_PATH=" + (emulator_folder() / "lib").string());
  return ovid::test::run_process(command, "", environment);
}

}  // namespace ptx_emulator::test
