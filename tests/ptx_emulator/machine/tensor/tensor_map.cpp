#include "tests/ptx_emulator/machine/tensor/tensor_map.h"

#include <cstddef>
#include <cstring>

namespace ptx_emulator {
namespace {

constexpr std::uint64_t kMostStrideBytes = std::uint64_t{1} << 40;
constexpr std::uint64_t kMostSize = std::uint64_t{1} << 32;
constexpr std::uint32_t kMostBox = 256;
constexpr std::uint32_t kMostElementStride = 8;
constexpr std::uint32_t kPitchBytes = 16;

std::uint64_t checksum(const TensorMap& map) {
  unsigned char bytes[offsetof(TensorMap, check)];
  std::memcpy(bytes, &map, sizeof bytes);
  std::uint64_t sum = 0xCBF29CE484222325u;  // FNV-1a
  for (const unsigned char byte : bytes) sum = (sum ^ byte) * 0x100000001B3u;
  return sum;
}

bool is_floating(TensorDataType type) {
  return type >= TensorDataType::kF16 && type <= TensorDataType::kTf32Ftz;
}

std::string number(const char* name, std::uint32_t index, std::uint64_t value) {
  return std::string(name) + "[" + std::to_string(index) + "] = " + std::to_string(value);
}

std::string check_dimension(const TiledTensor& tensor, std::uint32_t i) {
  if (tensor.sizes[i] == 0 || tensor.sizes[i] > kMostSize) {
    return number("globalDim", i, tensor.sizes[i]) + " is not in 1 to 2^32";
  }
  if (tensor.box[i] == 0 || tensor.box[i] > kMostBox) {
    return number("boxDim", i, tensor.box[i]) + " is not in 1 to 256";
  }
  if (tensor.element_strides[i] == 0 || tensor.element_strides[i] > kMostElementStride) {
    return number("elementStrides", i, tensor.element_strides[i]) + " is not in 1 to 8";
  }
  if (i + 1 < tensor.rank &&
      (tensor.strides[i] % kPitchBytes != 0 || tensor.strides[i] >= kMostStrideBytes)) {
    return number("globalStrides", i, tensor.strides[i]) +
           " is not a multiple of 16 bytes below 2^40";
  }
  return "";
}

std::string check_inner_box(const TiledTensor& tensor, std::uint32_t element_bytes) {
  const std::uint32_t inner = tensor.box[0] * element_bytes;
  if (inner % kPitchBytes != 0) {
    return "an inner box of " + std::to_string(inner) + " bytes is not a multiple of 16";
  }
  const std::uint32_t span = tensor.swizzle == TensorSwizzle::k32Bytes    ? 32
                             : tensor.swizzle == TensorSwizzle::k64Bytes  ? 64
                             : tensor.swizzle == TensorSwizzle::k128Bytes ? 128
                                                                          : ~0u;
  if (inner > span) {
    return "an inner box of " + std::to_string(inner) + " bytes is wider than its swizzle of " +
           std::to_string(span);
  }
  return "";
}

}  // namespace

std::uint32_t bytes_of(TensorDataType type) {
  switch (type) {
    case TensorDataType::kU8:
      return 1;
    case TensorDataType::kU16:
    case TensorDataType::kF16:
    case TensorDataType::kBf16:
      return 2;
    case TensorDataType::kU32:
    case TensorDataType::kS32:
    case TensorDataType::kF32:
    case TensorDataType::kF32Ftz:
    case TensorDataType::kTf32:
    case TensorDataType::kTf32Ftz:
      return 4;
    case TensorDataType::kU64:
    case TensorDataType::kS64:
    case TensorDataType::kF64:
      return 8;
    default:
      return 0;
  }
}

std::string encode_tiled(const TiledTensor& tensor, TensorMap& map) {
  if (tensor.rank == 0 || tensor.rank > kMostTensorDimensions) {
    return "tensorRank = " + std::to_string(tensor.rank) + " is not in 1 to 5";
  }
  const std::uint32_t element_bytes = bytes_of(tensor.data_type);
  if (element_bytes == 0) return "the emulator has no packed data types of 4 and 6 bits";
  if (tensor.interleave != TensorInterleave::kNone) {
    return "the emulator has no interleaved layouts";
  }
  if (tensor.swizzle > TensorSwizzle::k128Bytes) {
    return "the emulator has no swizzles of 128 bytes with atoms of 32 and 64 bytes";
  }
  if (tensor.address % kPitchBytes != 0) return "globalAddress is not a multiple of 16 bytes";
  if (tensor.fill == TensorFill::kNan && !is_floating(tensor.data_type)) {
    return "NaN fill needs a floating data type";
  }
  for (std::uint32_t i = 0; i < tensor.rank; ++i) {
    if (std::string wrong = check_dimension(tensor, i); !wrong.empty()) return wrong;
  }
  if (std::string wrong = check_inner_box(tensor, element_bytes); !wrong.empty()) return wrong;
  map = TensorMap{};
  map.magic = kTensorMapMagic;
  map.address = tensor.address;
  map.rank = static_cast<std::uint8_t>(tensor.rank);
  for (std::uint32_t i = 0; i < tensor.rank; ++i) {
    map.sizes[i] = static_cast<std::uint32_t>(tensor.sizes[i] - 1);
    map.box[i] = static_cast<std::uint16_t>(tensor.box[i]);
    map.element_strides[i] = static_cast<std::uint8_t>(tensor.element_strides[i]);
    if (i + 1 < tensor.rank) map.strides[i] = tensor.strides[i];
  }
  map.data_type = static_cast<std::uint8_t>(tensor.data_type);
  map.interleave = static_cast<std::uint8_t>(tensor.interleave);
  map.swizzle = static_cast<std::uint8_t>(tensor.swizzle);
  map.fill = static_cast<std::uint8_t>(tensor.fill);
  map.promotion = tensor.promotion;
  seal(map);
  return "";
}

void seal(TensorMap& map) {
  map.check = checksum(map);
}

bool is_sealed(const TensorMap& map) {
  return map.magic == kTensorMapMagic && map.check == checksum(map);
}

}  // namespace ptx_emulator
