#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "src/tokenizer/tokenizer.h"

namespace ovid::tokenizer {

// How often each piece (see pre_tokenizer.h) occurs in the documents that it was given. Memory
// grows with the number of distinct pieces, not with the amount of text. Not thread-safe: give each
// thread its own, and add them up.
class WordCounter {
 public:
  // Counts one whole document's pieces. Bytes that are not UTF-8 count as punctuation.
  void add_document(std::string_view document);
  void add(const WordCounter& other);

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  using Counts = std::unordered_map<std::string, std::uint64_t, Hash, std::equal_to<>>;
  const Counts& counts() const { return counts_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  Counts counts_;
  std::uint64_t bytes_ = 0;
};

struct TrainOptions {
  int vocabulary_size;              // 257 to 65,536: 256 bytes, the merges, <|endoftext|>
  std::uint64_t minimum_count = 1;  // a pair that is rarer is not merged
};

// Learns a byte-level BPE vocabulary: as long as there is room, the most frequent pair of
// neighbours becomes a token; of equally frequent pairs the one with the smaller left id, then the
// smaller right id. Ids: the 256 bytes in GPT-2's order (printable ones first), the merges in the
// order in which they were learned, <|endoftext|> last. The result is a function of the counts
// alone. No token grows beyond kMaximumTokenBytes. Where the text has too few pairs the vocabulary
// stays smaller, and a warning says so. Throws UsageError for a size outside its limits, DataError
// where nothing was counted. Source: Sennrich, Haddow & Birch 2016, algorithm 1.
Tokenizer train(const WordCounter& words, const TrainOptions& options);

}  // namespace ovid::tokenizer
