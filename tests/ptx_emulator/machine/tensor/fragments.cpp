#include "tests/ptx_emulator/machine/tensor/fragments.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <string>

#include "tests/ptx_emulator/machine/tensor/number_formats.h"
#include "tests/ptx_emulator/machine/tensor/products.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

constexpr std::uint32_t kMostDepth = 64;  // numbers of k, of s4

ptx::Type register_type(Element element) {
  if (element == Element::kF64) return ptx::Type::kF64;
  return element == Element::kF32 ? ptx::Type::kF32 : ptx::Type::kB32;
}

std::uint8_t copy_places(const std::vector<Place>& places,
                         std::array<Place, kMostProductRegisters>& to, std::uint32_t expected,
                         const char* name) {
  if (places.size() != expected) {
    Assembler::unsupported("operand " + std::string(name) + " has " +
                           std::to_string(places.size()) + " registers, the shape needs " +
                           std::to_string(expected));
  }
  std::copy(places.begin(), places.end(), to.begin());
  return static_cast<std::uint8_t>(expected);
}

// Calls use(row, k, word, shift) for each element of A; rows of 8-row shapes are 0 to 7.
template <typename Use>
void for_each_a(const Warp& warp, const ProductForm& form, std::uint32_t bits, Use use) {
  const std::uint32_t E = 32 / bits;
  const bool tall = form.shape.M == 16;
  for (std::uint32_t i = 0; i < form.num_a; ++i) {
    const auto* lanes = read<std::uint32_t>(warp, form.a[i]);
    const std::uint32_t row = tall ? 8 * (i % 2) : 0;
    const std::uint32_t first = 4 * E * (tall ? i / 2 : i);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      for (std::uint32_t j = 0; j < E; ++j) {
        use(row + lane / 4, first + E * (lane % 4) + j, lanes[lane], bits * j);
      }
    }
  }
}
template <typename Use>
void for_each_b(const Warp& warp, const ProductForm& form, std::uint32_t bits, Use use) {
  const std::uint32_t E = 32 / bits;
  for (std::uint32_t i = 0; i < form.num_b; ++i) {
    const auto* lanes = read<std::uint32_t>(warp, form.b[i]);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      for (std::uint32_t j = 0; j < E; ++j) {
        use(4 * E * i + E * (lane % 4) + j, lane / 4, lanes[lane], bits * j);
      }
    }
  }
}

float float_of(Element element, std::uint32_t word, std::uint32_t shift) {
  const std::uint32_t bits = word >> shift;
  switch (element) {
    case Element::kF16:
      return float_of_f16(static_cast<std::uint16_t>(bits));
    case Element::kBf16:
      return float_of_bf16(static_cast<std::uint16_t>(bits));
    case Element::kE4m3:
      return e4m3_values()[bits & 0xFFu];
    case Element::kE5m2:
      return e5m2_values()[bits & 0xFFu];
    default:
      return float_of_tf32(word);
  }
}

std::int32_t integer_of(Element element, std::uint32_t word, std::uint32_t shift) {
  const std::uint32_t bits = word >> shift;
  switch (element) {
    case Element::kS8:
      return static_cast<std::int8_t>(bits & 0xFFu);
    case Element::kU8:
      return static_cast<std::int32_t>(bits & 0xFFu);
    case Element::kS4:
      return static_cast<std::int32_t>(bits << 28) >> 28;
    default:
      return static_cast<std::int32_t>(bits & 15u);
  }
}

void load_accumulators(const Warp& warp, const ProductForm& form, float* c) {
  if (form.c_type == Element::kF32) {
    for (std::size_t i = 0; i < 4; ++i) std::memcpy(c + 32 * i, read<float>(warp, form.c[i]), 128);
    return;
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const auto* words = read<std::uint32_t>(warp, form.c[i]);
    for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
      c[64 * i + lane] = float_of_f16(static_cast<std::uint16_t>(words[lane]));
      c[64 * i + 32 + lane] = float_of_f16(static_cast<std::uint16_t>(words[lane] >> 16));
    }
  }
}

void store_accumulators(Warp& warp, const ProductForm& form, const float* d) {
  if (form.d_type == Element::kF32) {
    for (std::size_t i = 0; i < 4; ++i) std::memcpy(write<float>(warp, form.d[i]), d + 32 * i, 128);
    return;
  }
  for (std::size_t i = 0; i < 2; ++i) {
    auto* words = write<std::uint32_t>(warp, form.d[i]);
    for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
      words[lane] = f16_of_float(d[64 * i + lane]) |
                    (std::uint32_t{f16_of_float(d[64 * i + 32 + lane])} << 16);
    }
  }
}

}  // namespace

void place_fragments(Assembler& assembler, ProductForm& form) {
  const auto registers = [](std::uint32_t elements, Element type) {
    const std::uint32_t bits = bits_of(type);
    return elements * bits / (bits == 64 ? 64 : 32) / kWarpLanes;
  };
  const Shape& s = form.shape;
  // Results first: their slots may be those of inputs.
  form.num_d = copy_places(destinations(assembler, 0, register_type(form.d_type)), form.d,
                           registers(s.M * s.N, form.d_type), "d");
  form.num_a = copy_places(sources(assembler, 1, register_type(form.a_type)), form.a,
                           registers(s.M * s.K, form.a_type), "a");
  form.num_b = copy_places(sources(assembler, 2, register_type(form.b_type)), form.b,
                           registers(s.K * s.N, form.b_type), "b");
  form.num_c = copy_places(sources(assembler, 3, register_type(form.c_type)), form.c,
                           registers(s.M * s.N, form.c_type), "c");
}

void multiply_floats(Warp& warp, const ProductForm& form) {
  alignas(64) float a[16 * kMostDepth];
  alignas(64) float b[8 * kMostDepth];
  alignas(64) float c[4 * kWarpLanes];
  const std::uint32_t K = form.shape.K;
  for_each_a(warp, form, bits_of(form.a_type),
             [&](std::uint32_t row, std::uint32_t k, std::uint32_t word, std::uint32_t shift) {
               a[packed_index_a(row, k, K)] = float_of(form.a_type, word, shift);
             });
  for_each_b(warp, form, bits_of(form.b_type),
             [&](std::uint32_t k, std::uint32_t n, std::uint32_t word, std::uint32_t shift) {
               b[8 * k + packed_column(n)] = float_of(form.b_type, word, shift);
             });
  load_accumulators(warp, form, c);
  product_kernels().f32(a, b, c, K, 1);
  store_accumulators(warp, form, c);
}

void multiply_integers(Warp& warp, const ProductForm& form) {
  alignas(64) std::int32_t a[16 * kMostDepth] = {};
  alignas(64) std::int32_t b[8 * kMostDepth];
  alignas(64) std::int32_t sum[4 * kWarpLanes] = {};
  const std::uint32_t K = form.shape.K;
  for_each_a(warp, form, bits_of(form.a_type),
             [&](std::uint32_t row, std::uint32_t k, std::uint32_t word, std::uint32_t shift) {
               a[packed_index_a(row, k, K)] = integer_of(form.a_type, word, shift);
             });
  for_each_b(warp, form, bits_of(form.b_type),
             [&](std::uint32_t k, std::uint32_t n, std::uint32_t word, std::uint32_t shift) {
               b[8 * k + packed_column(n)] = integer_of(form.b_type, word, shift);
             });
  product_kernels().s32(a, b, sum, K, 1);
  for (std::size_t i = 0; i < form.num_d; ++i) {
    const auto* c = read<std::int32_t>(warp, form.c[i]);
    auto* d = write<std::int32_t>(warp, form.d[i]);
    for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
      const std::int64_t exact = std::int64_t{c[lane]} + sum[32 * i + lane];
      constexpr std::int64_t kLeast = std::numeric_limits<std::int32_t>::min();
      constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
      d[lane] = static_cast<std::int32_t>(form.saturate ? std::clamp(exact, kLeast, kMost) : exact);
    }
  }
}

void multiply_bits(Warp& warp, const ProductForm& form) {
  std::uint32_t a[16][8] = {};  // words of 32 k
  std::uint32_t b[8][8];
  const std::uint32_t words = form.shape.K / 32;
  // A word is one element here: the formulas hold with E = 1.
  for_each_a(warp, form, 32,
             [&](std::uint32_t row, std::uint32_t k, std::uint32_t word, std::uint32_t) {
               a[row][k] = word;
             });
  for_each_b(
      warp, form, 32,
      [&](std::uint32_t k, std::uint32_t n, std::uint32_t word, std::uint32_t) { b[n][k] = word; });
  for (std::uint32_t i = 0; i < form.num_d; ++i) {
    const auto* c = read<std::uint32_t>(warp, form.c[i]);
    auto* d = write<std::uint32_t>(warp, form.d[i]);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      const std::uint32_t* row = a[lane / 4 + 8 * (i / 2)];
      const std::uint32_t* column = b[2 * (lane % 4) + i % 2];
      std::uint32_t sum = c[lane];
      for (std::uint32_t k = 0; k < words; ++k) {
        sum += std::popcount(form.bit_and ? row[k] & column[k] : row[k] ^ column[k]);
      }
      d[lane] = sum;
    }
  }
}

void multiply_doubles(Warp& warp, const ProductForm& form) {
  alignas(64) double a[16 * 16];
  alignas(64) double b[16 * 8];
  alignas(64) double c[16 * 8];
  const Shape& s = form.shape;
  const std::uint32_t row_groups = s.M / 8;
  for (std::uint32_t i = 0; i < form.num_a; ++i) {
    const auto* lanes = read<double>(warp, form.a[i]);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      a[(lane / 4 + 8 * (i % row_groups)) * s.K + 4 * (i / row_groups) + lane % 4] = lanes[lane];
    }
  }
  for (std::uint32_t i = 0; i < form.num_b; ++i) {
    const auto* lanes = read<double>(warp, form.b[i]);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      b[(4 * i + lane % 4) * 8 + lane / 4] = lanes[lane];
    }
  }
  const auto position = [](std::uint32_t i, std::uint32_t lane) {
    return (lane / 4 + 8 * (i / 2)) * 8 + 2 * (lane % 4) + i % 2;
  };
  for (std::uint32_t i = 0; i < form.num_c; ++i) {
    const auto* lanes = read<double>(warp, form.c[i]);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) c[position(i, lane)] = lanes[lane];
  }
  product_kernels().f64(a, b, c, s.M, 8, s.K);
  for (std::uint32_t i = 0; i < form.num_d; ++i) {
    auto* lanes = write<double>(warp, form.d[i]);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) lanes[lane] = c[position(i, lane)];
  }
}

}  // namespace ptx_emulator::tensor
