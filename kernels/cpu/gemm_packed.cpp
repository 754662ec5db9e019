#include "kernels/cpu/gemm_packed.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/gemm_kernel.h"
#include "kernels/cpu/parallel_for.h"

// The operand with fewer lines is packed once and shared by all threads. The other is cut into
// panels: whoever multiplies a panel packs it, block of k by block of k, into its own memory, where
// it stays in the second cache until it is used.
namespace ovid::kernels::cpu {

namespace {

constexpr std::int64_t kMostShared = std::int64_t{1} << 22;  // packed at a time: 16 MiB of scratch
constexpr std::int64_t kMostSharedK = 16 * kGemmBlock;
constexpr std::int64_t kMostPanelLines = 128;  // 128 KiB of stack
constexpr std::int64_t kLinesPackedAtOnce = 64;
// Panels of rows are faster (157 against 147 GFLOP/s at 1024 x 3072 x 768), but B packed for all
// threads through memory does not pay for few rows (131 against 138 at 256 x 768 x 50257; one core
// of a Xeon of the Emerald Rapids generation with AVX-512).
constexpr std::int64_t kLeastRowsForPanels = 512;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

struct Range {
  std::int64_t first, count;
};

// Part `index` of [0, extent) in parts of `length`.
Range part_at(std::int64_t index, std::int64_t length, std::int64_t extent) {
  return {index * length, std::min(length, extent - index * length)};
}

// A or B. Its lines are the rows of A, the columns of B.
struct Operand {
  const float* values;
  std::int64_t stride;
  bool lines_are_adjacent;
  std::int64_t lines, strip;  // strip: lines that the inner kernel takes at once
  void (*pack)(const GemmPacking&);

  void pack_part(const Range& line, const Range& k, float* to) const {
    pack({.from = values + (lines_are_adjacent ? k.first * stride + line.first
                                               : line.first * stride + k.first),
          .stride = stride,
          .lines_are_adjacent = lines_are_adjacent,
          .count = line.count,
          .k = k.count,
          .to = to});
  }
};

// Some lines and some k of an operand, packed.
struct SharedPart {
  const Operand* operand;
  Range line, k;
  float* packed;

  std::int64_t blocks() const { return ceil_div(k.count, kGemmBlock); }
  Range block(std::int64_t index) const { return part_at(index, kGemmBlock, k.count); }
  // Of a block, from a line on that begins a strip (counted from this part's first).
  float* at(std::int64_t index, std::int64_t from_line) const {
    const Range range = block(index);
    return packed + range.first * ceil_div(line.count, operand->strip) * operand->strip +
           from_line * range.count;
  }
  void pack(int threads) const {
    const std::int64_t at_once = kLinesPackedAtOnce / operand->strip * operand->strip;
    parallel_for(threads, blocks() * ceil_div(line.count, at_once), 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     const Range lines = part_at(i / blocks(), at_once, line.count);
                     const Range range = block(i % blocks());
                     operand->pack_part({line.first + lines.first, lines.count},
                                        {k.first + range.first, range.count},
                                        at(i % blocks(), lines.first));
                   }
                 });
  }
};

// [0, strips) in `parts` parts that differ by one strip at most.
struct Division {
  std::int64_t strips, parts;
  Range at(std::int64_t index) const {
    const std::int64_t first = index * strips / parts;
    return {first, (index + 1) * strips / parts - first};
  }
  std::int64_t largest() const { return ceil_div(strips, parts); }
};

struct Cut {
  Division panels;  // of the operand that is not shared
  Division shared;  // lines of the other that meet a panel at a time
  std::int64_t tasks() const { return panels.parts * shared.parts; }
};

// The cut with which all threads are done soonest, by a rough count of cycles for each k (AVX-512;
// the proportions are what counts). No bits depend on it.
Cut choose_cut(const Operand& panels, const Operand& shared, std::int64_t shared_lines,
               int threads) {
  constexpr double kMultiply = 1.0 / 32, kPack = 0.8, kFetchShared = 0.25, kTask = 8;
  // The last tasks do not end together: other programs take a core away for a while.
  constexpr double kTail = 0.25;
  constexpr std::int64_t kMostTasksOfThread = 8;
  const std::int64_t panel_strips = ceil_div(panels.lines, panels.strip);
  const std::int64_t shared_strips = ceil_div(shared_lines, shared.strip);
  const std::int64_t fewest = ceil_div(panel_strips, kMostPanelLines / panels.strip);
  const std::int64_t most = std::min(panel_strips, std::max(fewest, kMostTasksOfThread * threads));
  Cut best{{panel_strips, fewest}, {shared_strips, 1}};
  double least = -1;
  for (std::int64_t parts = fewest; parts <= most; ++parts) {
    for (std::int64_t pieces = 1; pieces <= shared_strips; pieces *= 2) {
      const Cut cut{{panel_strips, parts}, {shared_strips, pieces}};
      const auto p = static_cast<double>(cut.panels.largest() * panels.strip);
      const auto s = static_cast<double>(cut.shared.largest() * shared.strip);
      // Equal numbers of tasks are nearly equal work; otherwise somebody has one of the largest
      // more.
      const double rounds = cut.tasks() % threads == 0
                                ? static_cast<double>(panel_strips * pieces) /
                                      static_cast<double>(cut.panels.largest() * threads)
                                : static_cast<double>(ceil_div(cut.tasks(), threads));
      const double cost =
          (rounds + kTail) * (p * s * kMultiply + p * kPack + s * kFetchShared + kTask);
      if (least >= 0 && cost >= least) continue;
      least = cost;
      best = cut;
    }
  }
  return best;
}

class PackedProduct {
 public:
  PackedProduct(const Gemm& product, const GemmEpilogue& epilogue)
      : product_(product), epilogue_(epilogue), sizes_(gemm_kernel_sizes()) {}

  void run(ExecutionContext& ctx) {
    const Gemm& p = product_;
    const std::int64_t k_at_once = std::min(p.k, kMostSharedK);
    const std::int64_t strip = shared().strip;
    const std::int64_t at_once =
        std::min(ceil_div(shared().lines, strip), kMostShared / k_at_once / strip) * strip;
    ScratchFrame scratch(ctx);
    const std::span<float> packed = scratch.take<float>(at_once * k_at_once);
    if (ctx.only_measures()) return;
    for (std::int64_t line = 0; line < shared().lines; line += at_once) {
      for (std::int64_t k = 0; k < p.k; k += k_at_once) {
        const SharedPart part{&shared(),
                              {line, std::min(at_once, shared().lines - line)},
                              {k, std::min(k_at_once, p.k - k)},
                              packed.data()};
        part.pack(ctx.threads());
        multiply(part, ctx.threads());
      }
    }
  }

 private:
  const Operand& panels() const { return panels_are_rows_ ? a_ : b_; }
  const Operand& shared() const { return panels_are_rows_ ? b_ : a_; }

  void multiply(const SharedPart& part, int threads) const {
    const Cut cut = choose_cut(panels(), shared(), part.line.count, threads);
    const auto lines_of = [](const Range& strips, std::int64_t strip, std::int64_t lines) {
      const std::int64_t first = strips.first * strip;
      return Range{first, std::min(strips.count * strip, lines - first)};
    };
    parallel_for(threads, cut.tasks(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        multiply_panel(
            part, lines_of(cut.panels.at(i / cut.shared.parts), panels().strip, panels().lines),
            lines_of(cut.shared.at(i % cut.shared.parts), shared().strip, part.line.count));
      }
    });
  }

  // `lines` of the shared part (counted from its first) with one panel.
  void multiply_panel(const SharedPart& part, const Range& panel, const Range& lines) const {
    alignas(64) float packed[kMostPanelLines * kGemmBlock];
    const Range shared_lines{part.line.first + lines.first, lines.count};
    const Range& rows = panels_are_rows_ ? panel : shared_lines;
    const Range& columns = panels_are_rows_ ? shared_lines : panel;
    for (std::int64_t i = 0; i < part.blocks(); ++i) {
      const Range k{part.k.first + part.block(i).first, part.block(i).count};
      if (!a_in_place_) panels().pack_part(panel, k, packed);
      const float* of_panel = a_in_place_ ? a_.values + rows.first * a_.stride + k.first : packed;
      const float* of_shared = part.at(i, lines.first);
      const bool completes = k.first + k.count == product_.k;
      const bool has_next = panels_are_rows_ && i + 1 < part.blocks();
      gemm_multiply_block(
          {.a = panels_are_rows_ ? of_panel : of_shared,
           .a_stride = a_in_place_ ? a_.stride : 0,
           .b = panels_are_rows_ ? of_shared : of_panel,
           .k = k.count,
           .c = product_.c + rows.first * product_.ldc + columns.first,
           .ldc = product_.ldc,
           .rows = rows.count,
           .columns = columns.count,
           .accumulate = product_.accumulate || k.first > 0,
           .bias = completes && product_.bias != nullptr ? product_.bias + columns.first : nullptr,
           .next_b = has_next ? part.at(i + 1, lines.first) : nullptr});
    }
    if (epilogue_ && part.k.first + part.k.count == product_.k) {
      epilogue_({rows.first, rows.count, columns.first, columns.count});
    }
  }

  const Gemm& product_;
  const GemmEpilogue& epilogue_;
  const GemmKernelSizes sizes_;
  const Operand a_{product_.a, product_.lda, product_.transpose_a,
                   product_.m, sizes_.rows,  gemm_pack_rows};
  const Operand b_{product_.b, product_.ldb,   !product_.transpose_b,
                   product_.n, sizes_.columns, gemm_pack_columns};
  const bool panels_are_rows_ = product_.m >= kLeastRowsForPanels;
  // Panels of rows whose k are adjacent are read where they are. Even where their distance puts
  // them all into the same sets of the first cache that is as fast as packing, and elsewhere up to
  // a tenth faster (768 x 512 x 128, whose few columns do not repay the packing). Shared rows are
  // better packed (138 against 125 GFLOP/s at 256 x 768 x 50257).
  const bool a_in_place_ = panels_are_rows_ && !product_.transpose_a;
};

}  // namespace

void gemm_packed(ExecutionContext& ctx, const Gemm& product, const GemmEpilogue& epilogue) {
  PackedProduct(product, epilogue).run(ctx);
}

}  // namespace ovid::kernels::cpu
