// Carrying out products of a warp group: all four warps' parts at once, in the order of issue.
#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/tensor/number_formats.h"
#include "tests/ptx_emulator/machine/tensor/products.h"
#include "tests/ptx_emulator/machine/tensor/warp_group.h"
#include "tests/ptx_emulator/machine/tensor/wgmma_operands.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

constexpr std::uint32_t kMostDepth = 32;
constexpr std::uint32_t kMostColumns = 256;

// B of the product that was packed last; the other warps of the group use the same.
struct PackedB {
  bool valid = false;
  std::uint64_t number = 0, descriptor = 0;
  std::vector<std::uint32_t> words = std::vector<std::uint32_t>(kMostColumns * kMostDepth);
};

struct Work {
  std::uint64_t number;
  Warp* warp;
  PendingProduct* pending;
};

void multiply_floats(const IssuedProduct& product, const std::uint32_t* a, const PackedB& b,
                     std::uint32_t* registers) {
  const WgmmaForm& form = *product.form;
  const auto* a_floats = reinterpret_cast<const float*>(a);
  const auto* b_floats = reinterpret_cast<const float*>(b.words.data());
  const std::uint32_t tiles = form.shape.N / 8;
  if (form.d_type == Element::kF32) {
    product_kernels().f32(a_floats, b_floats, reinterpret_cast<float*>(registers), form.shape.K,
                          tiles);
    return;
  }
  std::vector<float> sums(std::size_t{128} * tiles);
  for (std::uint32_t i = 0; i < 2 * tiles; ++i) {
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      const std::uint32_t word = registers[32 * i + lane];
      sums[64 * i + lane] = float_of_f16(static_cast<std::uint16_t>(word));
      sums[64 * i + 32 + lane] = float_of_f16(static_cast<std::uint16_t>(word >> 16));
    }
  }
  product_kernels().f32(a_floats, b_floats, sums.data(), form.shape.K, tiles);
  for (std::uint32_t i = 0; i < 2 * tiles; ++i) {
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      registers[32 * i + lane] = f16_of_float(sums[64 * i + lane]) |
                                 std::uint32_t{f16_of_float(sums[64 * i + 32 + lane])} << 16;
    }
  }
}

void multiply_integers(const IssuedProduct& product, const std::uint32_t* a, const PackedB& b,
                       std::uint32_t* registers) {
  const WgmmaForm& form = *product.form;
  const std::uint32_t tiles = form.shape.N / 8;
  std::vector<std::int32_t> sums(std::size_t{128} * tiles);
  product_kernels().s32(reinterpret_cast<const std::int32_t*>(a),
                        reinterpret_cast<const std::int32_t*>(b.words.data()), sums.data(),
                        form.shape.K, tiles);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::int64_t exact =
        std::int64_t{static_cast<std::int32_t>(registers[i])} + std::int64_t{sums[i]};
    constexpr std::int64_t kLeast = std::numeric_limits<std::int32_t>::min();
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    registers[i] =
        static_cast<std::uint32_t>(form.saturate ? std::clamp(exact, kLeast, kMost) : exact);
  }
}

void compute(Warp& warp, PendingProduct& pending, PackedB& b) {
  const IssuedProduct& product = pending.products[pending.computed];
  const WgmmaForm& form = *product.form;
  const std::uint32_t K = form.shape.K;
  if (!b.valid || b.number != product.number || b.descriptor != product.b_descriptor) {
    pack_b(warp, product.op,
           {MatrixDescriptor::unpack(product.b_descriptor), form.b_type, form.transpose_b,
            form.negate_b, K},
           form.shape.N, b.words.data());
    b.valid = true;
    b.number = product.number;
    b.descriptor = product.b_descriptor;
  }
  alignas(64) std::uint32_t a[16 * kMostDepth];
  if (form.a_in_registers) {
    std::uint32_t slots[4][32];
    std::memcpy(slots, product.a.data(), sizeof slots);
    pack_a_registers(slots, form.a_type, form.negate_a, K, a);
  } else {
    pack_a(warp, product.op,
           {MatrixDescriptor::unpack(product.a_descriptor), form.a_type, form.transpose_a,
            form.negate_a, K},
           16 * (warp.index % 4), a);
  }
  std::uint32_t* registers = pending.accumulators.data();
  if (!product.accumulate) std::fill_n(registers, pending.accumulators.size(), 0u);
  if (form.d_type == Element::kS32) {
    multiply_integers(product, a, b, registers);
  } else {
    multiply_floats(product, a, b, registers);
  }
  // Each warp counts its quarter of the 64 rows.
  count_product(warp, product.op, 2ull * 16 * form.shape.N * K);
  ++pending.computed;
}

}  // namespace

void compute_groups(Block& block, std::uint32_t first_warp, std::uint64_t groups) {
  std::vector<Work> work;
  for (std::uint32_t i = first_warp; i < first_warp + kWarpsOfGroup; ++i) {
    Warp& warp = block.warps[i];
    if (!warp.async) continue;
    for (const auto& pending : warp.async->products) {
      for (std::size_t p = pending->computed; p < pending->products.size(); ++p) {
        if (pending->products[p].group >= groups) break;
        work.push_back({pending->products[p].number, &warp, pending.get()});
      }
    }
  }
  std::stable_sort(work.begin(), work.end(),
                   [](const Work& x, const Work& y) { return x.number < y.number; });
  PackedB b;
  for (const Work& item : work) compute(*item.warp, *item.pending, b);
}

}  // namespace ptx_emulator::tensor
