#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/data/dataset.h"
#include "src/data/mixture_schedule.h"

namespace ovid::data {

// What a run trains on: one row of tokens, or several weighted ones that take turns. Each source
// has its own epochs and its own permutation in each; a sequence never spans two sources.
class TokenMixture {
 public:
  // `entries` are paths or patterns of token shards. Without weights all entries laid end to end
  // are one source, in which each sequence is equally likely. With one weight an entry, each entry
  // is a source of its own. Throws UsageError where the numbers of entries and weights differ and
  // as MixtureSchedule does; DataError as TokenDataset does.
  explicit TokenMixture(const std::vector<std::string>& entries,
                        const std::vector<double>& weights = {});

  std::span<const TokenDataset> sources() const { return sources_; }
  const MixtureSchedule& schedule() const { return schedule_; }
  std::int64_t total_tokens() const;  // of all sources

  // Sequences of `length` tokens in all sources together. Throws DataError naming the first source
  // that holds not even one, UsageError for a length below 1.
  std::int64_t sequences(std::int64_t length) const;

  // As TokenDataset's. The fingerprint of weighted sources also covers their weights; that of one
  // source is the data set's own.
  void check_vocabulary(std::int64_t vocabulary_size) const;
  std::string fingerprint() const;
  std::string check_and_fingerprint(std::int64_t vocabulary_size) const;

 private:
  template <class FingerprintOf>
  std::string combined_fingerprint(const FingerprintOf& fingerprint_of) const;

  std::vector<TokenDataset> sources_;
  MixtureSchedule schedule_;
};

// What a loader reads: the sources of a mixture, or one data set. Does not own them.
class TokenSources {
 public:
  TokenSources(const TokenDataset& dataset) : datasets_(&dataset, 1) {}
  TokenSources(const TokenMixture& mixture)
      : datasets_(mixture.sources()), schedule_(mixture.schedule()) {}

  std::span<const TokenDataset> datasets() const { return datasets_; }
  const MixtureSchedule& schedule() const { return schedule_; }

 private:
  std::span<const TokenDataset> datasets_;
  MixtureSchedule schedule_;
};

}  // namespace ovid::data
