#pragma once
// Products of wgmma.mma_async between their issue and wgmma.wait_group.

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/ptx_emulator/machine/op.h"
#include "tests/ptx_emulator/machine/tensor/product_form.h"

namespace ptx_emulator::tensor {

inline constexpr std::uint32_t kMostAccumulators = 128;  // registers, of 64 x 256 in f32

// One wgmma.mma_async as decoded.
struct WgmmaForm {
  Shape shape;  // M = 64
  Element a_type = Element::kBf16, b_type = Element::kBf16, d_type = Element::kF32;
  bool saturate = false;
  bool a_in_registers = false;
  std::array<Place, 4> a{};  // registers
  Place a_descriptor, b_descriptor;
  bool negate_a = false, negate_b = false;        // imm-scale -1
  bool transpose_a = false, transpose_b = false;  // MN-major in shared memory
  Place scale_d;                                  // a predicate: false ignores the accumulators
  bool has_scale_d = false;
  std::vector<Place> d;
};

// One product of one warp, issued.
struct IssuedProduct {
  const WgmmaForm* form = nullptr;
  const Op* op = nullptr;
  std::uint64_t a_descriptor = 0, b_descriptor = 0;
  bool accumulate = true;
  std::uint64_t number = 0;                        // of the warp's wgmma
  std::uint64_t group = 0;                         // that will close over it
  std::array<std::array<std::uint32_t, 32>, 4> a;  // of A in registers
};

}  // namespace ptx_emulator::tensor

namespace ptx_emulator {

struct PendingProduct {
  const tensor::WgmmaForm* form = nullptr;  // of the first product: all have its accumulators
  std::byte* frame = nullptr;               // registers that hold them
  std::vector<std::uint32_t> accumulators;  // 32 of each register
  std::vector<tensor::IssuedProduct> products;
  std::size_t computed = 0;  // products that the accumulators contain
};

}  // namespace ptx_emulator
