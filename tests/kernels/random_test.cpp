#include "kernels/common/random.h"

#include <set>

#include "kernels/common/dropout_mask.h"
#include "kernels/cpu/dropout_factors.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels {

// The known answers that the authors publish with their library Random123 (kat_vectors, philox
// 4x32, 10 rounds).
TEST_CASE("philox gives its authors' known answers", "[kernels]") {
  CHECK(philox4x32(0, 0, 0) == Philox4x32{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  CHECK(philox4x32(~0ull, ~0ull, ~0ull) ==
        Philox4x32{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  // counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0: the digits of pi
  CHECK(philox4x32(0x299f31d0a4093822ull, 0x0370734413198a2eull, 0x85a308d3243f6a88ull) ==
        Philox4x32{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST_CASE("uniform numbers lie in [0, 1)", "[kernels]") {
  CHECK(uniform_float(0) == 0.0f);
  CHECK(uniform_float(~0u) < 1.0f);
  CHECK(uniform_double(0, 0) == 0.0);
  CHECK(uniform_double(~0u, ~0u) < 1.0);
}

TEST_CASE("no two random streams share a number", "[kernels]") {
  std::set<std::uint64_t> counters;
  int streams = 0;
  for (const RandomUse use :
       {RandomUse::kInitialisation, RandomUse::kDropout, RandomUse::kSampling}) {
    for (const std::uint64_t major : {0ull, 1ull, 0xFFFFFFFFull}) {
      for (const std::uint32_t minor : {0u, 1u, 0xFFFFFFu}) {
        counters.insert(
            RandomStream{.seed = 1, .use = use, .major = major, .minor = minor}.counter_high());
        ++streams;
      }
    }
  }
  CHECK(counters.size() == static_cast<std::size_t>(streams));
}

TEST_CASE("a dropout mask keeps its share, scaled, and its quads agree with its elements",
          "[kernels]") {
  const DropoutMask mask{.probability = 0.25f, .stream = {.seed = 7, .major = 3, .minor = 5}};
  constexpr int kQuads = 4096;
  int kept = 0;
  for (std::uint64_t quad = 0; quad < kQuads; ++quad) {
    float factors[4];
    mask.factors(quad, factors);
    for (std::uint64_t i = 0; i < 4; ++i) {
      REQUIRE(factors[i] == mask.factor(4 * quad + i));
      REQUIRE((factors[i] == 0.0f || factors[i] == mask.keep_scale()));
      if (factors[i] != 0.0f) ++kept;
    }
  }
  // Binomial: standard deviation sqrt(16384 * 0.25 * 0.75) = 55; six of them.
  CHECK(std::abs(kept - 3 * kQuads) < 330);
}

TEST_CASE("dropout factors in vectors are those of the mask, from any first element on",
          "[kernels][cpu]") {
  // The seed uses both halves of the key; the last start makes the counter carry into its second
  // word.
  const DropoutMask mask{
      .probability = 0.5f,
      .stream = {.seed = 0x9E3779B97F4A7C15ull, .major = 0x80000001ull, .minor = 0x800001}};
  test::for_each_instruction_set([&] {
    for (const std::uint64_t first : {0ull, 1ull, 6ull, 4ull * 0xFFFFFFFAull + 3}) {
      for (const std::int64_t count : {0, 1, 2, 5, 31, 64, 131}) {
        std::vector<float> factors(static_cast<std::size_t>(count) + 1, -1.0f);
        cpu::dropout_factors(mask, first, count, factors.data());
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
          REQUIRE(factors[i] == mask.factor(first + i));
        REQUIRE(factors.back() == -1.0f);
      }
    }
  });
}

}  // namespace ovid::kernels
