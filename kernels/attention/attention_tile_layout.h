#pragma once

// How the attention kernels for tensor cores lay a tile of 16-bit numbers out in shared memory. One
// function that the kernels and a host test share.
namespace ovid::kernels {

// The offset in bytes of 16-byte group `group` (8 columns) of row `row` in a tile of kColumns
// columns, a multiple of 64. Groups are exchanged by the row, so that the 8 rows of an 8 x 8
// matrix, like 8 groups of one row, lie in different banks.
template <int kColumns>
constexpr int attention_tile_offset(int row, int group) {
  static_assert(kColumns % 64 == 0);
  return row * (2 * kColumns) + ((group ^ (row & 7)) << 4);
}

// From the address of group 0 or 1 of a row to that of the group 2 steps further in the same row,
// in a tile that begins at kAttentionTileAlignment bytes: one operation, instead of a register for
// each step.
inline constexpr int kAttentionTileAlignment = 256;
constexpr unsigned attention_tile_step(unsigned address, int step) {
  return address ^ (static_cast<unsigned>(step) << 5);
}

}  // namespace ovid::kernels
