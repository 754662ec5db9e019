#pragma once

#include "kernels/common/execution_context.h"
#include "src/memory/buffer.h"

namespace ovid::memory {

// Owns what an ExecutionContext points to. Neither moves nor copies, because ops keep the address.
class Execution {
 public:
  // On `device`; null: the CPU. `threads` of 1 or more; `scratch_bytes` as found by a dry run.
  // Throws ResourceError.
  Execution(kernels::cuda::Device* device, int threads, std::size_t scratch_bytes)
      : buffer_(scratch_bytes, "scratch of kernels", device),
        scratch_(buffer_.bytes()),
        context_(device == nullptr
                     ? kernels::ExecutionContext(kernels::DeviceKind::kCpu, threads, scratch_)
                     : kernels::ExecutionContext(*device, threads, scratch_)) {}
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  kernels::ExecutionContext& context() { return context_; }

 private:
  Buffer buffer_;
  kernels::ScratchArena scratch_;
  kernels::ExecutionContext context_;
};

}  // namespace ovid::memory
