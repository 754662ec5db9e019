#include "kernels/cpu/gemm.h"

#include <array>
#include <cmath>

#include "kernels/cpu/gemm_in_place.h"
#include "kernels/cpu/gemm_kernel.h"
#include "kernels/cpu/gemm_packed.h"
#include "tests/catch.h"
#include "tests/kernels/gemm_cases.h"

namespace ovid::kernels::cpu {

using namespace ovid::kernels::cpu::test;

namespace {

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

TEST_CASE("our own product agrees with the definition on each instruction set", "[kernels][cpu]") {
  for_each_instruction_set([] {
    // Around the inner kernel's rows and columns, the block of k, panels of
    // columns (few rows) and of rows (many).
    for (const ProductShape& shape :
         {ProductShape{1, 1, 1}, ProductShape{13, 31, 255}, ProductShape{14, 32, 256},
          ProductShape{15, 33, 257}, ProductShape{53, 300, 301}, ProductShape{530, 70, 40}}) {
      for_each_form([&](bool transpose_a, bool transpose_b, bool accumulate) {
        const Case test{shape, transpose_a, transpose_b, accumulate};
        Tensor c = test.result();
        run_op(2, [&](ExecutionContext& ctx) { gemm_packed(ctx, test.product(c), nullptr); });
        check_close(text_of(shape, transpose_a, transpose_b), c, test.expected(),
                    tolerance(DType::kFloat32, shape.k));
      });
    }
  });
}

TEST_CASE("a product that packs on the way has the bits of one that packs before",
          "[kernels][cpu]") {
  for_each_instruction_set([] {
    // Fewer rows or columns than the inner kernel takes, a strip that ends with
    // some, several blocks of k, several groups of rows, one part for each
    // thread by rows and by columns.
    for (const ProductShape& shape :
         {ProductShape{1, 1, 1}, ProductShape{14, 32, 256}, ProductShape{15, 33, 257},
          ProductShape{53, 300, 301}, ProductShape{260, 70, 40}, ProductShape{2, 200, 600}}) {
      for_each_form([&](bool transpose_a, bool transpose_b, bool accumulate) {
        if (!transpose_a) return;
        const Case test{shape, transpose_a, transpose_b, accumulate};
        Tensor packed = test.result();
        REQUIRE(fits_in_place(test.product(packed)));
        run_op(1, [&](ExecutionContext& ctx) { gemm_packed(ctx, test.product(packed), nullptr); });
        for (const int threads : {1, 2, 5}) {
          INFO(text_of(shape, transpose_a, transpose_b) << " on " << threads << " threads");
          Tensor c = test.result();
          run_op(threads,
                 [&](ExecutionContext& ctx) { gemm_in_place(ctx, test.product(c), nullptr); });
          CHECK(c.same_bits(packed));
        }
      });
    }
  });
}

TEST_CASE("every way to a product adds the bias once to each row", "[kernels][cpu]") {
  const Tensor bias = Tensor::random(Shape{70}, 14);
  for (const std::int64_t k : {0, 40, 600}) {
    for (const bool accumulate : {false, true}) {
      const Case test{{60, 70, k}, false, false, accumulate};
      std::vector<double> expected = test.expected();
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += bias.values()[i % 70];
      const auto check = [&](const char* way, const auto& multiply) {
        Tensor c = test.result();
        Gemm product = test.product(c);
        product.bias = bias.data<float>();
        run_op(2, [&](ExecutionContext& ctx) { multiply(ctx, product); });
        check_close(fmt::format("{} k={}", way, k), c, expected, tolerance(DType::kFloat32, k + 1));
      };
      check("gemm", [](ExecutionContext& ctx, const Gemm& p) { gemm(ctx, p); });
      check("rows", [](ExecutionContext& ctx, const Gemm& p) {
        if (!ctx.only_measures()) gemm_rows(ctx.threads(), p);
      });
      if (k == 0) continue;
      check("packed", [](ExecutionContext& ctx, const Gemm& p) { gemm_packed(ctx, p, nullptr); });
      const Case of_gradient{{60, 70, k}, true, false, accumulate};
      Tensor c = of_gradient.result();
      Gemm product = of_gradient.product(c);
      product.bias = bias.data<float>();
      std::vector<double> sums = of_gradient.expected();
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += bias.values()[i % 70];
      run_op(2, [&](ExecutionContext& ctx) { gemm_in_place(ctx, product, nullptr); });
      check_close(fmt::format("in place k={}", k), c, sums, tolerance(DType::kFloat32, k + 1));
    }
  }
}

TEST_CASE("an epilogue of a product that packs on the way sees each element once",
          "[kernels][cpu]") {
  for (const bool transpose_b : {false, true}) {
    const Case test{{300, 90, 400}, true, transpose_b, false};
    Tensor plain = test.result(), doubled = test.result();
    run_op(3, [&](ExecutionContext& ctx) { gemm_in_place(ctx, test.product(plain), nullptr); });
    run_op(3, [&](ExecutionContext& ctx) {
      const Gemm product = test.product(doubled);
      gemm_in_place(ctx, product, [&](const GemmTile& tile) {
        for (std::int64_t i = tile.first_row; i < tile.first_row + tile.rows; ++i) {
          float* row = product.c + i * product.ldc + tile.first_column;
          for (std::int64_t j = 0; j < tile.columns; ++j) row[j] *= 2.0f;
        }
      });
    });
    std::vector<double> expected = plain.values();
    for (double& value : expected) value *= 2.0;
    CHECK(doubled.values() == expected);
  }
}

TEST_CASE("a long sum is taken in several parts of k", "[kernels][cpu]") {
  const ProductShape shape{20, 40, 9000};
  for (const bool accumulate : {false, true}) {
    const Case test{shape, true, false, accumulate};
    Tensor c = test.result();
    run_op(3, [&](ExecutionContext& ctx) { gemm_packed(ctx, test.product(c), nullptr); });
    check_close(text_of(shape, true, false), c, test.expected(),
                tolerance(DType::kFloat32, shape.k));
  }
}

TEST_CASE(
    "an element of our own product has the bits it has in a product of "
    "any other size",
    "[kernels][cpu]") {
  for_each_instruction_set([] {
    // Many rows: panels of rows. A part of them with some of the columns:
    // panels of columns.
    const Case whole{{700, 90, 600}, false, true, false};
    Tensor together = whole.result();
    run_op(2, [&](ExecutionContext& ctx) { gemm_packed(ctx, whole.product(together), nullptr); });
    Tensor parts = whole.result();
    for (std::int64_t row = 0; row < 700; row += 233) {
      for (std::int64_t column = 0; column < 90; column += 41) {
        Gemm part = whole.product(parts);
        part.a += row * part.lda;
        part.b += column * part.ldb;
        part.c += row * part.ldc + column;
        part.m = std::min<std::int64_t>(233, 700 - row);
        part.n = std::min<std::int64_t>(41, 90 - column);
        run_op(3, [&](ExecutionContext& ctx) { gemm_packed(ctx, part, nullptr); });
      }
    }
    CHECK(parts.same_bits(together));
  });
}

TEST_CASE("gemm has equal bits on every number of threads", "[kernels][cpu]") {
  for (const ProductShape& shape :
       {ProductShape{192, 768, 256}, ProductShape{127, 385, 100}, ProductShape{64, 513, 1024},
        ProductShape{48, 48, 10000}, ProductShape{3, 50, 6000}, ProductShape{300, 300, 300},
        ProductShape{600, 100, 300}}) {
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
  for (const ProductShape& shape : {ProductShape{385, 600, 40}, ProductShape{48, 48, 10000},
                                    ProductShape{2, 700, 90}, ProductShape{3, 5, 0}}) {
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
