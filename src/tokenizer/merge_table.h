#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "src/tokenizer/vocabulary.h"

namespace ovid::tokenizer {

// Answers which merge, if any, joins two tokens, and carries out the merges of a piece.
class MergeTable {
 public:
  static constexpr std::uint32_t kNoMerge = std::numeric_limits<std::uint32_t>::max();

  // Ids of `merges` lie in [0, kMaximumVocabulary); no pair stands twice.
  explicit MergeTable(std::span<const Merge> merges);

  // Rank of the merge of two tokens, 0 the most urgent; kNoMerge where they do not merge.
  std::uint32_t rank(TokenId left, TokenId right) const {
    const std::uint32_t key = key_of(left, right);
    for (std::size_t i = hash(key) >> shift_;; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return slots_[i].rank;
      if (slots_[i].rank == kNoMerge) return kNoMerge;
    }
  }
  TokenId result(std::uint32_t rank) const { return results_[rank]; }

  // Replaces tokens[from, end) by what remains after all merges: the most urgent one first, the
  // leftmost of equals. Takes n log n steps for a long piece. Throws DataError for a piece of 4 GiB
  // and more.
  void merge_tail(std::vector<TokenId>& tokens, std::size_t from) const;

 private:
  struct Slot {
    std::uint32_t key = 0, rank = kNoMerge;
  };
  static std::uint32_t key_of(TokenId left, TokenId right) {
    return (static_cast<std::uint32_t>(left) << 16) | static_cast<std::uint32_t>(right);
  }
  static std::uint64_t hash(std::uint32_t key) { return key * 0x9E3779B97F4A7C15u; }
  void merge_short(std::vector<TokenId>& tokens, std::size_t from) const;
  void merge_long(std::vector<TokenId>& tokens, std::size_t from) const;

  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  std::vector<TokenId> results_;
  std::size_t mask_ = 0;
  int shift_ = 0;  // of a 64-bit hash, so that its high bits choose the slot
};

}  // namespace ovid::tokenizer
