#pragma once
// The 64 bits of an mbarrier object, in the emulator's own encoding, and what happens to them.
//
//   bits  0 to 19   arrivals that the current phase still waits for
//   bits 20 to 39   arrivals that the next phase will wait for
//   bits 40 to 60   bytes that the current phase still waits for, signed
//   bits 61 and 62  1 and 0: initialised (memory never written holds neither pattern)
//   bit 63          parity of the current phase

#include <cstdint>

namespace ptx_emulator::tensor {

struct MbarrierWord {
  std::uint32_t pending = 0;
  std::uint32_t expected = 0;
  std::int32_t transactions = 0;
  bool parity = false;

  static constexpr std::uint32_t kMostArrivals = (1u << 20) - 1;
  static constexpr std::int32_t kMostTransactions = (1 << 20) - 1;

  static bool is_valid(std::uint64_t bits) { return (bits >> 61 & 3u) == 1; }
  static MbarrierWord unpack(std::uint64_t bits) {
    MbarrierWord word;
    word.pending = static_cast<std::uint32_t>(bits & kMostArrivals);
    word.expected = static_cast<std::uint32_t>(bits >> 20 & kMostArrivals);
    word.transactions = static_cast<std::int32_t>(static_cast<std::int64_t>(bits << 3) >> 43);
    word.parity = bits >> 63 != 0;
    return word;
  }
  std::uint64_t pack() const {
    return pending | std::uint64_t{expected} << 20 |
           (static_cast<std::uint64_t>(transactions) & 0x1FFFFFu) << 40 | std::uint64_t{1} << 61 |
           std::uint64_t{parity} << 63;
  }
  // Begins the next phase where nothing is waited for any more. Returns whether it did.
  bool advance() {
    if (pending != 0 || transactions != 0) return false;
    parity = !parity;
    pending = expected;
    return true;
  }
};

}  // namespace ptx_emulator::tensor
