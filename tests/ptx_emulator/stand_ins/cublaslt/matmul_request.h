#pragma once
// A call of cublasLtMatmul as descriptors, checked and turned into a plan.

#include "tests/ptx_emulator/stand_ins/cublaslt/algorithm.h"
#include "tests/ptx_emulator/stand_ins/cublaslt/descriptors.h"
#include "tests/ptx_emulator/stand_ins/support/matrix_product.h"

namespace ptx_emulator::stand_ins {

struct MatmulDescriptors {
  const MatmulFields* operation = nullptr;
  const LayoutFields* a = nullptr;
  const LayoutFields* b = nullptr;
  const LayoutFields* c = nullptr;
  const LayoutFields* d = nullptr;
};

ProblemTypes types_of(const MatmulDescriptors& descriptors);

// Fills everything of the plan that descriptors say: shapes, orders, epilogue. No pointer is read.
// Errors as the library's: INVALID_VALUE for what contradicts itself, NOT_SUPPORTED for what this
// stand-in does not compute, with the reason explained.
cublasStatus_t plan_matmul(const char* function, const MatmulDescriptors& descriptors,
                           ProductPlan& plan);

// Bytes that every leading dimension and batch stride is a multiple of (at most 256): what a tensor
// algorithm may use.
std::uint32_t common_alignment_bytes(const MatmulDescriptors& descriptors);

}  // namespace ptx_emulator::stand_ins
