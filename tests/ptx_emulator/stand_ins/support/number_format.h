#pragma once
// The number formats of the libraries' operands, and conversion to and from the types that products
// are computed in.

#include <cstddef>
#include <cstdint>
#include <optional>

namespace ptx_emulator::stand_ins {

enum class NumberFormat : std::uint8_t {
  kFloat64,
  kFloat32,
  kFloat16,
  kBfloat16,
  kFloat8E4m3,  // finite and NaN only; stores saturate at +-448
  kFloat8E5m2,  // stores saturate at +-57344
  kInt8,
  kUint8,
  kInt32,
  kUint32,
  kInt64,
  kUint64,
};

// By the numbers of cudaDataType (library_types.h); nothing for complex, 4-bit, 6-bit and 16-bit
// integer types.
std::optional<NumberFormat> format_of_cuda_type(int cuda_data_type);
std::size_t bytes_of(NumberFormat format);
const char* name_of(NumberFormat format);
bool is_integer(NumberFormat format);

// `count` consecutive elements to Real (float or double). Source and destination do not overlap.
template <class Real>
void load(NumberFormat format, const void* from, std::size_t count, Real* to);
// The reverse, rounded once to nearest even; integers saturate, NaN becomes 0 there.
template <class Real>
void store(NumberFormat format, const Real* from, std::size_t count, void* to);

extern template void load<float>(NumberFormat, const void*, std::size_t, float*);
extern template void load<double>(NumberFormat, const void*, std::size_t, double*);
extern template void store<float>(NumberFormat, const float*, std::size_t, void*);
extern template void store<double>(NumberFormat, const double*, std::size_t, void*);

// The value that `format` would keep of x (one rounding).
double round_to(NumberFormat format, double x);
// x rounded to TF32 (10 bits of mantissa, ties away from zero as cvt.rna.tf32 does).
float round_to_tf32(float x);

}  // namespace ptx_emulator::stand_ins
