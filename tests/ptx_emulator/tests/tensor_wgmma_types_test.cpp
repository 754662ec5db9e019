// wgmma of every type of operands: small integers, which all of them hold exactly.
#include <cmath>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/tensor_harness.h"

namespace ptx_emulator::testing {
namespace {

using Index = std::uint32_t;

struct Kind {
  std::string d, a, b;
  Index bytes;
  bool has_minus;  // immediates that negate
};

// Bits of a small integer in a type.
std::uint32_t encode(const std::string& type, int value) {
  const auto number = static_cast<float>(value);
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, number);
  if (type == "tf32") return bits;
  if (type == "bf16") return bits >> 16;
  if (type == "s8" || type == "u8") return static_cast<std::uint32_t>(value) & 0xFFu;
  const std::uint32_t sign = bits >> 31;
  if (value == 0) return 0;
  const auto exponent = static_cast<int>(bits >> 23 & 255) - 127;
  const std::uint32_t fraction = bits & 0x7FFFFFu;
  if (type == "f16") {
    return sign << 15 | static_cast<std::uint32_t>(exponent + 15) << 10 | fraction >> 13;
  }
  if (type == "e4m3") {
    return sign << 7 | static_cast<std::uint32_t>(exponent + 7) << 3 | fraction >> 20;
  }
  return sign << 7 | static_cast<std::uint32_t>(exponent + 15) << 2 | fraction >> 21;
}

double decode_f16(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double fraction = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000u) != 0 ? -magnitude : magnitude;
}

// K-major without swizzle: core matrices of 8 rows of 16 bytes, along k first.
Index byte_of(Index row, Index k, Index depth, Index bytes) {
  const Index per_unit = 16 / bytes;
  return (row / 8 * (depth / per_unit) + k / per_unit) * 128 + row % 8 * 16 + k % per_unit * bytes;
}

void check(const Kind& kind, bool minus) {
  INFO(kind.d << " " << kind.a << " " << kind.b << (minus ? " negated" : ""));
  constexpr Index kColumns = 16;
  const Index K = 32 / kind.bytes;
  std::mt19937 random(6);
  const auto draw = [&](const std::string& type) {
    const int value = static_cast<int>(random() % 4);
    return type == "u8" || random() % 2 != 0 ? value : -value;
  };
  std::vector<std::uint8_t> image(8192);
  std::vector<int> a(64 * K);
  std::vector<int> b(kColumns * K);
  for (Index row = 0; row < 64; ++row) {
    for (Index k = 0; k < K; ++k) {
      const std::uint32_t bits = encode(kind.a, a[row * K + k] = draw(kind.a));
      std::memcpy(&image[byte_of(row, k, K, kind.bytes)], &bits, kind.bytes);
    }
  }
  for (Index n = 0; n < kColumns; ++n) {
    for (Index k = 0; k < K; ++k) {
      const std::uint32_t bits = encode(kind.b, b[n * K + k] = draw(kind.b));
      std::memcpy(&image[4096 + byte_of(n, k, K, kind.bytes)], &bits, kind.bytes);
    }
  }
  const std::uint64_t layout =
      std::uint64_t{128 >> 4} << 16 | std::uint64_t{K * kind.bytes / 16 * 128 >> 4} << 32;
  const Index count = kind.d == "f16" ? kColumns / 4 : kColumns / 2;
  std::string list = "{";
  std::string body =
      "mov.u32 %thread, %tid.x;\nmov.u32 %s, tile;\nshl.b32 %i, %thread, 2;\n"
      "COPY:\ncvt.u64.u32 %at, %i;\nadd.u64 %at, %at, %arg0;\nld.global.u32 %x, [%at];\n"
      "add.u32 %to, %s, %i;\nst.shared.u32 [%to], %x;\nadd.u32 %i, %i, 512;\n"
      "setp.lt.u32 %more, %i, 8192;\n@%more bra COPY;\nfence.proxy.async;\nbar.sync 0;\n"
      "setp.ne.u32 %more, 0, 0;\n";
  for (Index i = 0; i < count; ++i) {
    list += (i == 0 ? "%d" : ", %d") + std::to_string(i);
    body += "mov.b32 %d" + std::to_string(i) + ", 0x7FFFFFFF;\n";
  }
  list += "}";
  // The predicate is false: the accumulators count as zero, whatever they hold.
  body += "wgmma.fence.sync.aligned;\nwgmma.mma_async.sync.aligned.m64n" +
          std::to_string(kColumns) + "k" + std::to_string(K) + "." + kind.d + "." + kind.a + "." +
          kind.b + " " + list + ", " + std::to_string(layout) + ", " +
          std::to_string(layout | 4096 >> 4) + ", %more" +
          (kind.has_minus ? (minus ? ", -1, 1" : ", 1, 1") : "") +
          (kind.a == "f16" || kind.a == "bf16" ? ", 0, 0" : "") +
          ";\nwgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n"
          "mul.wide.u32 %at, %thread, " +
          std::to_string(4 * count) + ";\nadd.u64 %at, %at, %arg1;\n";
  for (Index i = 0; i < count; ++i) {
    body += "st.global.b32 [%at+" + std::to_string(4 * i) + "], %d" + std::to_string(i) + ";\n";
  }
  Device device;
  const std::uint64_t out = device.upload(std::vector<std::uint32_t>(128 * count));
  const LaunchResult result =
      device.run(kernel_text(2,
                             ".shared .align 1024 .b8 tile[8192];\n.reg .pred %more;\n"
                             ".reg .b32 %thread, %s, %i, %x, %to, %d<8>;\n.reg .b64 %at;\n",
                             body),
                 {.block = {128, 1, 1}}, {device.upload(image), out});
  REQUIRE(fault_of(result) == "");
  const auto got = device.download<std::uint32_t>(out, 128 * count);
  for (Index thread = 0; thread < 128; ++thread) {
    for (Index i = 0; i < kColumns / 2; ++i) {
      const Index row = thread / 32 * 16 + thread % 32 / 4 + 8 * (i / 2 % 2);
      const Index column = 8 * (i / 4) + 2 * (thread % 4) + i % 2;
      int expected = 0;
      for (Index k = 0; k < K; ++k) expected += a[row * K + k] * b[column * K + k];
      if (minus) expected = -expected;
      const std::uint32_t word = got[thread * count + (kind.d == "f16" ? i / 2 : i)];
      const double value = kind.d == "f16"   ? decode_f16(word >> 16 * (i % 2) & 0xFFFFu)
                           : kind.d == "s32" ? static_cast<std::int32_t>(word)
                                             : static_cast<double>(__builtin_bit_cast(float, word));
      REQUIRE(value == expected);
    }
  }
}

}  // namespace

TEST_CASE("wgmma multiplies every pair of types", "[ptx]") {
  const Kind kinds[] = {
      {"f32", "f16", "f16", 2, true},   {"f16", "f16", "f16", 2, true},
      {"f32", "bf16", "bf16", 2, true}, {"f32", "tf32", "tf32", 4, true},
      {"f32", "e4m3", "e5m2", 1, true}, {"f16", "e5m2", "e4m3", 1, true},
      {"s32", "s8", "u8", 1, false},    {"s32", "u8", "s8", 1, false},
  };
  for (const Kind& kind : kinds) {
    check(kind, false);
    if (kind.has_minus) check(kind, true);
  }
}

}  // namespace ptx_emulator::testing
