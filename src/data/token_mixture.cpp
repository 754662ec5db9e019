#include "src/data/token_mixture.h"

#include <fmt/format.h>

#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/data/sequence_order.h"

namespace ovid::data {

TokenMixture::TokenMixture(const std::vector<std::string>& entries,
                           const std::vector<double>& weights) {
  if (weights.empty()) {
    sources_.emplace_back(entries);
    return;
  }
  if (weights.size() != entries.size()) {
    throw UsageError(
        fmt::format("{} data weights stand beside {} entries of token shards; give one weight for "
                    "each entry, or none",
                    weights.size(), entries.size()));
  }
  schedule_ = MixtureSchedule(weights);
  for (const std::string& entry : entries) sources_.emplace_back(std::vector<std::string>{entry});
}

std::int64_t TokenMixture::total_tokens() const {
  std::int64_t total = 0;
  for (const TokenDataset& source : sources_) total += source.total_tokens();
  return total;
}

std::int64_t TokenMixture::sequences(std::int64_t length) const {
  std::int64_t total = 0;
  for (const TokenDataset& source : sources_) total += checked_sequence_count(source, length);
  return total;
}

void TokenMixture::check_vocabulary(std::int64_t vocabulary_size) const {
  for (const TokenDataset& source : sources_) source.check_vocabulary(vocabulary_size);
}

template <class FingerprintOf>
std::string TokenMixture::combined_fingerprint(const FingerprintOf& fingerprint_of) const {
  if (sources_.size() == 1) return fingerprint_of(sources_.front());
  Checksum checksum;
  for (std::size_t k = 0; k < sources_.size(); ++k) {
    const std::string digest = fingerprint_of(sources_[k]);
    checksum.update(std::as_bytes(schedule_.parts().subspan(k, 1)));
    checksum.update(std::as_bytes(std::span(digest)));
  }
  return checksum.digest();
}

std::string TokenMixture::fingerprint() const {
  return combined_fingerprint([](const TokenDataset& source) { return source.fingerprint(); });
}

std::string TokenMixture::check_and_fingerprint(std::int64_t vocabulary_size) const {
  return combined_fingerprint([vocabulary_size](const TokenDataset& source) {
    return source.check_and_fingerprint(vocabulary_size);
  });
}

}  // namespace ovid::data
