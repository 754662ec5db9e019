#pragma once
// Element-wise reductions of NCCL's types.

#include <cstddef>

namespace ptx_emulator::stand_ins {

std::size_t bytes_of_nccl_type(int type);  // 0: no such type
const char* name_of_nccl_type(int type);
const char* name_of_nccl_reduction(int op);
double number_of_nccl_type(int type, const void* host);  // reads one element

// What is done with the elements; `op` is one of the five built-in ncclRedOp_t. `pre_multiply`:
// every input is multiplied by `factor` first (op is then the sum).
struct Reduction {
  int op = 0;
  bool pre_multiply = false;
  double factor = 1.0;
};

// out[i] = in[0][i] op in[1][i] op ... in the order of the ranks, left to right. Floating types are
// accumulated in float (float64 in double) and rounded once at the end, the average being the sum
// divided by the number of inputs; integers wrap as their type does and the average truncates.
// `out` may be one of the inputs.
void reduce(const Reduction& reduction, int type, const std::byte* const* inputs, int num_inputs,
            std::size_t count, std::byte* out);

}  // namespace ptx_emulator::stand_ins
