#pragma once

#include <optional>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// Matrix products by cuBLASLt, in row-major terms. Inside the CUDA module only.
namespace ovid::kernels::cuda {

// What follows the product inside the library's kernel.
enum class ProductEpilogue : std::uint8_t {
  kNone,
  kBias,             // out = P + bias
  kBiasGelu,         // out = gelu(P + bias)
  kBiasGeluAux,      // the same, and aux = P + bias
  kGeluGradient,     // out = P gelu'(aux)
  kRowSumsLeft,      // and sums = sum_k left(r, k): (rows) of out
  kColumnSumsRight,  // and sums = sum_k right(k, c): (columns) of out
};

struct ProductFactor {
  ConstView matrix;  // as stored; rows may be padded
  bool transposed = false;
};

// out = left right, with sums in float32 and one rounding.
struct Product {
  ProductFactor left;       // (R, S) after its transposition
  ProductFactor right;      // (S, C)
  View out;                 // (R, C); float32 or the factors' type
  bool accumulate = false;  // out += left right: not with kBiasGelu, kBiasGeluAux, kGeluGradient
  ProductEpilogue epilogue = ProductEpilogue::kNone;
  std::optional<ConstView> bias = std::nullopt;  // (C), the factors' type
  // (R, C), the factors' type, written by kBiasGeluAux, read by kGeluGradient; apart from out.
  const ConstView* aux = nullptr;
  void* sums = nullptr;  // of out's type, overwritten also where out accumulates
};

// Enqueues the product on ctx's stream. False, and nothing is enqueued, where the library has no
// algorithm for the epilogue with such operands; without an epilogue it has one, or DeviceError is
// thrown. The algorithm is the one of the device's ProductChoices. A product met for the first time
// is timed with each of the library's first candidates, which waits for the device; not during a
// capture, and not where the environment says OVID_TIME_PRODUCTS=0: the first candidate is taken
// then. Timing leaves no traces in the operands: what accumulates is copied away and back.
bool multiply(ExecutionContext& ctx, const Product& product);

}  // namespace ovid::kernels::cuda
