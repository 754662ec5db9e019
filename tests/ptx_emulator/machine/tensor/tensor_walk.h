#pragma once
// A box of a tensor, row by row: where each run of bytes lies in global memory and in the packed
// box.

#include <cstdint>

#include "tests/ptx_emulator/machine/tensor/tensor_map.h"

namespace ptx_emulator::tensor {

// Bytes of the whole box as it lies in shared memory, outside parts included.
inline std::uint64_t box_bytes(const TensorMap& map) {
  std::uint64_t bytes =
      std::uint64_t{map.box[0]} * bytes_of(static_cast<TensorDataType>(map.data_type));
  for (std::uint32_t i = 1; i < map.rank; ++i) {
    bytes *= (map.box[i] + map.element_strides[i] - 1u) / map.element_strides[i];
  }
  return bytes;
}

// Where byte `offset` of a box lies, given the shared address of the box: the swizzle exchanges
// 16-byte units within 128 bytes by address bits 7 and up.
inline std::uint32_t swizzled(TensorSwizzle swizzle, std::uint32_t address) {
  switch (swizzle) {
    case TensorSwizzle::k32Bytes:
      return address ^ (address >> 3 & 0x10u);
    case TensorSwizzle::k64Bytes:
      return address ^ (address >> 3 & 0x30u);
    case TensorSwizzle::k128Bytes:
      return address ^ (address >> 3 & 0x70u);
    default:
      return address;
  }
}

// Calls run(box offset, global address, bytes, inside) for runs of the box that begins at
// `coordinates`: parts of one row that are wholly inside or wholly outside of the tensor.
template <typename Run>
void walk_box(const TensorMap& map, const std::int32_t* coordinates, Run run) {
  const std::uint64_t element = bytes_of(static_cast<TensorDataType>(map.data_type));
  const std::int64_t width = map.box[0];
  const std::int64_t size = std::int64_t{map.sizes[0]} + 1;
  const std::int64_t first = coordinates[0];
  // The part [low, high) of a row that is inside.
  const std::int64_t low = first >= 0 ? 0 : (-first < width ? -first : width);
  const std::int64_t end = size - first < width ? size - first : width;
  const std::int64_t high = end < low ? low : end;
  std::uint32_t position[kMostTensorDimensions] = {};
  std::uint64_t offset = 0;
  while (true) {
    bool inside = true;
    std::uint64_t address = map.address;
    for (std::uint32_t i = 1; i < map.rank; ++i) {
      const std::int64_t at = coordinates[i] + std::int64_t{position[i]} * map.element_strides[i];
      inside &= at >= 0 && at <= std::int64_t{map.sizes[i]};
      if (inside) address += static_cast<std::uint64_t>(at) * map.strides[i - 1];
    }
    const auto emit = [&](std::int64_t from, std::int64_t to, bool is_inside) {
      if (from >= to) return;
      run(offset + static_cast<std::uint64_t>(from) * element,
          is_inside ? address + static_cast<std::uint64_t>(first + from) * element : 0,
          static_cast<std::uint64_t>(to - from) * element, is_inside);
    };
    if (inside) {
      emit(0, low, false);
      emit(low, high, true);
      emit(high, width, false);
    } else {
      emit(0, width, false);
    }
    offset += static_cast<std::uint64_t>(width) * element;
    std::uint32_t i = 1;
    for (; i < map.rank; ++i) {
      const std::uint32_t steps =
          (map.box[i] + map.element_strides[i] - 1u) / map.element_strides[i];
      if (++position[i] < steps) break;
      position[i] = 0;
    }
    if (i >= map.rank) return;
  }
}

}  // namespace ptx_emulator::tensor
