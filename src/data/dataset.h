#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/data/token_shard.h"

namespace ovid::data {

// The files that patterns name, in the order of the patterns. A pattern with * ? or [ ] stands for
// the files that match it, sorted by name, less masks and unfinished files (.mask, .tmp); any other
// names one file. Throws DataError where a pattern matches nothing.
std::vector<Path> expand_patterns(const std::vector<std::string>& patterns);

// Shards laid end to end: one long row of tokens. Reading is safe from several threads.
class TokenDataset {
 public:
  // Opens and checks every shard of expand_patterns(patterns). Throws DataError, also where some
  // shards have a loss mask and others do not.
  explicit TokenDataset(const std::vector<std::string>& patterns);

  std::int64_t total_tokens() const { return starts_.back(); }
  bool has_mask() const { return has_mask_; }
  std::span<const TokenShard> shards() const { return shards_; }

  // Writes the tokens [first, first + tokens.size()) and, where `mask` is not empty (it then has as
  // many elements), their mask bytes: 1 everywhere in a data set without masks. Throws DataError
  // where the range is not inside [0, total_tokens()), or where a shard was changed since it was
  // opened.
  void copy(std::int64_t first, std::span<std::uint16_t> tokens,
            std::span<std::uint8_t> mask = {}) const;

  // How many of the tokens [first, first + count) count as targets.
  std::int64_t count_unmasked(std::int64_t first, std::int64_t count) const;

  // Throws DataError naming file, index and token where one is not below `vocabulary_size`. Reads
  // everything.
  void check_vocabulary(std::int64_t vocabulary_size) const;

  // 32 hexadecimal digits over the number of shards, each shard's size, tokens and mask, in order;
  // names are left out, so that a data set may move. Reads everything, and so notices any change.
  std::string fingerprint() const;

  // check_vocabulary and fingerprint in one pass over the data.
  std::string check_and_fingerprint(std::int64_t vocabulary_size) const;

 private:
  struct Location {
    std::size_t shard;
    std::size_t index;
  };
  Location locate(std::int64_t token) const;
  void check_range(std::int64_t first, std::int64_t count) const;

  std::vector<TokenShard> shards_;
  std::vector<std::int64_t> starts_;  // the first token of each shard, then the total
  bool has_mask_ = false;
};

// How many sequences of `length` tokens, and the target of the last, the data set holds (see
// sequence_count). Throws DataError where it holds not even one, UsageError for a length below 1.
std::int64_t checked_sequence_count(const TokenDataset& dataset, std::int64_t length);

}  // namespace ovid::data
