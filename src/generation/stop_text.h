#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ovid::generation {

// Finds the first of several stop strings in a text that comes in pieces, and lets through what
// stands before it. The result does not depend on how the text is cut: the stop string that ends
// first counts, and of those that end together the longest. Text that may be the beginning of a
// stop string is held back until that is decided.
class StopText {
 public:
  static constexpr std::size_t kMostBytes = 4096;  // of one stop string

  // Throws UsageError for an empty string, or one of more than kMostBytes.
  explicit StopText(const std::vector<std::string>& stops);

  // The text that may be shown now. After a stop string was found: empty.
  std::string push(std::string_view text);

  // What was held back and turned out to be no stop string; at the end of the text.
  std::string finish();

  bool found() const { return found_; }

 private:
  // The longest beginning of the stop string that the text ends with, found by its failure function
  // (Knuth, Morris, Pratt 1977).
  struct Pattern {
    std::string text;
    std::vector<std::size_t> fallback;  // [n]: of its first n bytes, the longest proper prefix that
                                        // is also their suffix
    std::size_t matched = 0;
    void advance(char c);
  };

  std::vector<Pattern> patterns_;
  std::string held_;
  bool found_ = false;
};

}  // namespace ovid::generation
