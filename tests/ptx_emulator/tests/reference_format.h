#pragma once
// Narrow floating formats by enumeration: every value of the format in a table, rounding by looking
// up the neighbours.

#include <vector>

#include "tests/ptx_emulator/tests/opcode_harness.h"

namespace ptx_emulator::testing {

enum class Direction { kNearestEven, kZero, kDown, kUp, kNearestAway };

class ReferenceFormat {
 public:
  ReferenceFormat(u32 exponent_bits, u32 fraction_bits, bool has_infinity, u64 nan);

  // The code of a number, which is `high` plus an infinitesimal of the sign of `low`.
  u64 encode(long double high, double low, Direction direction, bool satfinite) const;
  u64 encode(long double value, Direction direction = Direction::kNearestEven) const {
    return encode(value, 0, direction, false);
  }
  double decode(u64 code) const;

 private:
  u32 sign_shift_;
  bool has_infinity_;
  u64 nan_;
  std::vector<double> values_;  // of codes 0, 1, ...: finite and not negative
};

const ReferenceFormat& reference_f16();
const ReferenceFormat& reference_bf16();
const ReferenceFormat& reference_e4m3();
const ReferenceFormat& reference_e5m2();
const ReferenceFormat& reference_tf32();  // of 19 bits: the upper ones of the word

}  // namespace ptx_emulator::testing
