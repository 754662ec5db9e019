#include "src/tokenizer/encode_cache.h"

#include <algorithm>

namespace ovid::tokenizer {

void EncodeCache::insert(const Key& key, std::span<const std::int32_t> tokens) {
  if (tokens.size() > kMaximumTokens) return;
  Slot& slot = slots_[slot_of(key)];
  slot.key = key;
  slot.count = static_cast<std::uint16_t>(tokens.size());
  std::transform(tokens.begin(), tokens.end(), slot.tokens,
                 [](std::int32_t id) { return static_cast<std::uint16_t>(id); });
}

void EncodeCache::clear(std::uint64_t owner) {
  std::fill(slots_.begin(), slots_.end(), Slot{});
  owner_ = owner;
}

}  // namespace ovid::tokenizer
