#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace ovid::tokenizer {

// Remembers the tokens of short pieces, so that frequent words are merged once. Bounded (4 MiB): a
// newer piece takes the place of an older one of the same slot. Owned by the caller, one for each
// thread; Tokenizer::encode_append empties it when it was filled by a tokenizer with another
// fingerprint.
class EncodeCache {
 public:
  static constexpr std::size_t kMaximumBytes = 31;
  static constexpr std::size_t kMaximumTokens = 15;

  EncodeCache() : slots_(kSlots) {}

  // A piece of at most kMaximumBytes, zero-padded, its length in the last byte. No two pieces have
  // the same key.
  struct Key {
    std::uint64_t words[4];
    bool operator==(const Key& other) const {  // without a branch for each word
      return ((words[0] ^ other.words[0]) | (words[1] ^ other.words[1]) |
              (words[2] ^ other.words[2]) | (words[3] ^ other.words[3])) == 0;
    }
  };

  // The key of text[offset, offset + length). Reads up to 32 bytes of `text` from `offset` on,
  // never past its end.
  static Key key_of(std::string_view text, std::size_t offset, std::size_t length);

  // The remembered tokens; empty where the piece is not known. Valid until the next call of insert
  // or clear.
  std::span<const std::uint16_t> find(const Key& key) const {
    const Slot& slot = slots_[slot_of(key)];
    return {slot.tokens, slot.key == key ? slot.count : std::size_t{0}};
  }

  // Ignores what has more than kMaximumTokens tokens.
  void insert(const Key& key, std::span<const std::int32_t> tokens);

  std::uint64_t owner() const { return owner_; }
  // Forgets everything and belongs to the tokenizer of that fingerprint from now on.
  void clear(std::uint64_t owner);

 private:
  static constexpr int kSlotBits = 16;
  static constexpr std::size_t kSlots = std::size_t{1} << kSlotBits;
  struct alignas(64) Slot {  // one cache line: a hit costs one memory access
    Key key{};
    std::uint16_t count = 0;
    std::uint16_t tokens[kMaximumTokens] = {};
  };
  static std::size_t slot_of(const Key& key) {
    // Odd multipliers (binary digits of sqrt 2, 3, 5, 7): high bits depend on every byte of the
    // key.
    const std::uint64_t mixed =
        (key.words[0] * 0x6A09E667F3BCC909u) ^ (key.words[1] * 0xBB67AE8584CAA73Bu) ^
        (key.words[2] * 0x3C6EF372FE94F82Bu) ^ (key.words[3] * 0xA54FF53A5F1D36F1u);
    return ((mixed ^ (mixed >> 32)) * 0x9E3779B97F4A7C15u) >> (64 - kSlotBits);
  }

  std::uint64_t owner_ = 0;
  std::vector<Slot> slots_;
};

inline EncodeCache::Key EncodeCache::key_of(std::string_view text, std::size_t offset,
                                            std::size_t length) {
  static_assert(std::endian::native == std::endian::little, "the length stands in the last byte");
  // 32 bytes from kMask + 32 - length are `length` ones and then zeros.
  alignas(64) static constexpr struct Mask {
    unsigned char bytes[64];
    constexpr Mask() : bytes() {
      for (int i = 0; i < 32; ++i) bytes[i] = 0xFF;
    }
  } kMask;
  Key key{};
  const char* bytes = text.data() + offset;
  if (text.size() - offset >= sizeof key) {
    for (std::size_t i = 0; i < 4; ++i) {
      std::uint64_t word = 0, mask = 0;
      std::memcpy(&word, bytes + 8 * i, sizeof word);
      std::memcpy(&mask, kMask.bytes + 32 - length + 8 * i, sizeof mask);
      key.words[i] = word & mask;
    }
  } else {
    std::memcpy(&key, bytes, length);
  }
  key.words[3] |= static_cast<std::uint64_t>(length) << 56;
  return key;
}

}  // namespace ovid::tokenizer
