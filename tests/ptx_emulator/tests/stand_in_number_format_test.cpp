#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "tests/catch.h"
#include "tests/ptx_emulator/stand_ins/support/blas.h"
#include "tests/ptx_emulator/stand_ins/support/number_format.h"

using namespace ptx_emulator::stand_ins;

namespace {

// Floats of every exponent, with neighbours of every rounding boundary and special values.
std::vector<float> test_values() {
  std::mt19937 random(7);
  std::vector<float> values = {0.0F,
                               -0.0F,
                               448.0F,
                               464.0F,
                               465.0F,
                               57344.0F,
                               61440.0F,
                               65504.0F,
                               65519.0F,
                               65520.0F,
                               1e30F,
                               std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::denorm_min()};
  for (int i = 0; i < 200'000; ++i) {
    auto bits = static_cast<std::uint32_t>(random());
    if (i % 2 == 0) bits = (bits & 0xffff0000U) | (i % 4 == 0 ? 0x8000U : 0x7fffU);
    if (i % 3 == 0)
      bits = (bits & 0x807fffffU) | ((100U + static_cast<std::uint32_t>(random() % 50U)) << 23);
    const float value = std::bit_cast<float>(bits);
    if (!std::isnan(value)) values.push_back(value);
  }
  return values;
}

template <class Bits, class Encode>
void check_store(NumberFormat format, Encode&& encode) {
  const std::vector<float> values = test_values();
  std::vector<Bits> stored(values.size());
  store(format, values.data(), values.size(), stored.data());
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (stored[i] == encode(values[i])) continue;
    if (wrong++ == 0)
      FAIL_CHECK(name_of(format) << " of " << values[i] << " is " << +stored[i] << ", not "
                                 << +encode(values[i]));
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("stand-ins round to every float type as the CUDA headers do", "[ptx]") {
  check_store<std::uint16_t>(NumberFormat::kFloat16,
                             [](float x) { return __half_as_ushort(__float2half_rn(x)); });
  check_store<std::uint16_t>(NumberFormat::kBfloat16,
                             [](float x) { return __bfloat16_as_ushort(__float2bfloat16_rn(x)); });
  check_store<std::uint8_t>(NumberFormat::kFloat8E4m3, [](float x) {
    return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3);
  });
  check_store<std::uint8_t>(NumberFormat::kFloat8E5m2, [](float x) {
    return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E5M2);
  });
}

TEST_CASE("stand-ins read every bit pattern of the small float types", "[ptx]") {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto narrow = static_cast<std::uint16_t>(bits);
    float wide = 0;
    load(NumberFormat::kFloat16, &narrow, 1, &wide);
    const float expected = __half2float(__ushort_as_half(narrow));
    if (!(wide == expected || (std::isnan(wide) && std::isnan(expected))))
      FAIL("float16 bits " << bits);
    if (bits > 255) continue;
    const auto byte = static_cast<std::uint8_t>(bits);
    float value = 0;
    load(NumberFormat::kFloat8E4m3, &byte, 1, &value);
    const float e4m3 = __half2float(__half(__nv_cvt_fp8_to_halfraw(byte, __NV_E4M3)));
    if (!(value == e4m3 || (std::isnan(value) && std::isnan(e4m3)))) FAIL("e4m3 bits " << bits);
    load(NumberFormat::kFloat8E5m2, &byte, 1, &value);
    const float e5m2 = __half2float(__half(__nv_cvt_fp8_to_halfraw(byte, __NV_E5M2)));
    if (!(value == e5m2 || (std::isnan(value) && std::isnan(e5m2)))) FAIL("e5m2 bits " << bits);
  }
}

TEST_CASE("stand-ins round doubles once and saturate integers", "[ptx]") {
  // Rounding through float first would make a tie of this.
  const double just_above_tie = 1.0 + std::ldexp(1.0, -8) + std::ldexp(1.0, -40);
  CHECK(round_to(NumberFormat::kBfloat16, just_above_tie) == 1.0 + std::ldexp(1.0, -7));
  CHECK(round_to(NumberFormat::kFloat16, 1.0 + std::ldexp(1.0, -11) + std::ldexp(1.0, -40)) ==
        1.0 + std::ldexp(1.0, -10));
  CHECK(round_to(NumberFormat::kInt8, 1000.0) == 127.0);
  CHECK(round_to(NumberFormat::kInt8, -1000.0) == -128.0);
  CHECK(round_to(NumberFormat::kUint8, -3.0) == 0.0);
  CHECK(round_to(NumberFormat::kInt32, 2.5) == 2.0);
  CHECK(round_to_tf32(1.0F + std::ldexp(1.0F, -11)) == 1.0F + std::ldexp(1.0F, -10));
}

TEST_CASE("plain product loops agree with the BLAS", "[ptx]") {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      const std::int64_t m = 67;
      const std::int64_t n = 35;
      const std::int64_t k = 129;
      std::vector<float> a(static_cast<std::size_t>(140 * 140));
      std::vector<float> b(a.size());
      for (float& x : a) x = uniform(random);
      for (float& x : b) x = uniform(random);
      std::vector<float> one(static_cast<std::size_t>(m * n));
      std::vector<float> two(one.size());
      HostProduct<float> product{ta, tb, m, n, k, a.data(), 140, b.data(), 140, one.data(), m};
      multiply(product);
      product.c = two.data();
      multiply_plain(product);
      for (std::size_t i = 0; i < one.size(); ++i) REQUIRE(std::fabs(one[i] - two[i]) < 1e-4F);
    }
  }
}
