#pragma once
// What one mma.sync or wmma.mma multiplies: shape, types, and where its registers lie.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tests/ptx_emulator/machine/op.h"
#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator::tensor {

enum class Element : std::uint8_t {
  kF16,
  kBf16,
  kTf32,
  kF32,
  kF64,
  kE4m3,
  kE5m2,
  kS8,
  kU8,
  kS4,
  kU4,
  kB1,
  kS32,
};
std::optional<Element> element_named(std::string_view word);
// Bits of one element in a register (32 for tf32).
std::uint32_t bits_of(Element element);

struct Shape {
  std::uint32_t M = 0, N = 0, K = 0;
  friend bool operator==(const Shape&, const Shape&) = default;
};
// "m16n8k16"; nullopt where the word is no shape.
std::optional<Shape> shape_named(std::string_view word);

inline constexpr std::size_t kMostProductRegisters = 8;

struct HalfProduct;  // machine/tensor/products.h

struct ProductForm {
  Shape shape;
  // Of f16 and bf16 with f32 accumulators: the kernel of this processor, chosen once.
  void (*half_kernel)(const HalfProduct&) = nullptr;
  Element a_type = Element::kF16, b_type = Element::kF16, c_type = Element::kF32,
          d_type = Element::kF32;
  bool saturate = false;  // .satfinite
  bool bit_and = false;   // of b1: and instead of xor
  std::uint8_t num_a = 0, num_b = 0, num_c = 0, num_d = 0;
  std::array<Place, kMostProductRegisters> a{}, b{}, c{}, d{};
  std::uint64_t flops() const { return 2ull * shape.M * shape.N * shape.K; }
};

}  // namespace ptx_emulator::tensor
