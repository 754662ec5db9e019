#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/overlap/bloom_filter.h"

namespace ovid::data_tools::overlap {

inline constexpr std::size_t kOverlapWords = 8;
inline constexpr double kFalsePositiveRate = 1e-8;
inline constexpr std::size_t kMaxEvaluationSets = 64;

// How much of a training document stands in evaluation sets.
struct DocumentOverlap {
  std::uint64_t ngrams = 0;  // runs of 8 words in the document
  std::uint64_t found = 0;   // of them, those that some evaluation set has
  std::uint64_t sets = 0;    // bit i: set i has one of them at least
  double fraction() const {
    return ngrams == 0 ? 0.0 : static_cast<double>(found) / static_cast<double>(ngrams);
  }
};

// How much of an evaluation set stands in the training text looked at so far: the paper's figure
// (table 6). Different n-grams count once.
struct SetOverlap {
  std::string name;
  std::uint64_t documents = 0;
  std::uint64_t ngrams = 0;  // different ones
  std::uint64_t found = 0;   // of them, those that a training document had
  double fraction() const {
    return ngrams == 0 ? 0.0 : static_cast<double>(found) / static_cast<double>(ngrams);
  }
};

// The 8-grams of evaluation sets, and which of them training documents have. N-grams are runs of 8
// words in the form of filters/words.h. A Bloom filter with a false-positive rate of 1e-8 answers
// first, as in the paper; what passes it is looked up by its 64-bit hash in a table, which names
// the sets. Memory: 38 bits for the filter and 32 to 65 bytes for the table, for each different
// n-gram of a set, after 8 bytes for each n-gram at all until ready().
// Source: Radford et al. 2019, section 4.
class EvaluationOverlap {
 public:
  EvaluationOverlap();
  ~EvaluationOverlap();
  EvaluationOverlap(const EvaluationOverlap&) = delete;
  EvaluationOverlap& operator=(const EvaluationOverlap&) = delete;

  // First, by one thread: sets by name, each with its texts (passages, questions with answers ...).
  // add_set returns its index. Throws UsageError beyond kMaxEvaluationSets and for a name given
  // twice.
  std::size_t add_set(std::string name);
  void add_text(std::size_t set, std::string_view text);

  // Then once: builds the filter. No more texts after that.
  void ready();

  // Then by any number of threads: looks a training document up, and marks what it found. The marks
  // are a set, so that they do not depend on the order of threads. `words` is hash_words(text).
  DocumentOverlap look_up(const std::vector<std::uint64_t>& words);

  // Of all sets, in the order of add_set. Not while look_up runs.
  std::vector<SetOverlap> sets() const;

  // The marks as bytes and back, for a run that goes on after an interruption. marks() may run
  // beside look_up: it then has all of what was looked up before, and some of what is being looked
  // up. restore_marks may not, and throws DataError where they are of other sets.
  std::string marks() const;
  void restore_marks(std::string_view marks);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ovid::data_tools::overlap
