#pragma once
// What the runtime keeps for each thread of the program.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/ptx_emulator/runtime/cuda_api.h"
#include "tests/ptx_emulator/runtime/stream.h"

namespace ptx_emulator {

inline constexpr std::size_t kMostDevices = 16;

struct LaunchConfiguration {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

struct ThreadState {
  ThreadState();
  ~ThreadState();  // unlinks its default streams from the devices
  ThreadState(const ThreadState&) = delete;
  ThreadState& operator=(const ThreadState&) = delete;

  std::uint64_t number;
  int device = 0;
  cudaError_t last_error = cudaSuccess;
  cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
  std::array<std::unique_ptr<Stream>, kMostDevices> default_streams;  // of cudaStreamPerThread
  std::vector<LaunchConfiguration> configurations;  // of the triple chevrons under evaluation
};

ThreadState& thread_state();

}  // namespace ptx_emulator
