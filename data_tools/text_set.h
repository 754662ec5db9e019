#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace ovid::data_tools {

// Texts that have been seen, each remembered as a 128-bit hash: 16 bytes a text in a table that is
// at most 3/4 full and doubles, so 21 to 43 bytes a text, whatever its length. Two different texts
// of the same hash would count as one: for a billion texts the chance is below 1e-20. Throws
// std::bad_alloc where memory is short.
class TextSet {
 public:
  TextSet() : slots_(kFirstSlots) {}

  // Whether the text was not in the set yet; it is then.
  bool insert(std::string_view text);
  std::uint64_t size() const { return size_; }

 private:
  struct Hash {
    std::uint64_t high = 0, low = 0;  // both 0: an empty slot
    bool operator==(const Hash&) const = default;
  };
  static constexpr std::size_t kFirstSlots = 1 << 10;
  bool put(std::vector<Hash>& slots, const Hash& hash) const;

  std::vector<Hash> slots_;  // open addressing; a power of two
  std::uint64_t size_ = 0;
};

}  // namespace ovid::data_tools
