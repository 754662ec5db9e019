#include "kernels/convert/convert.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/stochastic_rounding.h"
#include "tests/catch.h"
#include "tests/kernels/convert_cases.h"

namespace ovid::kernels::test {

namespace {

Tensor converted(const Tensor& in, DType dtype, int threads = 2) {
  Tensor out(dtype, in.shape());
  run_op(threads, [&](ExecutionContext& ctx) { convert(ctx, {.in = in, .out = out}); });
  return out;
}

}  // namespace

TEST_CASE("conversion rounds to nearest even as the reference does", "[kernels][cpu]") {
  const Tensor in = varied_floats(40000);
  for_each_instruction_set([&] {
    check_rounding(in, converted(in, DType::kBfloat16), reference::kBfloat16Format);
    check_rounding(in, converted(in, DType::kFloat16), reference::kFloat16Format);
  });
}

TEST_CASE("every 16-bit number survives the way to float32 and back", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) {
      const Tensor in = every_pattern(dtype);
      const Tensor wide = converted(in, DType::kFloat32);
      check_close("widened", wide, in.values(), 0.0);
      const Tensor back = converted(wide, dtype);
      check_close("narrowed again", back, in.values(), 0.0);
      CHECK(converted(in, dtype).same_bits(in));
    }
    const Tensor across = converted(every_pattern(DType::kFloat16), DType::kBfloat16);
    const std::vector<double> from = every_pattern(DType::kFloat16).values();
    std::vector<double> expected;
    for (const double value : from) {
      expected.push_back(reference::round_to(reference::kBfloat16Format, value));
    }
    check_close("float16 to bfloat16", across, expected, 0.0);
  });
}

TEST_CASE("conversion does every count of elements on every number of threads", "[kernels][cpu]") {
  for_each_instruction_set([] {
    for (const std::int64_t count : {1, 7, 8, 9, 15, 17, 33, 32767, 32769}) {
      const Tensor in = Tensor::random({count}, 3);
      check_close("count", converted(converted(in, DType::kBfloat16, 1), DType::kFloat32),
                  in.values(), 0x1p-8);
    }
  });
  check_same_bits_on_threads("convert", [](int threads) {
    std::vector<Tensor> results;
    results.push_back(converted(Tensor::random({100001}, 4), DType::kBfloat16, threads));
    return results;
  });
}

TEST_CASE("stochastic rounding takes one of the two neighbours, and in the mean the number itself",
          "[kernels][cpu]") {
  constexpr std::int64_t kCount = 1 << 15;
  struct Case {
    DType dtype;
    float x, below, above;
  };
  // A third of the way between neighbours: normal, across an exponent, denormal, and (the last one,
  // whose unit is far above it) nearly always 0.
  for (const Case& c :
       {Case{DType::kBfloat16, 1.0f + 0x1p-7f / 3, 1.0f, 1.0f + 0x1p-7f},
        Case{DType::kBfloat16, -2.0f + 0x1p-7f / 3, -2.0f, -2.0f + 0x1p-7f},
        Case{DType::kBfloat16, 0x1p-126f / 3, 0x1p-133f * 42, 0x1p-133f * 43},
        Case{DType::kFloat16, 1.0f + 0x1p-10f / 3, 1.0f, 1.0f + 0x1p-10f},
        Case{DType::kFloat16, 0x1p-24f / 3, 0.0f, 0x1p-24f},
        Case{DType::kFloat16, -0x1p-24f * 100.25f, -0x1p-24f * 101, -0x1p-24f * 100},
        Case{DType::kFloat16, 0x1p-40f, 0.0f, 0x1p-24f}}) {
    INFO(name_of(c.dtype) << " of " << c.x);
    const RandomStream stream{.seed = 11, .use = RandomUse::kRounding, .major = 2};
    Tensor out(c.dtype, {kCount});
    const Tensor in = Tensor::filled({kCount}, c.x);
    run_op(2, [&](ExecutionContext& ctx) {
      convert(ctx, {.in = in, .out = out, .rounding = stream});
    });
    const double low = static_cast<double>(c.below), high = static_cast<double>(c.above);
    double sum = 0.0;
    for (const double value : out.values()) {
      REQUIRE((value == low || value == high));
      sum += (value - low) / (high - low);
    }
    // Six standard deviations of a mean of so many zeros and ones.
    const double share = (static_cast<double>(c.x) - low) / (high - low);
    CHECK(std::abs(sum / kCount - share) <= 6 * std::sqrt(share * (1 - share) / kCount));
  }
}

TEST_CASE("stochastic rounding keeps what the narrower type holds, on any number of threads",
          "[kernels][cpu]") {
  const RandomStream stream{.seed = 11, .use = RandomUse::kRounding};
  const auto rounded = [&](const Tensor& in, DType dtype, int threads) {
    Tensor out(dtype, in.shape());
    run_op(threads, [&](ExecutionContext& ctx) {
      convert(ctx, {.in = in, .out = out, .rounding = stream});
    });
    return out;
  };
  for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) {
    const Tensor in = every_pattern(dtype);
    check_close("exact", rounded(converted(in, DType::kFloat32), dtype, 2), in.values(), 0.0);
  }
  check_same_bits_on_threads("convert", [&](int threads) {
    std::vector<Tensor> results;
    results.push_back(rounded(varied_floats(5000), DType::kBfloat16, threads));
    results.push_back(rounded(every_pattern(DType::kFloat16), DType::kBfloat16, threads));
    return results;
  });
  // The word of an element is a function of its index alone.
  const Tensor in = Tensor::random({9}, 3), out = rounded(in, DType::kBfloat16, 1);
  for (std::int64_t i = 0; i < 9; ++i) {
    const std::uint32_t word = rounding_word(stream, static_cast<std::uint64_t>(i));
    CHECK(out.data<std::uint16_t>()[i] == round_to_bfloat16(in.data<float>()[i], word));
  }
}

TEST_CASE("conversion multiplies in float32 before it rounds", "[kernels][cpu]") {
  const Tensor in = Tensor::random({3001}, 5);
  for (const DType dtype : {DType::kFloat32, DType::kBfloat16, DType::kFloat16}) {
    Tensor product(DType::kFloat32, {3001}), expected(dtype, {3001}), out(dtype, {3001});
    for (std::int64_t i = 0; i < 3001; ++i) product.data<float>()[i] = 1.7f * in.data<float>()[i];
    run_op(2, [&](ExecutionContext& ctx) {
      convert(ctx, {.in = product, .out = expected});
      convert(ctx, {.in = in, .out = out, .scale = 1.7f});
    });
    CHECK(out.values() == expected.values());
  }
}

TEST_CASE("set_zero clears every byte and no other", "[kernels][cpu]") {
  for (const DType dtype : {DType::kFloat32, DType::kUint16, DType::kUint8}) {
    Tensor tensor(dtype, {3, 700001});
    run_op(3, [&](ExecutionContext& ctx) { set_zero(ctx, {.out = tensor}); });
    CHECK(tensor.same_bits(Tensor::zeros(dtype, {3, 700001})));
    CHECK(tensor.surroundings_untouched());
  }
}

TEST_CASE("set_zero of more than the caches hold begins and ends at any byte", "[kernels][cpu]") {
  constexpr std::int64_t kBytes = (std::int64_t{16} << 20) + 12345;
  for_each_instruction_set([&] {
    for (const std::int64_t first : {0, 1, 63}) {
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(first + kBytes + 1), 0xAB);
      const View out(bytes.data() + first, DType::kUint8, {kBytes});
      run_op(3, [&](ExecutionContext& ctx) { set_zero(ctx, {.out = out}); });
      const auto zeros = static_cast<std::int64_t>(std::count(bytes.begin(), bytes.end(), 0));
      CHECK(zeros == kBytes);
      CHECK((first == 0 || bytes[static_cast<std::size_t>(first - 1)] == 0xAB));
      CHECK(bytes.back() == 0xAB);
    }
  });
}

TEST_CASE("convert refuses operands that do not fit", "[kernels]") {
  ScratchArena arena;
  ExecutionContext ctx = ExecutionContext::dry_run(DeviceKind::kCpu, 1, arena);
  Tensor three(DType::kFloat32, {3});
  Tensor four(DType::kBfloat16, {4});
  Tensor integers(DType::kInt32, {3});
  Tensor padded(DType::kFloat32, {3, 4}, 5);
  CHECK_THROWS_WITH(convert(ctx, {.in = three.view(), .out = four}),
                    "convert: out is bfloat16 (4), expected 3 elements");
  CHECK_THROWS_WITH(convert(ctx, {.in = integers.view(), .out = three}),
                    "convert: in is int32 (3), expected float32, bfloat16 or float16");
  CHECK_THROWS_WITH(set_zero(ctx, {.out = padded}),
                    "set_zero: out is float32 (3, 4), expected contiguous rows");
}

}  // namespace ovid::kernels::test
