#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "kernels/attention/attention.h"
#include "kernels/cpu/dropout_factors.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/prefetch.h"

// How attention's work is cut on the CPU: by shapes alone, never by threads.
namespace ovid::kernels::cpu {

// Queries and keys come in tiles of 64: S, P and a tile of each operand of width 64 are 16 KiB
// each, together near the size of the first cache.
inline constexpr std::int64_t kTile = 64;
// Padded widths are multiples of the widest vector.
inline constexpr std::int64_t kLanePadding = 16;

inline std::int64_t padded_to(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// The tiles of a head form groups: group g of G holds the tiles g, 2G-1-g, 2G+g, 4G-1-g, ...: early
// and late ones, since the triangle makes their costs unequal. Where the backward pass adds across
// tiles it adds within groups first, so G follows from T alone: a sequence has the same bits in
// every batch. A unit of work is a head, or where there are few heads one group of one.
struct AttentionWork {
  std::int64_t T, D, heads;    // heads of all sequences, B * H
  std::int64_t tiles;          // of kTile rows
  std::int64_t padded_length;  // tiles * kTile
  std::int64_t padded_width;   // D, to a multiple of kLanePadding
  std::int64_t groups;
  std::int64_t groups_per_unit;  // all or one
  std::int64_t units_per_head() const { return groups / groups_per_unit; }
  std::int64_t units() const { return heads * units_per_head(); }

  std::int64_t group_of(std::int64_t tile) const {
    const std::int64_t place = tile % (2 * groups);
    return place < groups ? place : 2 * groups - 1 - place;
  }
  // Whether the unit that begins with `first_group` has the tile.
  bool owns(std::int64_t first_group, std::int64_t tile) const {
    const std::int64_t group = group_of(tile);
    return group >= first_group && group < first_group + groups_per_unit;
  }
};

inline AttentionWork attention_work(const AttentionShape& shape) {
  constexpr std::int64_t kMostGroups = 4;
  constexpr std::int64_t kEnoughUnits = 32;
  AttentionWork work{};
  work.T = shape.length;
  work.D = shape.head_width;
  work.heads = shape.sequences * shape.heads;
  work.tiles = (work.T + kTile - 1) / kTile;
  work.padded_length = work.tiles * kTile;
  work.padded_width = padded_to(work.D, kLanePadding);
  work.groups = std::clamp<std::int64_t>(work.tiles / 4, 1, kMostGroups);
  work.groups_per_unit = work.heads >= kEnoughUnits ? work.groups : 1;
  return work;
}

// Each thread works through a contiguous run of units with its own slot of scratch.
inline std::int64_t attention_slots(const ExecutionContext& ctx, std::int64_t units) {
  return units < ctx.threads() ? units : ctx.threads();
}

inline void for_each_unit(ExecutionContext& ctx, std::int64_t units,
                          const std::function<void(std::int64_t slot, std::int64_t unit)>& body) {
  const std::int64_t slots = attention_slots(ctx, units);
  parallel_for(ctx.threads(), slots, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t slot = begin; slot < end; ++slot) {
      for (std::int64_t unit = slot * units / slots; unit < (slot + 1) * units / slots; ++unit) {
        body(slot, unit);
      }
    }
  });
}

// Cuts a slot of scratch into arrays; from a null address it only counts.
struct ScratchCutter {
  float* start = nullptr;
  std::int64_t used = 0;
  float* take(std::int64_t count) {
    float* array = start == nullptr ? nullptr : start + used;
    used += padded_to(count, kLanePadding);  // a cache line
    return array;
  }
};

// The rows of the next head, loaded line by line while this one is multiplied: they are short
// pieces of long rows, which the processor does not see coming, and waiting for them cost as much
// as the products of a head of 64 rows.
class RowsAhead {
 public:
  // Rows of `width` floats for each of T positions, in `arrays` arrays; nothing where they would
  // push each other out of the second cache.
  RowsAhead(std::int64_t T, std::int64_t width, std::int64_t arrays)
      : fits_(T * width * arrays <= kMostFloats),
        rows_(T),
        lines_(padded_to(width, kFloatsOfLine) / kFloatsOfLine) {}

  void add(const float* first, std::int64_t stride) { add({first, stride, false}); }
  void add_written(const float* first, std::int64_t stride) { add({first, stride, true}); }

  // The next line; called for each step of a product, since few lines can be under way at once.
  void fetch_line() {
    if (array_ == count_) return;
    if (arrays_[array_].is_written) {
      prefetch_for_writing(row_, line_ * kBytesOfLine);
    } else {
      prefetch_behind(row_, line_ * kBytesOfLine);
    }
    if (++line_ == lines_) next_row();
  }

 private:
  static constexpr std::int64_t kMostFloats = 1 << 17;
  struct Rows {
    const float* first;
    std::int64_t stride;
    bool is_written;
  };

  void add(const Rows& rows) {
    if (!fits_) return;
    arrays_[count_++] = rows;
    if (count_ == 1) begin_array();
  }
  void begin_array() {
    row_ = arrays_[array_].first;
    rows_left_ = rows_;
    line_ = 0;
  }
  void next_row() {
    line_ = 0;
    row_ += arrays_[array_].stride;
    if (--rows_left_ == 0 && ++array_ < count_) begin_array();
  }

  bool fits_;
  std::int64_t rows_, lines_;
  std::array<Rows, 8> arrays_{};
  std::size_t count_ = 0, array_ = 0;
  const float* row_ = nullptr;
  std::int64_t rows_left_ = 0, line_ = 0;
};

// The dropout of one head, and where to find its factors.
struct AttentionDropout {
  const DropoutMask* mask;  // null: none
  std::int64_t head;        // b H + h
  std::int64_t T;
};

// Writes the factors of rows [row, row + rows) and columns [column, column + columns) to `out`,
// kTile numbers a row.
inline void attention_dropout_factors(const AttentionDropout& dropout, std::int64_t row,
                                      std::int64_t rows, std::int64_t column, std::int64_t columns,
                                      float* out) {
  const std::int64_t row_length = 4 * ((dropout.T + 3) / 4);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t first = (dropout.head * dropout.T + row + r) * row_length + column;
    dropout_factors(*dropout.mask, static_cast<std::uint64_t>(first), columns, out + r * kTile);
  }
}

}  // namespace ovid::kernels::cpu
