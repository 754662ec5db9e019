#include "src/tokenizer/train.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <queue>
#include <unordered_set>
#include <utility>
#include <vector>

#include "src/core/error.h"
#include "src/core/log.h"
#include "src/tokenizer/byte_alphabet.h"

namespace ovid::tokenizer {
namespace {

using Pair = std::uint32_t;  // left id << 16 | right id: smaller pairs are smaller numbers

constexpr Pair pair_of(TokenId left, TokenId right) {
  return (static_cast<Pair>(left) << 16) | static_cast<Pair>(right);
}

struct Word {
  std::vector<TokenId> tokens;
  std::uint64_t count;
};

struct PairUse {
  std::uint64_t count = 0;
  std::vector<std::uint32_t>
      words;  // where it stood once; some may have lost it since, none is missing
};

struct Candidate {
  std::uint64_t count;
  Pair pair;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Trainer {
 public:
  Trainer(const WordCounter& counter, const TrainOptions& options) : options_(options) {
    for (int rank = 0; rank < 256; ++rank) {
      const auto byte = static_cast<char>(byte_of_rank(rank));
      id_of_byte_[static_cast<unsigned char>(byte)] = rank;
      vocabulary_.tokens.emplace_back(1, byte);
    }
    for (const auto& [piece, count] : counter.counts()) add_word(piece, count);
    for (const auto& [pair, use] : pairs_) queue_.push({use.count, pair});
  }

  Vocabulary run() {
    const std::size_t wanted = static_cast<std::size_t>(options_.vocabulary_size) - 1;
    while (vocabulary_.tokens.size() < wanted && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const auto use = pairs_.find(best.pair);
      if (use == pairs_.end() || use->second.count == 0) continue;
      if (use->second.count !=
          best.count) {  // it was pushed before other merges took some of its places
        queue_.push({use->second.count, best.pair});
        continue;
      }
      if (best.count < options_.minimum_count) break;
      merge(best.pair);
    }
    vocabulary_.end_of_text = static_cast<TokenId>(vocabulary_.tokens.size());
    vocabulary_.tokens.emplace_back(kEndOfText);
    return std::move(vocabulary_);
  }

 private:
  void add_word(const std::string& piece, std::uint64_t count) {
    const auto number = static_cast<std::uint32_t>(words_.size());
    Word word{{}, count};
    for (const char c : piece) word.tokens.push_back(id_of_byte_[static_cast<unsigned char>(c)]);
    for (std::size_t i = 0; i + 1 < word.tokens.size(); ++i) {
      count_pair(pair_of(word.tokens[i], word.tokens[i + 1]), count, number);
    }
    words_.push_back(std::move(word));
  }

  void count_pair(Pair pair, std::uint64_t count, std::uint32_t word) {
    PairUse& use = pairs_[pair];
    use.count += count;
    if (use.words.empty() || use.words.back() != word) use.words.push_back(word);
  }

  void merge(Pair pair) {
    const auto left = static_cast<TokenId>(pair >> 16), right = static_cast<TokenId>(pair & 0xFFFF);
    const std::string bytes = vocabulary_.tokens[left] + vocabulary_.tokens[right];
    // Where the token would grow too long the pair stays in its words, uncounted and thus never
    // asked for again.
    const std::vector<std::uint32_t> in_words = std::move(pairs_.extract(pair).mapped().words);
    if (bytes.size() > static_cast<std::size_t>(kMaximumTokenBytes)) return;
    const auto result = static_cast<TokenId>(vocabulary_.tokens.size());
    // Merging left to right reduces equal bytes to equal tokens, so no other pair can have spelt
    // this token before.
    [[maybe_unused]] const bool is_new = spelt_.insert(bytes).second;
    assert(is_new);
    vocabulary_.tokens.push_back(bytes);
    vocabulary_.merges.push_back({left, right, result});
    changed_.clear();
    for (const std::uint32_t number : in_words) replace_in_word(number, vocabulary_.merges.back());
    std::sort(changed_.begin(), changed_.end());
    changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
    for (const Pair grown : changed_) queue_.push({pairs_[grown].count, grown});
  }

  // Joins the pair from left to right, as encoding does, and moves the counts of its neighbours'
  // pairs.
  void replace_in_word(std::uint32_t number, const Merge& merge) {
    std::vector<TokenId>& tokens = words_[number].tokens;
    const std::uint64_t count = words_[number].count;
    std::size_t out = 0;
    for (std::size_t in = 0; in < tokens.size(); ++out) {
      const bool found =
          in + 1 < tokens.size() && tokens[in] == merge.left && tokens[in + 1] == merge.right;
      if (!found) {
        tokens[out] = tokens[in++];
        continue;
      }
      in += 2;
      if (out > 0)
        exchange(pair_of(tokens[out - 1], merge.left), pair_of(tokens[out - 1], merge.result),
                 count, number);
      if (in < tokens.size())
        exchange(pair_of(merge.right, tokens[in]), pair_of(merge.result, tokens[in]), count,
                 number);
      tokens[out] = merge.result;
    }
    tokens.resize(out);
  }

  void exchange(Pair gone, Pair come, std::uint64_t count, std::uint32_t word) {
    const auto known = pairs_.find(gone);
    if (known != pairs_.end())
      known->second.count -= count;  // absent: the pair that is being merged, or one too long
    count_pair(come, count, word);
    changed_.push_back(come);
  }

  const TrainOptions& options_;
  Vocabulary vocabulary_;
  TokenId id_of_byte_[256] = {};
  std::unordered_set<std::string> spelt_;  // the merged tokens
  std::vector<Word> words_;
  std::unordered_map<Pair, PairUse> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> changed_;  // pairs that became more frequent in this merge
};

}  // namespace

Tokenizer train(const WordCounter& words, const TrainOptions& options) {
  constexpr int kSmallest = 257;
  if (options.vocabulary_size < kSmallest || options.vocabulary_size > kMaximumVocabulary) {
    throw UsageError(fmt::format("vocabulary size {} is not between {} (256 bytes and {}) and {}",
                                 options.vocabulary_size, kSmallest, kEndOfText,
                                 kMaximumVocabulary));
  }
  if (words.counts().empty())
    throw DataError("there is no text to train a tokenizer on: all documents are empty");
  Tokenizer tokenizer(Trainer(words, options).run());
  if (tokenizer.vocabulary_size() < options.vocabulary_size) {
    log::warning(fmt::format(
        "the text has pairs for {} tokens only, not for {}: give more text, or a smaller size",
        tokenizer.vocabulary_size(), options.vocabulary_size));
  }
  return tokenizer;
}

}  // namespace ovid::tokenizer
