#pragma once

#include <cstdint>

#include "kernels/cpu/gemm.h"

// Inside kernels/cpu: how a product is cut, and what multiplies one part.
namespace ovid::kernels::cpu {

struct GemmTiles {
  std::int64_t rows, columns;   // of a tile; those at the edges may be smaller
  std::int64_t down, across;    // number of tiles
  std::int64_t k, pieces_of_k;  // one piece, unless there are few tiles and k is long
};

// A function of the shape alone: neither threads nor the machine. m, n, k >= 1.
GemmTiles choose_tiles(std::int64_t m, std::int64_t n, std::int64_t k);

// The product on the calling thread, m, n, k >= 1: one of gemm_onednn.cpp, gemm_openblas.cpp,
// gemm_builtin.cpp.
void multiply_tile(const Gemm& product);

}  // namespace ovid::kernels::cpu
