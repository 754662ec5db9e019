#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

#include <limits>

#include "kernels/common/op_profile.h"
#include "kernels/common/operand_checks.h"

namespace ovid::kernels {

void softmax_cross_entropy(ExecutionContext& ctx, const SoftmaxCrossEntropy& op) {
  constexpr const char* kOp = "softmax_cross_entropy";
  const std::int64_t N = op.logits.rows();
  check_compute_dtype(ctx, kOp, "logits", op.logits);
  // Targets are int32, and so are the columns that kernels count.
  constexpr std::int64_t kMostColumns = std::numeric_limits<std::int32_t>::max();
  if (op.logits.columns() < 1 || op.logits.columns() > kMostColumns) {
    throw_shape_error(kOp, "logits", op.logits, "1 to 2147483647 columns");
  }
  if (op.targets.dtype() != DType::kInt32 || op.targets.elements() != N) {
    throw_shape_error(kOp, "targets", op.targets, "int32 (" + std::to_string(N) + ")");
  }
  check_contiguous(kOp, "targets", op.targets);
  if (op.losses.dtype() != DType::kFloat32 || op.losses.elements() != N) {
    throw_shape_error(kOp, "losses", op.losses, "float32 (" + std::to_string(N) + ")");
  }
  check_contiguous(kOp, "losses", op.losses);
  if (ctx.only_measures()) return;
  // An element: compared, shifted, its exponential of 18 operations, added, scaled.
  const auto elements = static_cast<double>(op.logits.elements());
  const double passes = op.write_gradient ? 2 : 1;
  const auto bytes = static_cast<double>(bytes_of(op.logits.dtype()));
  const OpScope scope(ctx, kOp, {N, op.logits.columns()},
                      {.flops = 22 * elements, .bytes = passes * bytes * elements});
  switch (ctx.device_kind()) {
    case DeviceKind::kCpu:
      return cpu::softmax_cross_entropy(ctx, op);
    case DeviceKind::kCuda:
      return cuda::softmax_cross_entropy(ctx, op);
  }
}

}  // namespace ovid::kernels
