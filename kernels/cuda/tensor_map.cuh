#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/common/view.h"

// Tensor maps: descriptions of tensors in global memory from which the copy engine of sm_90 takes
// boxes (kernels/cuda/hopper.cuh).
namespace ovid::kernels::cuda {

// Rows of a box are 128 bytes: this many 16-bit numbers.
inline constexpr int kBoxColumns = 64;

// Whether `tensor` (B, T, C) of 16-bit numbers can have a map: rows of 16-byte steps from a 16-byte
// aligned address.
bool tensor_map_takes(const ConstView& tensor);

// The map of `tensor` with boxes of (1, box_rows, kBoxColumns); in shared memory such a box is
// box_rows rows of 128 bytes, whose 16-byte groups are exchanged by the row: group g of row r lies
// at g ^ (r % 8), so that neither rows nor columns of 8 x 8 matrices meet in the banks. box_rows is
// at most 256. Throws DeviceError where the driver refuses, or is too old to have maps.
CUtensorMap make_tensor_map(const ConstView& tensor, std::uint32_t box_rows);

}  // namespace ovid::kernels::cuda
