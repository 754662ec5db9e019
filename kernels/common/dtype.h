#pragma once

#include <cstddef>
#include <cstdint>

namespace ovid::kernels {

enum class DType : std::uint8_t {
  kFloat64,
  kFloat32,
  kBfloat16,
  kFloat16,
  kInt32,
  kUint16,
  kUint8
};

constexpr std::size_t bytes_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return 8;
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kBfloat16:
    case DType::kFloat16:
    case DType::kUint16:
      return 2;
    case DType::kUint8:
      return 1;
  }
  return 0;
}

constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return "float64";
    case DType::kFloat32:
      return "float32";
    case DType::kBfloat16:
      return "bfloat16";
    case DType::kFloat16:
      return "float16";
    case DType::kInt32:
      return "int32";
    case DType::kUint16:
      return "uint16";
    case DType::kUint8:
      return "uint8";
  }
  return "?";
}

template <class T>
inline constexpr bool kHasDType = false;
template <>
inline constexpr bool kHasDType<double> = true;
template <>
inline constexpr bool kHasDType<float> = true;
template <>
inline constexpr bool kHasDType<std::int32_t> = true;
template <>
inline constexpr bool kHasDType<std::uint16_t> = true;
template <>
inline constexpr bool kHasDType<std::uint8_t> = true;

// Whether elements of `dtype` may be read as T. uint16 also carries the bits of the two 16-bit
// floats.
template <class T>
constexpr bool stores(DType dtype) {
  static_assert(kHasDType<T>, "no dtype is stored as this C++ type");
  if constexpr (sizeof(T) == 8) return dtype == DType::kFloat64;
  if constexpr (sizeof(T) == 2) {
    return dtype == DType::kUint16 || dtype == DType::kBfloat16 || dtype == DType::kFloat16;
  }
  if constexpr (sizeof(T) == 1) return dtype == DType::kUint8;
  return T(0.5) > T(0) ? dtype == DType::kFloat32 : dtype == DType::kInt32;
}

}  // namespace ovid::kernels
