#include "src/data/sequence_order.h"

#include <bit>
#include <cassert>

namespace ovid::data {
namespace {

// A bijection of 64-bit numbers whose every output bit depends on every input bit: David Stafford's
// "Mix13" constants, the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ull;

}  // namespace

std::int64_t sequence_count(std::int64_t total_tokens, std::int64_t length) {
  if (total_tokens < 1 || length < 1) return 0;
  return (total_tokens - 1) / length;
}

std::int64_t permuted(std::int64_t position, std::int64_t n, std::uint64_t key) {
  assert(n >= 1 && position >= 0 && position < n);
  if (n == 1) return 0;
  const auto limit = static_cast<std::uint64_t>(n);
  const int half_bits = (64 - std::countl_zero(limit - 1) + 1) / 2;
  const std::uint64_t half_mask = (1ull << half_bits) - 1;
  constexpr std::uint64_t kRounds = 8;  // four suffice in theory; narrow halves are weak
  auto value = static_cast<std::uint64_t>(position);
  do {
    std::uint64_t left = value >> half_bits;
    std::uint64_t right = value & half_mask;
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      const std::uint64_t scrambled = mixed(mixed(key + round * kGolden) ^ right) & half_mask;
      const std::uint64_t next = left ^ scrambled;
      left = right;
      right = next;
    }
    value = (left << half_bits) | right;
  } while (value >= limit);
  return static_cast<std::int64_t>(value);
}

SequencePosition sequence_at(SequenceOrder order, std::uint64_t seed, std::int64_t n,
                             std::int64_t consumed) {
  assert(n >= 1 && consumed >= 0);
  const SequencePosition position{.epoch = consumed / n, .index = consumed % n};
  if (order == SequenceOrder::kSequential) return position;
  const std::uint64_t key =
      mixed(mixed(seed + kGolden) + static_cast<std::uint64_t>(position.epoch));
  return {position.epoch, permuted(position.index, n, key)};
}

std::uint64_t source_seed(std::uint64_t seed, std::size_t source) {
  return source == 0 ? seed : mixed(mixed(seed) + source * kGolden);
}

}  // namespace ovid::data
