#include "kernels/cpu/gemm.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "kernels/cpu/gemm_tiles.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels::cpu {

using namespace ovid::kernels::test;

namespace {

struct ProductShape {
  std::int64_t m, n, k;
};

std::string text_of(const ProductShape& s, bool transpose_a, bool transpose_b) {
  return fmt::format("gemm m={} n={} k={}{}{}", s.m, s.n, s.k, transpose_a ? " A transposed" : "",
                     transpose_b ? " B transposed" : "");
}

Tensor stored(std::int64_t rows, std::int64_t columns, bool transposed, std::uint64_t seed) {
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

const std::array<ProductShape, 10> kShapes = {{{1, 1, 1},
                                               {1, 7, 5},
                                               {5, 1, 300},
                                               {8, 48, 256},
                                               {7, 47, 255},
                                               {9, 49, 257},
                                               {17, 33, 65},
                                               {97, 95, 129},
                                               {385, 50, 31},
                                               {48, 48, 10000}}};

void for_each_form(
    const std::function<void(bool transpose_a, bool transpose_b, bool accumulate)>& body) {
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      for (const bool accumulate : {false, true}) body(transpose_a, transpose_b, accumulate);
    }
  }
}

}  // namespace

TEST_CASE("gemm agrees with the definition for every shape, transposition and mode",
          "[kernels][cpu]") {
  for (const ProductShape& shape : kShapes) {
    for_each_form([&](bool transpose_a, bool transpose_b, bool accumulate) {
      const Case test{shape, transpose_a, transpose_b, accumulate};
      Tensor c = test.result();
      run_op(2, [&](ExecutionContext& ctx) { gemm(ctx, test.product(c)); });
      check_close(text_of(shape, transpose_a, transpose_b), c, test.expected(),
                  tolerance(DType::kFloat32, shape.k));
    });
  }
}

TEST_CASE("the tile product of each instruction set agrees with the definition", "[kernels][cpu]") {
  const auto check = [] {
    for (const ProductShape& shape : {ProductShape{9, 49, 257}, ProductShape{53, 100, 300}}) {
      for_each_form([&](bool transpose_a, bool transpose_b, bool accumulate) {
        const Case test{shape, transpose_a, transpose_b, accumulate};
        Tensor c = test.result();
        gemm_tile(test.product(c));
        check_close(text_of(shape, transpose_a, transpose_b), c, test.expected(),
                    tolerance(DType::kFloat32, shape.k));
      });
    }
  };
  for_each_instruction_set(check);
}

TEST_CASE("gemm has equal bits on every number of threads", "[kernels][cpu]") {
  for (const ProductShape& shape :
       {ProductShape{192, 768, 256}, ProductShape{127, 385, 100}, ProductShape{64, 513, 1024},
        ProductShape{48, 48, 10000}, ProductShape{3, 50, 6000}, ProductShape{300, 300, 300}}) {
    for (const bool transpose_a : {false, true}) {
      const Case test{shape, transpose_a, !transpose_a, true};
      const auto on = [&](int threads) {
        Tensor c = test.result();
        run_op(threads, [&](ExecutionContext& ctx) { gemm(ctx, test.product(c)); });
        return c;
      };
      const Tensor expected = on(1);
      for (const int threads : {2, 3, 4, 7, 8}) {
        INFO(text_of(shape, transpose_a, !transpose_a) << " on " << threads << " threads");
        CHECK(on(threads).same_bits(expected));
      }
    }
  }
}

TEST_CASE("a product without terms is zero, or leaves what it accumulates on", "[kernels][cpu]") {
  for (const bool accumulate : {false, true}) {
    const Case test{{3, 5, 0}, false, false, accumulate};
    Tensor c = test.result();
    run_op(1, [&](ExecutionContext& ctx) { gemm(ctx, test.product(c)); });
    check_close("gemm k=0", c, test.expected(), 0.0);
    Tensor rows = test.result();
    gemm_rows(1, test.product(rows));
    check_close("gemm_rows k=0", rows, test.expected(), 0.0);
  }
}

TEST_CASE("an epilogue sees each element once, after its sum is complete", "[kernels][cpu]") {
  for (const ProductShape& shape :
       {ProductShape{385, 600, 40}, ProductShape{48, 48, 10000}, ProductShape{2, 700, 90}}) {
    for (const bool by_rows : {false, true}) {
      const Case test{shape, false, false, false};
      Tensor c = test.result();
      const Gemm product = test.product(c);
      const auto doubles = [&](const GemmTile& tile) {
        for (std::int64_t i = tile.first_row; i < tile.first_row + tile.rows; ++i) {
          for (std::int64_t j = tile.first_column; j < tile.first_column + tile.columns; ++j) {
            product.c[i * product.ldc + j] *= 2.0f;
          }
        }
      };
      if (by_rows) {
        gemm_rows(3, product, doubles);
      } else {
        run_op(3, [&](ExecutionContext& ctx) { gemm(ctx, product, doubles); });
      }
      std::vector<double> expected = test.expected();
      for (double& value : expected) value *= 2.0;
      check_close(text_of(shape, false, false), c, expected, tolerance(DType::kFloat32, shape.k));
    }
  }
}

TEST_CASE("tiles depend on the shape alone, cover it, and are many where the product is large",
          "[kernels][cpu]") {
  for (const ProductShape& s :
       {ProductShape{1, 1, 1}, ProductShape{1024, 768, 768}, ProductShape{1024, 50257, 768},
        ProductShape{768, 50257, 1024}, ProductShape{48, 48, 10000}, ProductShape{7, 100000, 3}}) {
    const GemmTiles tiles = choose_tiles(s.m, s.n, s.k);
    INFO(text_of(s, false, false));
    CHECK(tiles.rows * tiles.down >= s.m);
    CHECK(tiles.rows * (tiles.down - 1) < s.m);
    CHECK(tiles.columns * tiles.across >= s.n);
    CHECK(tiles.columns * (tiles.across - 1) < s.n);
    CHECK(tiles.k * tiles.pieces_of_k >= s.k);
    CHECK(tiles.k * (tiles.pieces_of_k - 1) < s.k);
    if (s.m >= 768) CHECK(tiles.down * tiles.across >= 24);
  }
  CHECK(choose_tiles(48, 48, 10000).pieces_of_k > 4);
}

TEST_CASE("gemm_rows agrees with the definition on each instruction set", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const ProductShape& shape :
         {ProductShape{1, 1, 1}, ProductShape{1, 300, 65}, ProductShape{2, 15, 17},
          ProductShape{3, 129, 64}, ProductShape{4, 257, 31}, ProductShape{9, 140, 50}}) {
      for (const bool transpose_b : {false, true}) {
        for (const bool accumulate : {false, true}) {
          const Case test{shape, false, transpose_b, accumulate};
          Tensor c = test.result();
          gemm_rows(2, test.product(c));
          check_close(text_of(shape, false, transpose_b), c, test.expected(),
                      tolerance(DType::kFloat32, shape.k));
        }
      }
    }
  });
}

TEST_CASE("a row of gemm_rows has the bits it has alone, on every number of threads",
          "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const bool transpose_b : {false, true}) {
      const Case test{{11, 333, 131}, false, transpose_b, false};
      Tensor together = test.result();
      gemm_rows(1, test.product(together));
      for (const int threads : {1, 2, 3, 8}) {
        for (std::int64_t rows = 1; rows <= 5; ++rows) {
          Tensor parts = test.result();
          for (std::int64_t row = 0; row < test.shape.m; row += rows) {
            Gemm product = test.product(parts);
            product.a += row * product.lda;
            product.c += row * product.ldc;
            product.m = std::min(rows, test.shape.m - row);
            gemm_rows(threads, product);
          }
          INFO((transpose_b ? "B transposed, " : "")
               << rows << " rows at a time on " << threads << " threads");
          CHECK(parts.same_bits(together));
        }
      }
    }
  });
}

}  // namespace ovid::kernels::cpu
