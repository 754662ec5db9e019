#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

void softmax_cross_entropy(ExecutionContext& ctx, const SoftmaxCrossEntropy& op) {
  constexpr const char* kOp = "softmax_cross_entropy";
  const std::int64_t N = op.logits.rows();
  check_matrix(kOp, "logits", op.logits, DType::kFloat32, N, op.logits.columns());
  if (op.logits.columns() < 1) {
    throw_shape_error(kOp, "logits", op.logits, "at least one column");
  }
  if (op.targets.dtype() != DType::kInt32 || op.targets.elements() != N) {
    throw_shape_error(kOp, "targets", op.targets, "int32 (" + std::to_string(N) + ")");
  }
  check_contiguous(kOp, "targets", op.targets);
  if (op.losses.dtype() != DType::kFloat32 || op.losses.elements() != N) {
    throw_shape_error(kOp, "losses", op.losses, "float32 (" + std::to_string(N) + ")");
  }
  check_contiguous(kOp, "losses", op.losses);
  // An element: compared, shifted, its exponential of 18 operations, added, scaled.
  const auto elements = static_cast<double>(op.logits.elements());
  const OpScope scope(ctx, kOp, {N, op.logits.columns()},
                      {.flops = 22 * elements, .bytes = (op.write_gradient ? 8 : 4) * elements});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::softmax_cross_entropy(ctx, op);
    case DeviceKind::kCuda:
      return cuda::softmax_cross_entropy(ctx, op);
  }
}

}  // namespace ovid::kernels
