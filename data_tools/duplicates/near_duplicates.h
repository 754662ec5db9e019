#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "data_tools/duplicates/minhash.h"
#include "src/core/file.h"

namespace ovid::data_tools::duplicates {

struct NearDuplicateSettings {
  double threshold = 0.8;  // least similarity of signatures, 0 < threshold <= 1
  // Texts are compared where all rows of one band agree: 16 x 8 finds a pair of similarity s with
  // the chance 1 - (1 - s^8)^16, which is 0.95 at 0.8 and 0.9998 at 0.9. bands x rows <= 128.
  std::size_t bands = 16;
  std::size_t rows = 8;
  std::uint64_t memory_bytes = 256ull << 20;  // for sorting, at least 1 MiB
};

// A document to drop, and the one that is kept for it.
struct NearDuplicate {
  std::uint64_t document;
  std::uint64_t kept;  // < document, never dropped itself
  double similarity;   // of their signatures, >= threshold
};

// All documents to drop, in ascending order: a view of the finder's result file, whose pages are
// the system's to keep or drop.
class NearDuplicates {
 public:
  explicit NearDuplicates(MappedFile file) : file_(std::move(file)) {}
  std::span<const NearDuplicate> all() const;
  const NearDuplicate* find(std::uint64_t document) const;  // null: it stays; O(log n)

 private:
  MappedFile file_;
};

// Finds documents that resemble an earlier one. Out of core: a document costs 512 bytes of disk
// while they are added, and at most some 256 x (1 + 1/8) bytes more while finish() runs, plus 16
// bytes for each pair that it compares; memory is `memory_bytes` and one bit a document, whatever
// their number.
//
// The rule: documents are taken in their order; one is dropped where its signature is at least
// `threshold` like that of an earlier document that was kept, of those with which it shares a band.
// So the first of a group is kept, nothing follows from a chain of likenesses, and the result is a
// function of the texts, their order and the settings alone, not of threads or memory. A document
// is compared with at most kComparedInBand documents of a band: the first and the last before it,
// half of each; so that a million pages of one template cost no more than millions of comparisons.
//
// Files in the folder: signatures.bin, which only grows while documents are added, so that an
// interrupted run goes on from any count of documents it had synced; near-duplicates.bin, the
// result, written whole and then renamed; .tmp-* while finish() runs.
class NearDuplicateFinder {
 public:
  static constexpr std::size_t kComparedInBand = 16;

  // Goes on behind the first `documents` ones of the folder, and forgets those behind; 0 begins
  // anew. Throws UsageError for settings out of range, DataError where the folder has fewer
  // documents, ResourceError of the disk.
  NearDuplicateFinder(Path folder, const NearDuplicateSettings& settings,
                      std::uint64_t documents = 0);
  ~NearDuplicateFinder();
  NearDuplicateFinder(const NearDuplicateFinder&) = delete;
  NearDuplicateFinder& operator=(const NearDuplicateFinder&) = delete;

  // Adds the next document; its number is how many were added before. One thread at a time:
  // signatures are made in parallel, and added in the documents' order. Nothing: a document
  // without words, which resembles no other.
  void add(const std::optional<Signature>& signature);
  std::uint64_t documents() const;

  // What was added is on the disk when this returns.
  void sync();

  // Called now and then with the share of the work that is done; may throw to stop, after which
  // finish() may be called again, by another finder too.
  using Progress = std::function<void(double done)>;

  // Finds the documents to drop. Throws ResourceError of the disk. The result outlives the finder,
  // not the folder.
  NearDuplicates finish(const Progress& progress = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ovid::data_tools::duplicates
