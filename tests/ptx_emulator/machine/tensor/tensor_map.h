#pragma once
// The 128 bytes that a program calls CUtensorMap: how cp.async.bulk.tensor walks a tensor in global
// memory. The layout is the emulator's own; programs treat it as opaque.

#include <cstdint>
#include <string>

namespace ptx_emulator {

// Numbers are those of the driver's enumerations (cuda.h), so that arguments can be passed on.
enum class TensorDataType : std::uint32_t {
  kU8,
  kU16,
  kU32,
  kS32,
  kU64,
  kS64,
  kF16,
  kF32,
  kF64,
  kBf16,
  kF32Ftz,
  kTf32,
  kTf32Ftz,
  k16U4Align8,
  k16U4Align16,
  k16U6Align16,
};
enum class TensorInterleave : std::uint32_t { kNone, k16Bytes, k32Bytes };
enum class TensorSwizzle : std::uint32_t {
  kNone,
  k32Bytes,
  k64Bytes,
  k128Bytes,
  k128BytesAtom32,
  k128BytesAtom32Flip8,
  k128BytesAtom64,
};
enum class TensorFill : std::uint32_t { kZero, kNan };

inline constexpr std::uint32_t kMostTensorDimensions = 5;

struct alignas(64) TensorMap {
  std::uint64_t magic = 0;    // kTensorMapMagic
  std::uint64_t address = 0;  // of the tensor in global memory
  std::uint64_t strides[kMostTensorDimensions - 1] =
      {};  // bytes, of dimensions 1 and up; dimension 0 is dense
  std::uint32_t sizes[kMostTensorDimensions] = {};  // elements, less one
  std::uint16_t box[kMostTensorDimensions] = {};    // elements
  std::uint8_t element_strides[kMostTensorDimensions] = {};
  std::uint8_t rank = 0;
  std::uint8_t data_type = 0;   // TensorDataType
  std::uint8_t interleave = 0;  // TensorInterleave
  std::uint8_t swizzle = 0;     // TensorSwizzle
  std::uint8_t fill = 0;        // TensorFill
  std::uint8_t is_im2col = 0;
  std::uint8_t reserved[3] = {};
  std::uint32_t promotion = 0;  // of L2; has no effect
  std::uint64_t check = 0;      // of the bytes before, so that damage shows
};
static_assert(sizeof(TensorMap) == 128);
inline constexpr std::uint64_t kTensorMapMagic = 0x70616D726F736E74u;

// Bytes of one element; 0 for a type that is not supported (the packed types of 4 and 6 bits).
std::uint32_t bytes_of(TensorDataType type);

// The arguments of cuTensorMapEncodeTiled, in its order and units.
struct TiledTensor {
  TensorDataType data_type;
  std::uint32_t rank;
  std::uint64_t address;
  const std::uint64_t* sizes;            // rank
  const std::uint64_t* strides;          // rank - 1, bytes
  const std::uint32_t* box;              // rank
  const std::uint32_t* element_strides;  // rank
  TensorInterleave interleave;
  TensorSwizzle swizzle;
  std::uint32_t promotion;
  TensorFill fill;
};

// Checks the driver's rules (alignment of address and strides, limits of sizes, inner box against
// the swizzle) and writes the map. Returns what is wrong, with value and limit; empty: `map` is
// written. (The driver's error for it is CUDA_ERROR_INVALID_VALUE, 1.)
std::string encode_tiled(const TiledTensor& tensor, TensorMap& map);

// Writes the check sum after a change (tensormap.replace, cuTensorMapReplaceAddress).
void seal(TensorMap& map);
// Whether the bytes were made by encode_tiled and not damaged since.
bool is_sealed(const TensorMap& map);

}  // namespace ptx_emulator
