#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "src/core/file.h"

namespace ovid::data_tools::duplicates {

// 128 bits of a text's words (filters/words.h): equal for texts that differ in case, spaces,
// punctuation and line ends alone. Two different texts of the same hash: for a billion texts the
// chance is below 1e-20. A text without a word is hashed by its bytes.
struct TextHash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool operator==(const TextHash&) const = default;
};

// Pure. The second form takes hash_words(text), for those who have them already.
TextHash hash_text(std::string_view text);
TextHash hash_text(std::string_view text, const std::vector<std::uint64_t>& words);

struct ExactDuplicate {
  std::uint64_t document;
  std::uint64_t kept;  // the first of the same text
};

// All documents to drop, in ascending order: a view of the finder's result file.
class ExactDuplicates {
 public:
  explicit ExactDuplicates(MappedFile file) : file_(std::move(file)) {}
  std::span<const ExactDuplicate> all() const;
  const ExactDuplicate* find(std::uint64_t document) const;  // null: it stays; O(log n)

 private:
  MappedFile file_;
};

// Finds documents that repeat an earlier one, out of core: 16 bytes of disk a document while they
// are added and 32 more while finish() runs; memory is `memory_bytes` (at least 1 MiB), whatever
// their number. Files, threads, going on after an interruption and errors are as for
// NearDuplicateFinder: hashes.bin, exact-duplicates.bin.
// Where all documents fit in memory and must be told at once, data_tools/text_set.h is at hand.
class ExactDuplicateFinder {
 public:
  ExactDuplicateFinder(Path folder, std::uint64_t memory_bytes, std::uint64_t documents = 0);
  ~ExactDuplicateFinder();
  ExactDuplicateFinder(const ExactDuplicateFinder&) = delete;
  ExactDuplicateFinder& operator=(const ExactDuplicateFinder&) = delete;

  void add(const TextHash& hash);
  std::uint64_t documents() const;
  void sync();

  using Progress = std::function<void(double done)>;
  ExactDuplicates finish(const Progress& progress = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ovid::data_tools::duplicates
