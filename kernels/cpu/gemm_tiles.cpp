#include "kernels/cpu/gemm_tiles.h"

#include <algorithm>

#include "kernels/cpu/gemm_kernel.h"
#include "kernels/cpu/parallel_for.h"

namespace ovid::kernels::cpu {

namespace {

// Enough tiles that 2 to 16 cores end together; more for large products, which larger machines are
// given. No more than that: each tile packs its rows of A and columns of B again, which at 192 x
// 192 costs oneDNN up to a fifth of its speed (one core with AVX-512; at 384 x 264 a tenth where an
// operand is transposed, nothing otherwise). And no tile with work for less than some 10 to 20
// microseconds of one core.
constexpr std::int64_t kLeastWantedTiles = 32;
constexpr std::int64_t kMostWantedTiles = 64;
constexpr double kMultiplyAddsPerWantedTile = 0x1p27;
constexpr double kLeastMultiplyAdds = 0x1p21;
constexpr std::int64_t kWantedPiecesOfK = 16;
// The sides of tiles are multiples of what the libraries' inner kernels compute at once (AVX-512: 8
// rows, 48 columns).
constexpr std::int64_t kRowGranule = 8;
constexpr std::int64_t kColumnGranule = 48;
constexpr std::int64_t kLargestRows = 384;
constexpr std::int64_t kLargestColumns = 528;
constexpr std::int64_t kLeastSide = 48;
constexpr std::int64_t kLeastPieceOfK = 512;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// Cuts `extent` into parts of equal size, near `side`, and a multiple of the granule.
std::int64_t even_side(std::int64_t extent, std::int64_t side, std::int64_t granule) {
  const std::int64_t parts = ceil_div(extent, side);
  return ceil_div(ceil_div(extent, parts), granule) * granule;
}

Gemm part_of(const Gemm& p, const GemmTile& tile, std::int64_t first_k, std::int64_t count_k) {
  Gemm part = p;
  part.m = tile.rows;
  part.n = tile.columns;
  part.k = count_k;
  part.a += p.transpose_a ? first_k * p.lda + tile.first_row : tile.first_row * p.lda + first_k;
  part.b +=
      p.transpose_b ? tile.first_column * p.ldb + first_k : first_k * p.ldb + tile.first_column;
  part.c += tile.first_row * p.ldc + tile.first_column;
  return part;
}

GemmTile tile_at(const Gemm& p, const GemmTiles& tiles, std::int64_t index) {
  const std::int64_t first_row = index / tiles.across * tiles.rows;
  const std::int64_t first_column = index % tiles.across * tiles.columns;
  return {first_row, std::min(tiles.rows, p.m - first_row), first_column,
          std::min(tiles.columns, p.n - first_column)};
}

// C (+)= the pieces' products, added in the order of k.
void add_pieces(const Gemm& p, const float* pieces, std::int64_t count, const GemmTile& tile) {
  for (std::int64_t i = tile.first_row; i < tile.first_row + tile.rows; ++i) {
    for (std::int64_t j = 0; j < p.n; ++j) {
      float sum = p.accumulate ? p.c[i * p.ldc + j] : 0.0f;
      for (std::int64_t piece = 0; piece < count; ++piece)
        sum += pieces[(piece * p.m + i) * p.n + j];
      p.c[i * p.ldc + j] = sum;
    }
  }
}

// Few tiles and a long sum: pieces of k, each into its own matrix in scratch.
void gemm_in_pieces_of_k(ExecutionContext& ctx, const Gemm& p, const GemmTiles& tiles,
                         const GemmEpilogue& epilogue) {
  ScratchFrame scratch(ctx);
  const std::span<float> pieces = scratch.take<float>(tiles.pieces_of_k * p.m * p.n);
  if (ctx.only_measures()) return;
  const std::int64_t count = tiles.down * tiles.across;
  parallel_for(ctx.threads(), count * tiles.pieces_of_k, 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t piece = i / count, first_k = piece * tiles.k;
                   Gemm whole = p;
                   whole.c = pieces.data() + piece * p.m * p.n;
                   whole.ldc = p.n;
                   whole.accumulate = false;
                   multiply_tile(part_of(whole, tile_at(p, tiles, i % count), first_k,
                                         std::min(tiles.k, p.k - first_k)));
                 }
               });
  parallel_for(ctx.threads(), p.m, kRowGranule, [&](std::int64_t begin, std::int64_t end) {
    const GemmTile rows{begin, end - begin, 0, p.n};
    add_pieces(p, pieces.data(), tiles.pieces_of_k, rows);
    gemm_add_bias(p, rows);
    if (epilogue) epilogue(rows);
  });
}

}  // namespace

GemmTiles choose_tiles(std::int64_t m, std::int64_t n, std::int64_t k) {
  // In floating point, where no product of three sides overflows.
  const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const auto wanted = static_cast<std::int64_t>(std::clamp(work / kMultiplyAddsPerWantedTile,
                                                           static_cast<double>(kLeastWantedTiles),
                                                           static_cast<double>(kMostWantedTiles)));
  std::int64_t rows = std::min(m, kLargestRows), columns = std::min(n, kLargestColumns);
  while (std::max(rows, columns) >= 2 * kLeastSide &&
         static_cast<double>(rows * columns) * static_cast<double>(k) >= 2 * kLeastMultiplyAdds) {
    const std::int64_t half_rows = rows > columns ? ceil_div(rows, 2) : rows;
    const std::int64_t half_columns = rows > columns ? columns : ceil_div(columns, 2);
    if (ceil_div(m, half_rows) * ceil_div(n, half_columns) > wanted + wanted / 4) break;
    rows = half_rows;
    columns = half_columns;
  }
  GemmTiles tiles{};
  tiles.rows = even_side(m, rows, kRowGranule);
  tiles.columns = even_side(n, columns, kColumnGranule);
  tiles.down = ceil_div(m, tiles.rows);
  tiles.across = ceil_div(n, tiles.columns);
  const std::int64_t count = tiles.down * tiles.across;
  const auto worth =
      static_cast<std::int64_t>(std::min(work / (static_cast<double>(count) * kLeastMultiplyAdds),
                                         static_cast<double>(kWantedPiecesOfK)));
  const std::int64_t pieces = std::min({kWantedPiecesOfK / count, k / kLeastPieceOfK, worth});
  tiles.k = pieces <= 1 ? k : ceil_div(k, pieces);
  tiles.pieces_of_k = ceil_div(k, tiles.k);
  return tiles;
}

void gemm_in_tiles(ExecutionContext& ctx, const Gemm& product, const GemmEpilogue& epilogue) {
  const Gemm& p = product;
  const GemmTiles tiles = choose_tiles(p.m, p.n, p.k);
  if (tiles.pieces_of_k > 1) return gemm_in_pieces_of_k(ctx, p, tiles, epilogue);
  if (ctx.only_measures()) return;
  parallel_for(ctx.threads(), tiles.down * tiles.across, 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const GemmTile tile = tile_at(p, tiles, i);
                   multiply_tile(part_of(p, tile, 0, p.k));
                   gemm_add_bias(p, tile);
                   if (epilogue) epilogue(tile);
                 }
               });
}

}  // namespace ovid::kernels::cpu
