#pragma once

#include <cstdint>
#include <span>

#include "kernels/common/dtype.h"

namespace ovid::distributed {

// out[i] = rows[0][i] + rows[1][i] + ..., in this order for every i: float32 and the 16-bit floats
// in float32 and rounded once, to nearest even; float64 in float64; int32 wraps around. So the bits
// depend on nothing but the operands.
//   rows    at least one, of `elements` elements of `dtype` each
//   out     as many; may be one of the rows, else overlaps none
//   copy    a second place for the same result, null for none; overlaps no row, nor out
// On the calling thread. Throws ShapeError for other types.
struct OrderedSum {
  std::span<const void* const> rows;
  void* out;
  void* copy = nullptr;
  kernels::DType dtype;
  std::int64_t elements;
};
void ordered_sum(const OrderedSum& sum);

}  // namespace ovid::distributed
