#pragma once

#include <string>

#include "kernels/common/scratch.h"

namespace ovid::kernels {

class OpProfile;  // kernels/common/op_profile.h

enum class DeviceKind { kCpu, kCuda };

namespace cuda {
class Device;  // kernels/cuda/device.h
}

// Where ops run: the device, the number of CPU threads, scratch memory, and what measures them.
// Passed to every op; owns nothing.
class ExecutionContext {
 public:
  // threads: 1 or more; the CPU threads that one op may use.
  ExecutionContext(DeviceKind device_kind, int threads, ScratchArena& scratch)
      : scratch_(&scratch), threads_(threads), device_kind_(device_kind) {}

  // A CUDA device's: `scratch` lies in its memory; `threads` serve what the host does beside it.
  ExecutionContext(cuda::Device& device, int threads, ScratchArena& scratch)
      : scratch_(&scratch), device_(&device), threads_(threads), device_kind_(DeviceKind::kCuda) {}

  // A context whose ops check operands and take scratch but compute nothing and touch no memory:
  // sizes the scratch arena.
  static ExecutionContext dry_run(DeviceKind device_kind, int threads, ScratchArena& scratch) {
    ExecutionContext ctx(device_kind, threads, scratch);
    ctx.only_measures_ = true;
    return ctx;
  }

  DeviceKind device_kind() const { return device_kind_; }
  // Null on the CPU, and in a dry run.
  cuda::Device* device() const { return device_; }
  int threads() const { return threads_; }
  ScratchArena& scratch() { return *scratch_; }
  bool only_measures() const { return only_measures_; }

  // From here on every op adds its time and cost to `profile`, which must outlive that; null, as at
  // the start: none does. A dry run has no profile.
  void set_profile(OpProfile* profile) { profile_ = only_measures_ ? nullptr : profile; }
  OpProfile* profile() const { return profile_; }

  // Whether products of float32 may round their operands to TF32 (8 bits of exponent, 10 of
  // fraction) for the tensor cores' sake. Off at the start, so that float32 means the same on every
  // device; only CUDA looks at it.
  void set_allow_tf32(bool allowed) { allows_tf32_ = allowed; }
  bool allows_tf32() const { return allows_tf32_; }

 private:
  ScratchArena* scratch_;
  OpProfile* profile_ = nullptr;
  cuda::Device* device_ = nullptr;
  int threads_;
  DeviceKind device_kind_;
  bool only_measures_ = false;
  bool allows_tf32_ = false;
};

inline ScratchFrame::ScratchFrame(ExecutionContext& ctx)
    : arena_(ctx.scratch()), start_(arena_.used_), measures_(ctx.only_measures()) {}

}  // namespace ovid::kernels
