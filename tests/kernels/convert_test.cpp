#include "kernels/convert/convert.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/convert/convert_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels::test {

namespace {

Tensor converted(const Tensor& in, DType dtype, int threads = 2) {
  Tensor out(dtype, in.shape());
  run_op(threads, [&](ExecutionContext& ctx) { convert(ctx, {.in = in, .out = out}); });
  return out;
}

Tensor every_pattern(DType dtype) {
  Tensor tensor(dtype, {65536});
  for (std::int64_t i = 0; i < 65536; ++i) {
    tensor.data<std::uint16_t>()[i] = static_cast<std::uint16_t>(i);
  }
  return tensor;
}

// Floats of all exponents with random bits, and the neighbourhood of every halfway point's kind.
Tensor varied_floats() {
  std::vector<float> values;
  std::uint32_t bits = 1;
  for (int i = 0; i < 40000; ++i) {
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
       {0.0f, -0.0f, INFINITY, -INFINITY, 65519.996f, 65520.0f, -65520.0f, 0x1p-14f, 0x1p-24f,
        0x1p-25f, 0x1.8p-25f, 0x1p-149f, 3.4e38f, 3.3961775e38f, 3.3961777e38f}) {
    values.push_back(special);
  }
  const auto count = static_cast<std::int64_t>(values.size());
  return Tensor::of(Shape{count}, values);
}

void check_rounding(const Tensor& in, DType dtype, const reference::FloatFormat& format) {
  const std::vector<double> values = in.values();
  const std::vector<double> actual = converted(in, dtype).values();
  int nans = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = reference::round_to(format, values[i]);
    INFO(name_of(dtype) << " of " << values[i] << " is " << actual[i] << ", not " << expected);
    if (std::isnan(expected)) {
      ++nans;
      REQUIRE(std::isnan(actual[i]));
    } else {
      REQUIRE((actual[i] == expected && std::signbit(actual[i]) == std::signbit(expected)));
    }
  }
  CHECK(nans > 0);
}

}  // namespace

TEST_CASE("conversion rounds to nearest even as the reference does", "[kernels][cpu]") {
  const Tensor in = varied_floats();
  for_each_instruction_set([&] {
    check_rounding(in, DType::kBfloat16, reference::kBfloat16Format);
    check_rounding(in, DType::kFloat16, reference::kFloat16Format);
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
