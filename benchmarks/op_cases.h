#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/common/execution_context.h"
#include "src/memory/arena.h"

// Every op with the operands that it has in a training step, for benchmarks/ops.cpp.
namespace ovid::benchmarks {

// The sizes of a step: docs/notation.md.
struct StepShape {
  std::string name;
  std::int64_t B, T, C, H, V;
  std::int64_t parameters;   // of the whole model: what the optimizer's ops work on
  std::int64_t logits_rows;  // the head's chunk
};

// An op with operands in an arena. Tensors of tokens must hold numbers in [0, V) before the call,
// and those of `constants` the number beside them.
struct ReadyOp {
  std::function<void(kernels::ExecutionContext&)> call;
  std::vector<kernels::View> tokens = {};
  std::vector<std::pair<kernels::View, float>> constants = {};
};

struct OpCase {
  std::string name;  // of the op, and of the layer where several layers have it
  std::function<ReadyOp(memory::Arena&)> prepare;
};

std::vector<OpCase> op_cases(const StepShape& shape);

}  // namespace ovid::benchmarks
