#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"
#include "src/memory/buffer.h"
#include "src/memory/compute_target.h"

namespace ovid::benchmarks {

using kernels::ConstView;
using kernels::DType;
using kernels::ExecutionContext;
using kernels::Shape;
using kernels::View;

// Operands of one call in device memory, filled with small numbers.
class Operands {
 public:
  Operands(const memory::ComputeTarget& target, std::int64_t token_count, DType type)
      : tokens(token_count), dtype(type), target_(target) {}

  View make(DType type, Shape shape, std::int64_t row_stride = 0);  // 0: contiguous
  View activations(std::int64_t columns) { return make(dtype, {tokens, columns}); }
  View vector(std::int64_t columns) { return make(dtype, {columns}); }
  View statistics() { return make(DType::kFloat32, {tokens}); }
  View token_ids(Shape shape) { return make(DType::kInt32, shape); }

  const std::int64_t tokens;
  const DType dtype;

 private:
  memory::ComputeTarget target_;
  std::list<memory::Buffer> buffers_;
};

using Call = std::function<void(ExecutionContext&)>;
using Prepare = std::function<Call(Operands&)>;

// The ops at the widths of GPT-2 124M, by name. "tokens" of the ops over parameters are thousands
// of parameters: tokens * 1024.
const std::map<std::string, Prepare>& cuda_ops();

}  // namespace ovid::benchmarks
