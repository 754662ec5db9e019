#include "data_tools/duplicates/exact_duplicates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "data_tools/duplicates/pair_sorter.h"
#include "data_tools/duplicates/record_file.h"
#include "data_tools/duplicates/result_file.h"
#include "data_tools/filters/words.h"
#include "src/core/checksum.h"
#include "src/core/error.h"

namespace ovid::data_tools::duplicates {

namespace {

constexpr std::uint64_t kLeastMemory = 1 << 20;
constexpr std::uint64_t kStride = 1 << 16;
// Pages are given back after so many: the system maps some 64 KiB around each.
constexpr std::uint64_t kLookUps = 256;

TextHash hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed) {
  return {.high = hash64(bytes, seed), .low = hash64(bytes, seed + 1)};
}

}  // namespace

TextHash hash_text(std::string_view text, const std::vector<std::uint64_t>& words) {
  if (words.empty()) return hash_bytes(std::as_bytes(std::span(text)), 1);
  return hash_bytes(std::as_bytes(std::span(words)), 3);
}

TextHash hash_text(std::string_view text) {
  std::vector<std::uint64_t> words;
  filters::hash_words(text, words);
  return hash_text(text, words);
}

struct ExactDuplicateFinder::State {
  Path folder;
  std::uint64_t memory_bytes;
  RecordFile hashes;
};

std::span<const ExactDuplicate> ExactDuplicates::all() const {
  return records_of<ExactDuplicate>(file_);
}

const ExactDuplicate* ExactDuplicates::find(std::uint64_t document) const {
  return find_record(all(), document);
}

ExactDuplicateFinder::ExactDuplicateFinder(Path folder, std::uint64_t memory_bytes,
                                           std::uint64_t documents) {
  if (memory_bytes < kLeastMemory) {
    throw UsageError(
        fmt::format("{} bytes of memory are too few to sort duplicates in; give {} at least",
                    memory_bytes, kLeastMemory));
  }
  const Path hashes = folder / "hashes.bin";
  state_ = std::make_unique<State>(
      State{std::move(folder), memory_bytes, RecordFile(hashes, sizeof(TextHash), documents)});
}

ExactDuplicateFinder::~ExactDuplicateFinder() = default;

void ExactDuplicateFinder::add(const TextHash& hash) {
  state_->hashes.add(std::as_bytes(std::span(&hash, 1)));
}

std::uint64_t ExactDuplicateFinder::documents() const {
  return state_->hashes.count();
}

void ExactDuplicateFinder::sync() {
  state_->hashes.sync();
}

ExactDuplicates ExactDuplicateFinder::finish(const Progress& progress) {
  const Progress tell = progress ? progress : [](double) {};
  state_->hashes.flush();
  ResultFile result(state_->folder / "exact-duplicates.bin");
  PairSorter found(state_->folder / ".tmp-exact-found-", state_->memory_bytes / 2);
  {
    const MappedFile file(state_->hashes.path());
    const auto hash_of = [&](std::uint64_t document) {
      TextHash hash;
      std::memcpy(&hash, file.bytes().data() + document * sizeof hash, sizeof hash);
      return hash;
    };
    if (file.bytes().size() / sizeof(TextHash) < documents()) {
      throw DataError(fmt::format("{} was cut short while it was in use", file.path().string()));
    }
    PairSorter sorter(state_->folder / ".tmp-exact-hashes-", state_->memory_bytes / 2);
    const double total = static_cast<double>(std::max<std::uint64_t>(documents(), 1));
    for (std::uint64_t document = 0; document < documents(); ++document) {
      sorter.add({hash_of(document).high, document});
      if (document % kStride == 0) {
        forget_mapped(file.bytes());
        tell(0.5 * static_cast<double>(document) / total);
      }
    }
    std::uint64_t visited = 0;
    std::uint64_t looked_up = 0;
    std::uint64_t high = 0;
    // Of the documents of one upper half, the first of each lower half: mostly one.
    std::vector<std::uint64_t> firsts;
    sorter.visit_sorted([&](const Pair& pair) {
      if (++visited % kStride == 0) tell(0.5 + 0.4 * static_cast<double>(visited) / total);
      if (pair.first != high) firsts.clear();
      high = pair.first;
      const auto first = std::find_if(firsts.begin(), firsts.end(), [&](std::uint64_t other) {
        if (++looked_up % kLookUps == 0) forget_mapped(file.bytes());
        return hash_of(other) == hash_of(pair.second);
      });
      if (first == firsts.end()) {
        firsts.push_back(pair.second);
      } else {
        found.add({pair.second, *first});
      }
    });
  }
  found.visit_sorted([&](const Pair& pair) {
    const ExactDuplicate duplicate{pair.first, pair.second};
    result.add(std::as_bytes(std::span(&duplicate, 1)));
  });
  return ExactDuplicates(result.commit());
}

}  // namespace ovid::data_tools::duplicates
