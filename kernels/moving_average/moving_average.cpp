#include "kernels/moving_average/moving_average.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

void moving_average_update(ExecutionContext& ctx, const MovingAverage& op) {
  constexpr const char* kOp = "moving_average_update";
  check_shape(kOp, "value", op.value, DType::kFloat32, op.value.shape());
  check_contiguous(kOp, "value", op.value);
  check_shape(kOp, "average", op.average, DType::kFloat32, op.value.shape());
  check_contiguous(kOp, "average", op.average);
  if (ctx.only_measures()) return;
  const auto elements = static_cast<double>(op.value.elements());
  const OpScope scope(ctx, kOp, {op.value.elements()},
                      {.flops = 3 * elements, .bytes = 12 * elements});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::moving_average_update(ctx, op);
    case DeviceKind::kCuda:
      return cuda::moving_average_update(ctx, op);
  }
}

}  // namespace ovid::kernels
