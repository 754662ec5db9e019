#pragma once

#include <cstdint>

#include "kernels/cpu/gemm.h"

// Inside kernels/cpu: products by a library that is told to use one thread. Only in builds with
// one.
namespace ovid::kernels::cpu {

struct GemmTiles {
  std::int64_t rows, columns;   // of a tile; those at the edges may be smaller
  std::int64_t down, across;    // number of tiles
  std::int64_t k, pieces_of_k;  // one piece, unless there are few tiles and k is long
};

// A function of the shape alone: neither threads nor the machine. m, n, k >= 1.
GemmTiles choose_tiles(std::int64_t m, std::int64_t n, std::int64_t k);

// The product on the calling thread, m, n, k >= 1: gemm_onednn.cpp or gemm_openblas.cpp. Throws
// DeviceError where the library refuses.
void multiply_tile(const Gemm& product);

// gemm() for m, n, k >= 1: C is cut into tiles by the shape alone, each tile is one call of
// multiply_tile on one thread. Bits depend on m, n and k.
void gemm_in_tiles(ExecutionContext& ctx, const Gemm& product, const GemmEpilogue& epilogue);

}  // namespace ovid::kernels::cpu
