#include "data_tools/text_set.h"

#include <span>

#include "src/core/checksum.h"

namespace ovid::data_tools {

bool TextSet::put(std::vector<Hash>& slots, const Hash& hash) const {
  const std::size_t mask = slots.size() - 1;
  for (std::size_t i = hash.low & mask;; i = (i + 1) & mask) {
    if (slots[i] == hash) return false;
    if (slots[i] == Hash{}) {
      slots[i] = hash;
      return true;
    }
  }
}

bool TextSet::insert(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  Hash hash{.high = hash64(bytes, 1), .low = hash64(bytes, 2)};
  if (hash == Hash{}) hash.high = 1;  // the mark of an empty slot
  if (!put(slots_, hash)) return false;
  ++size_;
  if (size_ * 4 > slots_.size() * 3) {
    std::vector<Hash> larger(slots_.size() * 2);
    for (const Hash& old : slots_) {
      if (old != Hash{}) put(larger, old);
    }
    slots_ = std::move(larger);
  }
  return true;
}

}  // namespace ovid::data_tools
