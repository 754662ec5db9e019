#include "kernels/step_guard/guard_decision.h"
#include "kernels/step_guard/step_guard.h"

namespace ovid::kernels::cpu {

void step_guard(ExecutionContext&, const StepGuard& op) {
  const float* losses = op.losses.data<float>();
  double sum = 0;
  for (std::int64_t i = 0; i < op.losses.elements(); ++i) sum += static_cast<double>(losses[i]);
  decide(guard_memory(op), sum);
}

}  // namespace ovid::kernels::cpu
