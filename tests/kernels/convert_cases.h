#pragma once

#include <bit>
#include <cmath>
#include <vector>

#include "kernels/convert/convert_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

// What the tests of convert on the CPU and on CUDA share.
namespace ovid::kernels::test {

// Each of the 65,536 numbers of a 16-bit type.
inline Tensor every_pattern(DType dtype) {
  Tensor tensor(dtype, {65536});
  for (std::int64_t i = 0; i < 65536; ++i) {
    tensor.data<std::uint16_t>()[i] = static_cast<std::uint16_t>(i);
  }
  return tensor;
}

// Floats of all exponents with random bits, and the neighbourhood of every halfway point's kind.
inline Tensor varied_floats(int rounds) {
  std::vector<float> values;
  std::uint32_t bits = 1;
  for (int i = 0; i < rounds; ++i) {
    bits = bits * 1664525u + 1013904223u;
    values.push_back(std::bit_cast<float>(bits));
    // ... with the low bits at a tie of bfloat16 and of float16, one below and one above
    for (const std::uint32_t low : {0x8000u, 0x7FFFu, 0x8001u}) {
      values.push_back(std::bit_cast<float>((bits & 0xFFFF0000u) | low));
    }
    const std::uint32_t half_range = (bits & 0x87FFFFFFu) | 0x38000000u;
    for (const std::uint32_t low : {0x1000u, 0x0FFFu, 0x1001u}) {
      values.push_back(std::bit_cast<float>((half_range & 0xFFFFE000u) | low));
    }
  }
  for (const float special :
       {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 65519.996f, 65520.0f, -65520.0f, 0x1p-14f, 0x1p-24f,
        0x1p-25f, 0x1.8p-25f, 0x1p-149f, 3.4e38f, 3.3961775e38f, 3.3961777e38f}) {
    values.push_back(special);
  }
  const auto count = static_cast<std::int64_t>(values.size());
  return Tensor::of(Shape{count}, values);
}

// CHECKs that `out` is `in` rounded to nearest, ties to even; some of `in` is NaN.
inline void check_rounding(const Tensor& in, const Tensor& out,
                           const reference::FloatFormat& format) {
  const std::vector<double> values = in.values(), actual = out.values();
  int nans = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = reference::round_to(format, values[i]);
    INFO(name_of(out.dtype()) << " of " << values[i] << " is " << actual[i] << ", not "
                              << expected);
    if (std::isnan(expected)) {
      ++nans;
      REQUIRE(std::isnan(actual[i]));
    } else {
      REQUIRE((actual[i] == expected && std::signbit(actual[i]) == std::signbit(expected)));
    }
  }
  CHECK(nans > 0);
}

}  // namespace ovid::kernels::test
