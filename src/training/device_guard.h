#pragma once

#include <cstdint>
#include <memory>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"
#include "kernels/cuda/device.h"
#include "src/memory/arena.h"
#include "src/training/step_guard.h"

namespace ovid::training {

// The guard of a run on a device, where the gradients are: it leaves out an update before the host
// knows that it should be. It comes to the decisions of StepGuard, from the same numbers.
class DeviceGuard {
 public:
  // Goes on from `state`. Throws ResourceError.
  DeviceGuard(kernels::cuda::Device& device, const GuardSettings& settings,
              const GuardState& state);

  struct Step {
    kernels::ConstView losses;          // (n) float32
    std::int64_t targets;               // of the n
    kernels::ConstView sum_of_squares;  // () float64, of the gradients
    kernels::View clip_scale;           // () float32: NaN where the update is to be left out
  };
  // Judges a step. Enqueued.
  void enqueue(kernels::ExecutionContext& ctx, const Step& step);

  // Waits for the judgement of the last step, and for all that was enqueued before it, but for
  // nothing after it. Whether the update is left out.
  bool wait_for_left_out();

 private:
  struct Memory {
    kernels::View windows, places, verdict;
  };
  static Memory lay_out(memory::Arena& arena, std::int64_t window);

  kernels::cuda::Device& device_;
  double outlier_z_;
  memory::Arena arena_;
  Memory memory_;
  memory::TransferBuffer host_verdict_;
  std::unique_ptr<kernels::cuda::Event> judged_;
};

}  // namespace ovid::training
