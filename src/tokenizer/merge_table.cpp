#include "src/tokenizer/merge_table.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "src/core/error.h"

namespace ovid::tokenizer {
namespace {

// Up to here looking at every pair for every merge costs less than a heap.
constexpr std::size_t kShortPiece = 48;
constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

}  // namespace

MergeTable::MergeTable(std::span<const Merge> merges) {
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(merges.size() * 2, 2));
  slots_.resize(size);
  mask_ = size - 1;
  shift_ = 64 - std::countr_zero(size);
  results_.reserve(merges.size());
  for (const Merge& merge : merges) {
    const std::uint32_t key = key_of(merge.left, merge.right);
    std::size_t i = hash(key) >> shift_;
    while (slots_[i].rank != kNoMerge) i = (i + 1) & mask_;
    slots_[i] = {key, static_cast<std::uint32_t>(results_.size())};
    results_.push_back(merge.result);
  }
}

void MergeTable::merge_tail(std::vector<TokenId>& tokens, std::size_t from) const {
  const std::size_t count = tokens.size() - from;
  if (count < 2) return;
  if (count <= kShortPiece) {
    merge_short(tokens, from);
  } else {
    merge_long(tokens, from);
  }
}

void MergeTable::merge_short(std::vector<TokenId>& tokens, std::size_t from) const {
  TokenId* piece = tokens.data() + from;
  std::size_t count = tokens.size() - from;
  std::uint32_t ranks[kShortPiece];  // ranks[i]: of the pair (i, i + 1)
  for (std::size_t i = 0; i + 1 < count; ++i) ranks[i] = rank(piece[i], piece[i + 1]);
  while (count > 1) {
    const std::size_t best =
        static_cast<std::size_t>(std::min_element(ranks, ranks + count - 1) - ranks);
    if (ranks[best] == kNoMerge) break;
    piece[best] = result(ranks[best]);
    std::copy(piece + best + 2, piece + count, piece + best + 1);
    std::copy(ranks + best + 1, ranks + count - 1, ranks + best);
    --count;
    if (best + 1 < count) ranks[best] = rank(piece[best], piece[best + 1]);
    if (best > 0) ranks[best - 1] = rank(piece[best - 1], piece[best]);
  }
  tokens.resize(from + count);
}

// The tokens form a doubly linked list; a heap holds the pairs that can merge, by rank and then
// place. An entry whose pair has changed since is recognised by its rank, and dropped.
void MergeTable::merge_long(std::vector<TokenId>& tokens, std::size_t from) const {
  const std::size_t count = tokens.size() - from;
  if (count >= kNone)
    throw DataError(
        "a piece of text without a break has 4 GiB or more: insert spaces or line ends");
  TokenId* piece = tokens.data() + from;
  constexpr TokenId kGone = -1;
  std::vector<std::uint32_t> next(count), previous(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    next[i] = i + 1 < count ? i + 1 : kNone;
    previous[i] = i > 0 ? i - 1 : kNone;
  }
  std::vector<std::uint64_t> storage;
  storage.reserve(count);
  std::priority_queue heap(std::greater<std::uint64_t>{}, std::move(storage));
  const auto pair_rank = [&](std::uint32_t left) {
    return next[left] == kNone ? kNoMerge : rank(piece[left], piece[next[left]]);
  };
  const auto offer = [&](std::uint32_t left) {
    const std::uint32_t r = pair_rank(left);
    if (r != kNoMerge) heap.push((static_cast<std::uint64_t>(r) << 32) | left);
  };
  for (std::uint32_t i = 0; i + 1 < count; ++i) offer(i);
  while (!heap.empty()) {
    const auto left = static_cast<std::uint32_t>(heap.top());
    const auto merge_rank = static_cast<std::uint32_t>(heap.top() >> 32);
    heap.pop();
    if (piece[left] == kGone || pair_rank(left) != merge_rank) continue;
    const std::uint32_t right = next[left];
    piece[left] = result(merge_rank);
    piece[right] = kGone;
    next[left] = next[right];
    if (next[left] != kNone) previous[next[left]] = left;
    if (previous[left] != kNone) offer(previous[left]);
    offer(left);
  }
  tokens.erase(std::remove(tokens.begin() + static_cast<std::ptrdiff_t>(from), tokens.end(), kGone),
               tokens.end());
}

}  // namespace ovid::tokenizer
