#include "tests/ptx_emulator/machine/tensor/wgmma_operands.h"

#include <bit>
#include <cstring>
#include <string>
#include <type_traits>

#include "tests/ptx_emulator/machine/access.h"
#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/tensor/number_formats.h"
#include "tests/ptx_emulator/machine/tensor/products.h"
#include "tests/ptx_emulator/machine/tensor/wgmma_packing.h"

namespace ptx_emulator::tensor {
namespace {

constexpr std::uint32_t kUnit = 16;  // bytes

// One element to the 32 bits that the kernels multiply: a float's, or an integer.
template <Element kType>
std::uint32_t widen(std::uint32_t bits, bool negate) {
  if constexpr (kType == Element::kS8) {
    return static_cast<std::uint32_t>(std::int32_t{static_cast<std::int8_t>(bits & 0xFFu)});
  } else if constexpr (kType == Element::kU8) {
    return bits & 0xFFu;
  } else {
    float value = 0;
    if constexpr (kType == Element::kF16) value = float_of_f16(static_cast<std::uint16_t>(bits));
    if constexpr (kType == Element::kBf16) value = float_of_bf16(static_cast<std::uint16_t>(bits));
    if constexpr (kType == Element::kE4m3) value = e4m3_values()[bits & 0xFFu];
    if constexpr (kType == Element::kE5m2) value = e5m2_values()[bits & 0xFFu];
    if constexpr (kType == Element::kTf32) value = float_of_tf32(bits);
    return std::bit_cast<std::uint32_t>(value) ^ static_cast<std::uint32_t>(negate) << 31;
  }
}

// Calls use(a constant of the type), so that what depends on the type is decided outside of loops.
template <typename Use>
void with_type(Element type, Use use) {
  switch (type) {
    case Element::kS8:
      return use(std::integral_constant<Element, Element::kS8>());
    case Element::kU8:
      return use(std::integral_constant<Element, Element::kU8>());
    case Element::kF16:
      return use(std::integral_constant<Element, Element::kF16>());
    case Element::kBf16:
      return use(std::integral_constant<Element, Element::kBf16>());
    case Element::kE4m3:
      return use(std::integral_constant<Element, Element::kE4m3>());
    case Element::kE5m2:
      return use(std::integral_constant<Element, Element::kE5m2>());
    default:
      return use(std::integral_constant<Element, Element::kTf32>());
  }
}

constexpr std::uint32_t bytes_of(Element type) {
  if (type == Element::kTf32) return 4;
  return type == Element::kF16 || type == Element::kBf16 ? 2 : 1;
}

// Host address of the unit that holds element (row, k).
const std::byte* unit_at(Warp& warp, const Op* op, const OperandRequest& request, std::uint32_t row,
                         std::uint32_t k, std::uint32_t element) {
  const Block& block = *warp.block;
  const std::uint32_t at =
      request.descriptor.address(row, k, element, request.mn_major) & ~(kUnit - 1);
  if (block.observer != nullptr || at + kUnit > block.shared_bytes)
    resolve_range(warp, op, AccessSpace::kShared, AccessKind::kRead, at, kUnit, kUnit);
  return block.shared + at;
}

bool is_half(Element type) {
  return type == Element::kF16 || type == Element::kBf16;
}

void pack_half_a(Warp& warp, const Op* op, const OperandRequest& request, std::uint32_t first_row,
                 float* packed) {
  const HalfFormat format{request.type == Element::kBf16, request.negate};
  for (std::uint32_t row = 0; row < 16; ++row) {
    for (std::uint32_t k = 0; k < request.K; k += 8) {
      float eight[8];
      widen_unit(unit_at(warp, op, request, first_row + row, k, 2), format, eight);
      std::memcpy(packed + packed_index_a(row, k, request.K), eight, 16);
      std::memcpy(packed + packed_index_a(row, k + 4, request.K), eight + 4, 16);
    }
  }
}

void pack_half_b(Warp& warp, const Op* op, const OperandRequest& request, std::uint32_t N,
                 float* packed) {
  const HalfFormat format{request.type == Element::kBf16, request.negate};
  for (std::uint32_t n = 0; n < N; n += 8) {
    float* tile = packed + std::size_t{n} * request.K;
    if (request.mn_major) {
      for (std::uint32_t k = 0; k < request.K; ++k)
        pack_columns(unit_at(warp, op, request, n, k, 2), format, tile + 8 * k);
      continue;
    }
    for (std::uint32_t k = 0; k < request.K; k += 8) {
      const std::byte* units[8];
      for (std::uint32_t i = 0; i < 8; ++i) units[i] = unit_at(warp, op, request, n + i, k, 2);
      pack_tile(units, format, tile + 8 * k);
    }
  }
}

// Calls use(row, k, widened bits) for every element, unit by unit.
template <Element kType, typename Use>
void for_each_element(Warp& warp, const Op* op, const OperandRequest& request,
                      std::uint32_t first_row, std::uint32_t rows, Use use) {
  constexpr std::uint32_t kBytes = bytes_of(kType);
  constexpr std::uint32_t kPerUnit = kUnit / kBytes;
  const std::uint32_t outer = request.mn_major ? request.K : rows;
  const std::uint32_t inner = request.mn_major ? rows : request.K;
  for (std::uint32_t i = 0; i < outer; ++i) {
    for (std::uint32_t j = 0; j < inner; j += kPerUnit) {
      const std::uint32_t row = request.mn_major ? j : i;
      const std::uint32_t k = request.mn_major ? i : j;
      std::uint8_t bytes[kUnit];
      std::memcpy(bytes, unit_at(warp, op, request, first_row + row, k, kBytes), kUnit);
      for (std::uint32_t e = 0; e < kPerUnit; ++e) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, bytes + e * kBytes, kBytes);
        bits = widen<kType>(bits, request.negate);
        if (request.mn_major) {
          use(row + e, k, bits);
        } else {
          use(row, k + e, bits);
        }
      }
    }
  }
}

}  // namespace

MatrixDescriptor MatrixDescriptor::unpack(std::uint64_t bits) {
  const auto field = [&](int shift) {
    return static_cast<std::uint32_t>(bits >> shift & 0x3FFFu) * kUnit;
  };
  if ((bits >> 49 & 7u) != 0) {
    throw DeviceFault(FaultKind::kInvalidOperand,
                      "a matrix descriptor with a base offset of " +
                          std::to_string(bits >> 49 & 7u) +
                          " is not supported: align the tile to its swizzle pattern");
  }
  static constexpr std::uint32_t kSpans[] = {0, 128, 64, 32};
  return {.start = field(0), .leading = field(16), .stride = field(32), .span = kSpans[bits >> 62]};
}

std::uint32_t MatrixDescriptor::address(std::uint32_t row, std::uint32_t k, std::uint32_t element,
                                        bool mn_major) const {
  std::uint32_t at = start;
  if (!mn_major) {
    const std::uint32_t byte = k * element;
    at += row / 8 * stride;
    if (span == 0) {
      at += row % 8 * kUnit + byte / kUnit * leading + byte % kUnit;
    } else {
      at += row % 8 * span + byte;
    }
  } else {
    const std::uint32_t byte = row * element;
    if (span == 0) {
      at += byte / kUnit * stride + byte % kUnit + k % 8 * kUnit + k / 8 * leading;
    } else {
      at += byte / span * leading + byte % span + k % 8 * span + k / 8 * stride;
    }
  }
  // Address bits from 7 on exchange the units of a span.
  const std::uint32_t mask = span == 0 ? 0 : span - kUnit;
  return at ^ (at >> 3 & mask);
}

void pack_a(Warp& warp, const Op* op, const OperandRequest& request, std::uint32_t first_row,
            std::uint32_t* packed) {
  if (is_half(request.type) && !request.mn_major)
    return pack_half_a(warp, op, request, first_row, reinterpret_cast<float*>(packed));
  with_type(request.type, [&](auto type) {
    for_each_element<type>(warp, op, request, first_row, 16,
                           [&](std::uint32_t row, std::uint32_t k, std::uint32_t word) {
                             packed[packed_index_a(row, k, request.K)] = word;
                           });
  });
}

void pack_b(Warp& warp, const Op* op, const OperandRequest& request, std::uint32_t N,
            std::uint32_t* packed) {
  if (is_half(request.type))
    return pack_half_b(warp, op, request, N, reinterpret_cast<float*>(packed));
  with_type(request.type, [&](auto type) {
    for_each_element<type>(warp, op, request, 0, N,
                           [&](std::uint32_t n, std::uint32_t k, std::uint32_t word) {
                             packed[8 * (request.K * (n / 8) + k) + packed_column(n % 8)] = word;
                           });
  });
}

void pack_a_registers(const std::uint32_t (*slots)[32], Element type, bool negate, std::uint32_t K,
                      std::uint32_t* packed) {
  with_type(type, [&](auto constant) {
    constexpr Element kType = constant;
    constexpr std::uint32_t E = 4 / bytes_of(kType);
    for (std::uint32_t i = 0; i < 4; ++i) {
      for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
        for (std::uint32_t j = 0; j < E; ++j) {
          const std::uint32_t k = 4 * E * (i / 2) + E * (lane % 4) + j;
          packed[packed_index_a(lane / 4 + 8 * (i % 2), k, K)] =
              widen<kType>(slots[i][lane] >> 32 / E * j, negate);
        }
      }
    }
  });
}

}  // namespace ptx_emulator::tensor
