#include "kernels/cpu/gemm_tiles.h"

#include "tests/catch.h"
#include "tests/kernels/gemm_cases.h"

namespace ovid::kernels::cpu {

using namespace ovid::kernels::cpu::test;

TEST_CASE("the library's tiles agree with the definition", "[kernels][cpu]") {
  for (const ProductShape& shape :
       {ProductShape{1, 1, 1}, ProductShape{9, 49, 257}, ProductShape{97, 95, 129},
        ProductShape{385, 50, 31}, ProductShape{48, 48, 10000}}) {
    for_each_form([&](bool transpose_a, bool transpose_b, bool accumulate) {
      const Case test{shape, transpose_a, transpose_b, accumulate};
      Tensor c = test.result();
      run_op(2, [&](ExecutionContext& ctx) { gemm_in_tiles(ctx, test.product(c), nullptr); });
      check_close(text_of(shape, transpose_a, transpose_b), c, test.expected(),
                  tolerance(DType::kFloat32, shape.k));
    });
  }
}

TEST_CASE("the library's tiles have equal bits on every number of threads", "[kernels][cpu]") {
  for (const ProductShape& shape : {ProductShape{192, 768, 256}, ProductShape{48, 48, 10000}}) {
    const Case test{shape, true, false, true};
    check_same_bits_on_threads("gemm_in_tiles", [&](int threads) {
      std::vector<Tensor> results;
      results.push_back(test.result());
      run_op(threads, [&](ExecutionContext& ctx) {
        gemm_in_tiles(ctx, test.product(results.back()), nullptr);
      });
      return results;
    });
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

}  // namespace ovid::kernels::cpu
