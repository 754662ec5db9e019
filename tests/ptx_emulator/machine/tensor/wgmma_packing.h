#pragma once
// Units of eight numbers of 16 bits to the order that ProductKernels multiply.

#include <cstddef>
#include <cstdint>

namespace ptx_emulator::tensor {

// How the numbers are read: f16 or bf16, and with which sign.
struct HalfFormat {
  bool is_bf16 = true;
  bool negate = false;
};

// A unit's eight numbers as f32.
void widen_unit(const std::byte* unit, HalfFormat format, float* eight);
// A unit of eight columns n of one k: in the order of packed_column.
void pack_columns(const std::byte* unit, HalfFormat format, float* eight);
// Eight units, of column n eight k each: 8 k of packed B, 64 numbers.
void pack_tile(const std::byte* const (&units)[8], HalfFormat format, float* tile);

}  // namespace ptx_emulator::tensor
