#include "data_tools/overlap/evaluation_overlap.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>
#include <optional>
#include <span>

#include "data_tools/filters/words.h"
#include "src/core/checksum.h"
#include "src/core/error.h"

namespace ovid::data_tools::overlap {

namespace {

// Different numbers, each with which sets have it and whether training text had it. Open
// addressing; at most half full, so that a look-up asks for two places at most on average.
class NgramTable {
 public:
  explicit NgramTable(std::size_t ngrams) {
    std::size_t slots = 16;
    while (slots < 2 * ngrams) slots *= 2;
    hashes_.resize(slots);
    sets_.resize(slots);
    seen_ = std::vector<std::atomic<std::uint64_t>>(slots / 64 + 1);
  }

  void insert(std::uint64_t hash, std::size_t set) {
    const std::size_t slot = find(hash);
    hashes_[slot] = hash;
    sets_[slot] |= std::uint64_t{1} << set;
  }

  // The sets that have it, 0 for none; marks it as seen.
  std::uint64_t look_up(std::uint64_t hash) {
    const std::size_t slot = find(hash);
    if (sets_[slot] == 0) return 0;
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    // Mostly set already: reading first keeps threads from fighting over the line.
    if ((seen_[slot / 64].load(std::memory_order_relaxed) & bit) == 0) {
      seen_[slot / 64].fetch_or(bit, std::memory_order_relaxed);
    }
    return sets_[slot];
  }

  std::size_t slots() const { return hashes_.size(); }
  std::uint64_t sets_at(std::size_t slot) const { return sets_[slot]; }
  std::uint64_t hash_at(std::size_t slot) const { return hashes_[slot]; }
  bool is_seen(std::size_t slot) const {
    return (seen_[slot / 64].load() >> (slot % 64) & 1u) != 0;
  }
  std::vector<std::atomic<std::uint64_t>>& seen() { return seen_; }
  const std::vector<std::atomic<std::uint64_t>>& seen() const { return seen_; }

 private:
  std::size_t find(std::uint64_t hash) const {
    const std::size_t mask = hashes_.size() - 1;
    std::size_t slot = hash & mask;
    while (sets_[slot] != 0 && hashes_[slot] != hash) slot = (slot + 1) & mask;
    return slot;
  }

  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint64_t> sets_;  // 0: an empty slot
  std::vector<std::atomic<std::uint64_t>> seen_;
};

struct Set {
  std::string name;
  std::uint64_t documents = 0;
  std::vector<std::uint64_t> ngrams;  // until ready(); different ones
};

}  // namespace

struct EvaluationOverlap::State {
  std::vector<Set> sets;
  std::optional<NgramTable> table;
  std::optional<BloomFilter> filter;
  std::string fingerprint;  // of names and n-grams

  void make_fingerprint() {
    Checksum checksum;
    for (const Set& set : sets) {
      checksum.update(std::as_bytes(std::span(set.name)));
      checksum.update(std::as_bytes(std::span(set.ngrams)));
    }
    fingerprint = checksum.digest();
  }
};

EvaluationOverlap::EvaluationOverlap() : state_(std::make_unique<State>()) {}
EvaluationOverlap::~EvaluationOverlap() = default;

std::size_t EvaluationOverlap::add_set(std::string name) {
  assert(!state_->table);
  std::vector<Set>& sets = state_->sets;
  if (sets.size() == kMaxEvaluationSets) {
    throw UsageError(fmt::format("more than {} evaluation sets; put some together in one file",
                                 kMaxEvaluationSets));
  }
  if (std::any_of(sets.begin(), sets.end(), [&](const Set& set) { return set.name == name; })) {
    throw UsageError(fmt::format("the evaluation set '{}' is given twice", name));
  }
  sets.push_back({.name = std::move(name)});
  return sets.size() - 1;
}

void EvaluationOverlap::add_text(std::size_t set, std::string_view text) {
  assert(!state_->table);
  std::vector<std::uint64_t> words;
  std::vector<std::uint64_t> ngrams;
  filters::hash_words(text, words);
  filters::hash_ngrams(words, kOverlapWords, ngrams);
  Set& target = state_->sets.at(set);
  ++target.documents;
  target.ngrams.insert(target.ngrams.end(), ngrams.begin(), ngrams.end());
}

void EvaluationOverlap::ready() {
  assert(!state_->table);
  std::size_t total = 0;
  for (Set& set : state_->sets) {
    std::sort(set.ngrams.begin(), set.ngrams.end());
    set.ngrams.erase(std::unique(set.ngrams.begin(), set.ngrams.end()), set.ngrams.end());
    total += set.ngrams.size();
  }
  state_->make_fingerprint();
  state_->table.emplace(total);
  state_->filter.emplace(total, kFalsePositiveRate);
  for (std::size_t i = 0; i < state_->sets.size(); ++i) {
    for (const std::uint64_t ngram : state_->sets[i].ngrams) {
      state_->table->insert(ngram, i);
      state_->filter->insert(ngram);
    }
    state_->sets[i].ngrams = {};
  }
}

DocumentOverlap EvaluationOverlap::look_up(const std::vector<std::uint64_t>& words) {
  assert(state_->table);
  std::vector<std::uint64_t> ngrams;
  filters::hash_ngrams(words, kOverlapWords, ngrams);
  DocumentOverlap overlap{.ngrams = ngrams.size()};
  for (const std::uint64_t ngram : ngrams) {
    if (!state_->filter->contains(ngram)) continue;
    const std::uint64_t sets = state_->table->look_up(ngram);
    if (sets != 0) ++overlap.found;
    overlap.sets |= sets;
  }
  return overlap;
}

std::vector<SetOverlap> EvaluationOverlap::sets() const {
  assert(state_->table);
  const NgramTable& table = *state_->table;
  std::vector<SetOverlap> result;
  for (const Set& set : state_->sets) {
    result.push_back({.name = set.name, .documents = set.documents});
  }
  for (std::size_t slot = 0; slot < table.slots(); ++slot) {
    for (std::size_t i = 0; i < result.size(); ++i) {
      if ((table.sets_at(slot) >> i & 1u) == 0) continue;
      ++result[i].ngrams;
      if (table.is_seen(slot)) ++result[i].found;
    }
  }
  return result;
}

std::string EvaluationOverlap::marks() const {
  assert(state_->table);
  std::string marks = state_->fingerprint;
  for (const auto& word : state_->table->seen()) {
    const std::uint64_t bits = word.load();
    marks.append(reinterpret_cast<const char*>(&bits), sizeof bits);
  }
  return marks;
}

void EvaluationOverlap::restore_marks(std::string_view marks) {
  assert(state_->table);
  const std::string& fingerprint = state_->fingerprint;
  auto& seen = state_->table->seen();
  if (marks.size() != fingerprint.size() + seen.size() * sizeof(std::uint64_t) ||
      !marks.starts_with(fingerprint)) {
    throw DataError(
        "the marks of the evaluation sets are of other sets than those given now; give the same "
        "sets in the same order, or begin anew");
  }
  for (std::size_t i = 0; i < seen.size(); ++i) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, marks.data() + fingerprint.size() + i * sizeof bits, sizeof bits);
    seen[i].store(bits);
  }
}

}  // namespace ovid::data_tools::overlap
