#pragma once
// Operands of wgmma in shared memory: where a matrix descriptor puts each element.

#include <cstdint>

#include "tests/ptx_emulator/machine/tensor/product_form.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator::tensor {

// A matrix descriptor, taken apart: bytes.
struct MatrixDescriptor {
  std::uint32_t start = 0;    // shared address
  std::uint32_t leading = 0;  // "leading dimension byte offset"
  std::uint32_t stride = 0;   // "stride dimension byte offset"
  std::uint32_t span = 0;     // of the swizzle: 0 (none), 32, 64 or 128

  // Throws DeviceFault (kInvalidOperand) where it has a base offset, which is not implemented.
  static MatrixDescriptor unpack(std::uint64_t bits);

  // Shared address of the 16 bytes that hold element (row, k), of `element` bytes, and the byte in
  // them. `row` counts along M (of A) or N (of B). Canonical layouts, in 16-byte units:
  //   K-major, not swizzled: 8 rows follow each other; `leading` to the next unit along k, `stride`
  //   to the next 8 rows
  //   K-major, swizzled:     rows are `span` bytes apart, units follow each other; `stride` to the
  //   next 8 rows
  //   MN-major, not swizzled: 8 k follow each other; `stride` to the next unit along the row index,
  //   `leading` to the next 8 k
  //   MN-major, swizzled:     k are `span` bytes apart; `leading` to the next span of rows,
  //   `stride` to the next 8 k
  std::uint32_t address(std::uint32_t row, std::uint32_t k, std::uint32_t element,
                        bool mn_major) const;
};

// Packs `rows` rows from `first_row` on of a K-wide operand for ProductKernels. As A: 16 rows
// (packed_index_a). As B: rows are columns n, tile after tile of 8. Throws DeviceFault where the
// operand leaves shared memory.
struct OperandRequest {
  MatrixDescriptor descriptor;
  Element type;
  bool mn_major;
  bool negate;
  std::uint32_t K;
};
void pack_a(Warp& warp, const Op* op, const OperandRequest& request, std::uint32_t first_row,
            std::uint32_t* packed);
void pack_b(Warp& warp, const Op* op, const OperandRequest& request, std::uint32_t N,
            std::uint32_t* packed);
// A from registers (slots of the fragment layout of fragments.h).
void pack_a_registers(const std::uint32_t (*slots)[32], Element type, bool negate, std::uint32_t K,
                      std::uint32_t* packed);

}  // namespace ptx_emulator::tensor
