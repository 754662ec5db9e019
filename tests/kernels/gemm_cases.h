#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "tests/kernels/op_checks.h"

// Matrix products for the tests of gemm() and of the library's tiles.
namespace ovid::kernels::cpu::test {

using namespace ovid::kernels::test;

struct ProductShape {
  std::int64_t m, n, k;
};

inline std::string text_of(const ProductShape& s, bool transpose_a, bool transpose_b) {
  return fmt::format("gemm m={} n={} k={}{}{}", s.m, s.n, s.k, transpose_a ? " A transposed" : "",
                     transpose_b ? " B transposed" : "");
}

inline Tensor stored(std::int64_t rows, std::int64_t columns, bool transposed, std::uint64_t seed) {
  const Shape shape = transposed ? Shape{columns, rows} : Shape{rows, columns};
  return Tensor::random(shape, seed).padded(shape.last() + 3);
}

// Operands and result of one product, all with padded rows.
struct Case {
  ProductShape shape;
  bool transpose_a = false, transpose_b = false, accumulate = false;
  Tensor a = stored(shape.m, shape.k, transpose_a, 11);
  Tensor b = stored(shape.k, shape.n, transpose_b, 12);
  Tensor before = Tensor::random(Shape{shape.m, shape.n}, 13).padded(shape.n + 5);

  // Before the product C is random where it accumulates, NaN otherwise.
  Tensor result() const {
    return accumulate ? Tensor(before) : Tensor(DType::kFloat32, before.shape(), shape.n + 5);
  }
  Gemm product(Tensor& c) const {
    return {.transpose_a = transpose_a,
            .transpose_b = transpose_b,
            .m = shape.m,
            .n = shape.n,
            .k = shape.k,
            .a = a.data<float>(),
            .lda = a.view().row_stride(),
            .b = b.data<float>(),
            .ldb = b.view().row_stride(),
            .c = c.data<float>(),
            .ldc = c.view().row_stride(),
            .accumulate = accumulate};
  }
  std::vector<double> expected() const {
    const std::vector<double> x = a.values(), y = b.values(), z = before.values();
    std::vector<double> out;
    for (std::int64_t i = 0; i < shape.m; ++i) {
      for (std::int64_t j = 0; j < shape.n; ++j) {
        double sum = accumulate ? z[i * shape.n + j] : 0.0;
        for (std::int64_t l = 0; l < shape.k; ++l) {
          sum += x[transpose_a ? l * shape.m + i : i * shape.k + l] *
                 y[transpose_b ? j * shape.k + l : l * shape.n + j];
        }
        out.push_back(sum);
      }
    }
    return out;
  }
};

inline void for_each_form(
    const std::function<void(bool transpose_a, bool transpose_b, bool accumulate)>& body) {
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      for (const bool accumulate : {false, true}) body(transpose_a, transpose_b, accumulate);
    }
  }
}

}  // namespace ovid::kernels::cpu::test
