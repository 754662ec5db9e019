#include "kernels/cpu/gemm_in_place.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/gemm_kernel.h"
#include "kernels/cpu/parallel_for.h"

namespace ovid::kernels::cpu {

namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

struct Range {
  std::int64_t first, count;
};

// C in down x across parts: rows differ by one at most, columns by one strip.
struct Parts {
  std::int64_t m, n, strip_columns, down, across;

  std::int64_t tasks() const { return down * across; }
  Range rows(std::int64_t task) const {
    const std::int64_t i = task / across, first = i * m / down;
    return {first, (i + 1) * m / down - first};
  }
  Range columns(std::int64_t task) const {
    const std::int64_t i = task % across, strips = ceil_div(n, strip_columns);
    const std::int64_t first = i * strips / across * strip_columns;
    return {first, std::min((i + 1) * strips / across * strip_columns, n) - first};
  }
  std::int64_t most_rows() const { return ceil_div(m, down); }
  std::int64_t most_columns() const {
    return ceil_div(ceil_div(n, strip_columns), across) * strip_columns;
  }
};

// Cycles for each k of the largest part (AVX-512; the proportions are what
// counts).
double cost_of_part(const Gemm& p, const GemmKernelSizes& sizes, const Parts& parts) {
  constexpr double kMultiply = 1.0 / 32, kTask = 8;
  constexpr double kReadA = 0.1;
  const double read_b = p.transpose_b ? 0.4 : 0.02;
  constexpr std::int64_t kLeastRows = 4;  // fewer take as long: sums wait for each other
  const std::int64_t rows = parts.most_rows(), rest = rows % sizes.rows;
  const std::int64_t full = rows - rest + (rest == 0 ? 0 : std::max(rest, kLeastRows));
  const auto columns = static_cast<double>(parts.most_columns());
  return static_cast<double>(full) * columns * kMultiply + columns * read_b +
         static_cast<double>(rows) * kReadA + kTask;
}

// The parts with which all threads are done soonest. No bits depend on it.
Parts choose_parts(const Gemm& p, const GemmKernelSizes& sizes, int threads) {
  const std::int64_t strips = ceil_div(p.n, sizes.columns);
  Parts best{p.m, p.n, sizes.columns, 1, 1};
  double least = -1;
  for (std::int64_t tasks = threads; tasks <= 4 * std::int64_t{threads}; tasks += threads) {
    for (std::int64_t across = 1; across <= std::min(tasks, strips); ++across) {
      if (tasks % across != 0 || tasks / across > p.m) continue;
      const Parts parts{p.m, p.n, sizes.columns, tasks / across, across};
      const double rounds = static_cast<double>(tasks / threads);
      const double cost = rounds * cost_of_part(p, sizes, parts);
      if (least >= 0 && cost >= least) continue;
      least = cost;
      best = parts;
    }
  }
  return best;
}

class InPlaceProduct {
 public:
  InPlaceProduct(const Gemm& product, const GemmEpilogue& epilogue)
      : p_(product), epilogue_(epilogue), sizes_(gemm_kernel_sizes()) {}

  void run(ExecutionContext& ctx) const {
    const Parts parts = choose_parts(p_, sizes_, ctx.threads());
    const std::int64_t rows = ceil_div(parts.most_rows(), sizes_.rows) * sizes_.rows;
    const std::int64_t floats_of_a = rows * kGemmBlock;
    const std::int64_t floats_of_b = sizes_.columns * kGemmBlock;
    const std::int64_t floats = floats_of_a + floats_of_b;
    ScratchFrame scratch(ctx);
    const std::span<float> packed = scratch.take<float>(parts.tasks() * floats);
    if (ctx.only_measures()) return;
    parallel_for(ctx.threads(), parts.tasks(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const Range part_rows = parts.rows(i), part_columns = parts.columns(i);
        if (part_rows.count == 0 || part_columns.count == 0) continue;
        float* b_packed = packed.data() + i * floats;
        multiply_by_columns(part_rows, part_columns, b_packed, b_packed + floats_of_b);
      }
    });
  }

 private:
  Range block_at(std::int64_t k) const { return {k, std::min(kGemmBlock, p_.k - k)}; }

  // The strip behind column `done` of `columns`.
  Range strip_at(const Range& columns, std::int64_t done) const {
    return {columns.first + done, std::min(sizes_.columns, columns.count - done)};
  }

  // A's k are distant: it is packed with the first strip of columns, block of k
  // by block of k.
  void multiply_by_columns(const Range& rows, const Range& columns, float* b_packed,
                           float* a_packed) const {
    for (std::int64_t first_k = 0; first_k < p_.k; first_k += kGemmBlock) {
      const Range k = block_at(first_k);
      for (std::int64_t j = 0; j < columns.count; j += sizes_.columns) {
        GemmStripProduct product = product_of(rows, strip_at(columns, j), k);
        product.rows_of_a = j == 0 ? GemmRows::kRowsAdjacent : GemmRows::kPacked;
        product.a = j == 0 ? p_.a + k.first * p_.lda + rows.first : a_packed;
        product.a_packed = a_packed;
        product.b_packed = b_packed;
        if (p_.transpose_b) pack_columns(strip_at(columns, j), k, product);
        product.next_b = next_of_b(columns, k, j);
        product.next_a = share_of_next_a(rows, columns, k, j);
        gemm_multiply_strip(product);
      }
    }
    if (epilogue_) epilogue_({rows.first, rows.count, columns.first, columns.count});
  }

  // Both operands mostly come from the third cache, or the other core's. What follows the strip at
  // column j of `columns` is fetched while that is multiplied: the next strip of B.
  GemmAhead next_of_b(const Range& columns, const Range& k, std::int64_t j) const {
    const bool is_last = j + sizes_.columns >= columns.count;
    const std::int64_t next_k = k.first + k.count;
    if (p_.transpose_b || (is_last && next_k == p_.k)) return {};
    const Range of_k = is_last ? block_at(next_k) : k;
    const Range strip = strip_at(columns, is_last ? 0 : j + sizes_.columns);
    return {p_.b + of_k.first * p_.ldb + strip.first, p_.ldb, of_k.count, strip.count};
  }

  // And of A's next block, all of which the block's first strip reads, an equal share. The first
  // strip itself fetches none: it reads this block.
  GemmAhead share_of_next_a(const Range& rows, const Range& columns, const Range& k,
                            std::int64_t j) const {
    const std::int64_t next_k = k.first + k.count;
    if (j == 0 || next_k == p_.k) return {};
    const std::int64_t shares = ceil_div(columns.count, sizes_.columns) - 1;
    const std::int64_t index = j / sizes_.columns - 1;
    const std::int64_t first = index * rows.count / shares;
    return {p_.a + next_k * p_.lda + rows.first + first, p_.lda, block_at(next_k).count,
            (index + 1) * rows.count / shares - first};
  }

  // With B read where it lies; a, rows_of_a, a_packed and b_packed are left to
  // the caller.
  GemmStripProduct product_of(const Range& rows, const Range& strip, const Range& k) const {
    const bool completes = k.first + k.count == p_.k;
    return {.rows_of_a = GemmRows::kPacked,
            .a = nullptr,
            .a_stride = p_.lda,
            .a_packed = nullptr,
            .b = p_.transpose_b ? nullptr : p_.b + k.first * p_.ldb + strip.first,
            .b_stride = p_.ldb,
            .b_packed = nullptr,
            .k = k.count,
            .c = p_.c + rows.first * p_.ldc + strip.first,
            .ldc = p_.ldc,
            .rows = rows.count,
            .columns = strip.count,
            .accumulate = p_.accumulate || k.first > 0,
            .bias = completes && p_.bias != nullptr ? p_.bias + strip.first : nullptr};
  }

  static void use_packed(GemmStripProduct& product) {
    product.b = product.b_packed;
    product.b_stride = 0;
  }

  void pack_columns(const Range& strip, const Range& k, GemmStripProduct& product) const {
    gemm_pack_columns({.from = p_.b + strip.first * p_.ldb + k.first,
                       .stride = p_.ldb,
                       .lines_are_adjacent = false,
                       .count = strip.count,
                       .k = k.count,
                       .to = product.b_packed});
    use_packed(product);
  }

  const Gemm& p_;
  const GemmEpilogue& epilogue_;
  const GemmKernelSizes sizes_;
};

}  // namespace

bool fits_in_place(const Gemm& p) {
  constexpr std::int64_t kMostValues = std::int64_t{1} << 19;
  return p.transpose_a && p.m <= kMostValues / p.k && p.n <= kMostValues / p.k;
}

void gemm_in_place(ExecutionContext& ctx, const Gemm& product, const GemmEpilogue& epilogue) {
  InPlaceProduct(product, epilogue).run(ctx);
}

}  // namespace ovid::kernels::cpu
