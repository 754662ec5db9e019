#include "data_tools/filters/repetition.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "data_tools/filters/text_pieces.h"
#include "data_tools/filters/words.h"
#include "src/core/checksum.h"

namespace ovid::data_tools::filters {

namespace {

constexpr std::size_t kFirstTop = 2;
constexpr std::size_t kFirstRepeated = 5;

// How often each hash came: open addressing in memory that serves one set of n-grams after the
// other.
class Occurrences {
 public:
  explicit Occurrences(std::size_t most) : slots_(std::bit_ceil(2 * most + 2)) {}
  void clear() { std::fill(slots_.begin(), slots_.end(), Slot{}); }
  // The number of times that the hash came, this one among them.
  std::uint32_t add(std::uint64_t hash) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash & mask;
    while (slots_[slot].count != 0 && slots_[slot].hash != hash) slot = (slot + 1) & mask;
    slots_[slot].hash = hash;
    return ++slots_[slot].count;
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t count = 0;
  };
  std::vector<Slot> slots_;
};

struct Words {
  std::vector<std::uint64_t> hashes;
  std::vector<std::uint64_t> ends;  // bytes of words up to and with this one

  std::uint64_t bytes(std::size_t first, std::size_t count) const {
    return ends[first + count - 1] - (first == 0 ? 0 : ends[first - 1]);
  }
  double share(std::uint64_t part) const {
    return ends.empty() ? 0 : static_cast<double>(part) / static_cast<double>(ends.back());
  }
};

Words words_of(std::string_view text) {
  Words words;
  std::uint64_t end = 0;
  for_each_piece(text, [&](std::string_view word) {
    words.hashes.push_back(hash64(std::as_bytes(std::span(word))));
    words.ends.push_back(end += word.size());
  });
  return words;
}

void measure_lines(std::string_view text, RepetitionFigures& figures) {
  std::vector<std::pair<std::uint64_t, std::size_t>> lines;  // hash, bytes
  std::uint64_t bytes = 0;
  for_each_line(text, [&](std::string_view line) {
    lines.emplace_back(hash64(std::as_bytes(std::span(line))), line.size());
    bytes += line.size();
  });
  if (lines.empty()) return;
  std::sort(lines.begin(), lines.end());
  std::uint64_t repeated = 0;
  std::uint64_t repeated_bytes = 0;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].first != lines[i - 1].first) continue;
    ++repeated;
    repeated_bytes += lines[i].second;
  }
  figures.duplicate_lines = static_cast<double>(repeated) / static_cast<double>(lines.size());
  figures.duplicate_line_characters =
      static_cast<double>(repeated_bytes) / static_cast<double>(bytes);
}

// The commonest n-gram's bytes, each time it comes; none where no n-gram comes twice.
double top_share(const Words& words, std::size_t n, const std::vector<std::uint64_t>& ngrams,
                 Occurrences& occurrences) {
  occurrences.clear();
  std::uint64_t top = 0;
  for (std::size_t i = 0; i < ngrams.size(); ++i) {
    const std::uint64_t count = occurrences.add(ngrams[i]);
    if (count >= 2) top = std::max(top, count * words.bytes(i, n));
  }
  return std::min(1.0, words.share(top));
}

// The bytes under the second and later occurrences of n-grams.
double repeated_share(const Words& words, std::size_t n, const std::vector<std::uint64_t>& ngrams,
                      Occurrences& occurrences) {
  occurrences.clear();
  std::uint64_t repeated = 0;
  std::size_t covered = 0;  // words up to here are counted or not repeated
  for (std::size_t i = 0; i < ngrams.size(); ++i) {
    if (occurrences.add(ngrams[i]) < 2) continue;
    const std::size_t begin = std::max(i, covered);
    repeated += words.bytes(begin, i + n - begin);
    covered = i + n;
  }
  return words.share(repeated);
}

// `enough`: a share of repeated n-grams at which the longer ones are left out, as 0.
RepetitionFigures measure(std::string_view text, double enough) {
  RepetitionFigures figures;
  measure_lines(text, figures);
  const Words words = words_of(text);
  Occurrences occurrences(words.hashes.size());
  std::vector<std::uint64_t> ngrams;
  for (std::size_t i = 0; i < figures.top_ngram.size(); ++i) {
    hash_ngrams(words.hashes, kFirstTop + i, ngrams);
    figures.top_ngram[i] = top_share(words, kFirstTop + i, ngrams, occurrences);
  }
  for (std::size_t i = 0; i < figures.repeated_ngrams.size(); ++i) {
    hash_ngrams(words.hashes, kFirstRepeated + i, ngrams);
    figures.repeated_ngrams[i] = repeated_share(words, kFirstRepeated + i, ngrams, occurrences);
    // What repeated runs of n + 1 words cover, repeated runs of n words cover too.
    if (figures.repeated_ngrams[i] <= enough) break;
  }
  return figures;
}

}  // namespace

RepetitionFigures measure_repetition(std::string_view text) {
  return measure(text, 0);
}

Verdict repetition_verdict(std::string_view text, const RepetitionLimits& limits) {
  const RepetitionFigures figures = measure(
      text, *std::min_element(limits.repeated_ngrams.begin(), limits.repeated_ngrams.end()));
  if (figures.duplicate_lines > limits.duplicate_lines) {
    return Drop{Reason::kDuplicateLines, figures.duplicate_lines, limits.duplicate_lines};
  }
  if (figures.duplicate_line_characters > limits.duplicate_line_characters) {
    return Drop{Reason::kDuplicateLineCharacters, figures.duplicate_line_characters,
                limits.duplicate_line_characters};
  }
  for (std::size_t i = 0; i < figures.top_ngram.size(); ++i) {
    if (figures.top_ngram[i] > limits.top_ngram[i]) {
      return Drop{Reason::kTopNgram, figures.top_ngram[i], limits.top_ngram[i]};
    }
  }
  for (std::size_t i = 0; i < figures.repeated_ngrams.size(); ++i) {
    if (figures.repeated_ngrams[i] > limits.repeated_ngrams[i]) {
      return Drop{Reason::kRepeatedNgrams, figures.repeated_ngrams[i], limits.repeated_ngrams[i]};
    }
  }
  return std::nullopt;
}

}  // namespace ovid::data_tools::filters
