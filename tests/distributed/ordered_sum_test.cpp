#include "src/distributed/ordered_sum.h"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/common/errors.h"
#include "tests/catch.h"

using namespace ovid;
using namespace ovid::distributed;
using kernels::DType;

namespace {

template <class T>
std::vector<T> sum_of(const std::vector<std::vector<T>>& rows, DType dtype) {
  std::vector<const void*> addresses;
  for (const auto& row : rows) addresses.push_back(row.data());
  std::vector<T> out(rows[0].size());
  std::vector<T> copy(rows[0].size());
  ordered_sum({.rows = addresses,
               .out = out.data(),
               .copy = copy.data(),
               .dtype = dtype,
               .elements = static_cast<std::int64_t>(out.size())});
  // Bytes: a number that is not one equals nothing.
  CHECK(std::memcmp(out.data(), copy.data(), out.size() * sizeof(T)) == 0);
  return out;
}

}  // namespace

TEST_CASE("rows are added from the first to the last, element by element", "[distributed]") {
  std::mt19937 random(11);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (const std::size_t size : {1u, 3u, 15u, 16u, 63u, 64u, 65u, 1000u}) {
    for (const std::size_t number : {1u, 2u, 5u, 8u}) {
      std::vector<std::vector<float>> rows(number, std::vector<float>(size));
      for (auto& row : rows) {
        for (float& x : row) x = uniform(random) * std::exp2(static_cast<float>(random() % 20));
      }
      const std::vector<float> sums = sum_of(rows, DType::kFloat32);
      for (std::size_t i = 0; i < size; ++i) {
        float expected = rows[0][i];
        for (std::size_t r = 1; r < number; ++r) expected += rows[r][i];
        REQUIRE(sums[i] == expected);
      }
    }
  }
}

TEST_CASE("16-bit numbers are added in float32 and rounded once", "[distributed]") {
  // 256 + 1 + 1: rounded after each addition, bfloat16 (8 bits of significand) would stay at 256.
  const std::vector<std::vector<std::uint16_t>> bfloat16 = {{0x4380}, {0x3F80}, {0x3F80}};
  CHECK(sum_of(bfloat16, DType::kBfloat16)[0] == 0x4381);
  // 2048 + 1 + 1: the same of float16 (11 bits).
  const std::vector<std::vector<std::uint16_t>> float16 = {{0x6800}, {0x3C00}, {0x3C00}};
  CHECK(sum_of(float16, DType::kFloat16)[0] == 0x6801);
}

TEST_CASE("a number that is not one stays so, and whole numbers wrap around", "[distributed]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(sum_of<float>({{1.0f}, {nan}}, DType::kFloat32)[0]));
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t kLeast = std::numeric_limits<std::int32_t>::min();
  CHECK(sum_of<std::int32_t>({{kMost}, {1}}, DType::kInt32)[0] == kLeast);
  CHECK_THROWS_AS(sum_of<std::uint8_t>({{1}, {1}}, DType::kUint8), kernels::ShapeError);
}
