#include "src/data/dataset.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/data/sequence_order.h"

namespace ovid::data {
namespace {

bool is_unfinished_or_mask(const Path& path) {
  return path.extension() == ".mask" || path.extension() == ".tmp";
}

std::vector<Path> matches_of(const std::string& pattern) {
  glob_t found{};
  const int result = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<Path> paths;
  for (std::size_t i = 0; result == 0 && i < found.gl_pathc; ++i) {
    if (!is_unfinished_or_mask(found.gl_pathv[i])) paths.emplace_back(found.gl_pathv[i]);
  }
  ::globfree(&found);
  if (result != 0 && result != GLOB_NOMATCH) {
    throw ResourceError(fmt::format("cannot search for {}: out of memory or unreadable", pattern));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

std::vector<Path> expand_patterns(const std::vector<std::string>& patterns) {
  if (patterns.empty()) {
    throw DataError("no token shards are named; give at least one path or pattern");
  }
  std::vector<Path> paths;
  for (const std::string& pattern : patterns) {
    std::error_code error;
    if (std::filesystem::exists(pattern, error)) {  // a name may hold a bracket
      paths.emplace_back(pattern);
      continue;
    }
    const std::vector<Path> found = matches_of(pattern);
    if (found.empty()) {
      throw DataError(
          fmt::format("no token shard matches {} in {}; check the path, or make shards "
                      "with ovid-data text --input TEXT --output FOLDER",
                      pattern, std::filesystem::current_path().string()));
    }
    paths.insert(paths.end(), found.begin(), found.end());
  }
  return paths;
}

TokenDataset::TokenDataset(const std::vector<std::string>& patterns) {
  const std::vector<Path> paths = expand_patterns(patterns);
  shards_.reserve(paths.size());
  starts_.push_back(0);
  for (const Path& path : paths) {
    shards_.push_back(TokenShard::open(path));
    // No overflow: a shard that is mapped has fewer than 2^47 tokens.
    starts_.push_back(starts_.back() + static_cast<std::int64_t>(shards_.back().tokens().size()));
  }
  has_mask_ = shards_.front().mask().has_value();
  for (const TokenShard& shard : shards_) {
    if (shard.mask().has_value() == has_mask_) continue;
    const Path& with = has_mask_ ? shards_.front().path() : shard.path();
    const Path& without = has_mask_ ? shard.path() : shards_.front().path();
    throw DataError(
        fmt::format("{} has a loss mask and {} has none; give all shards one, or use "
                    "them in separate runs",
                    with.string(), without.string()));
  }
}

TokenDataset::Location TokenDataset::locate(std::int64_t token) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), token);
  const auto shard = static_cast<std::size_t>(after - starts_.begin()) - 1;
  return {shard, static_cast<std::size_t>(token - starts_[shard])};
}

void TokenDataset::check_range(std::int64_t first, std::int64_t count) const {
  if (first < 0 || count < 0 || first > total_tokens() || count > total_tokens() - first) {
    throw DataError(fmt::format("{} tokens from {} on were asked of a data set of {}", count, first,
                                total_tokens()));
  }
}

void TokenDataset::copy(std::int64_t first, std::span<std::uint16_t> tokens,
                        std::span<std::uint8_t> mask) const {
  check_range(first, static_cast<std::int64_t>(tokens.size()));
  if (!mask.empty() && mask.size() != tokens.size()) {
    throw DataError(
        fmt::format("room for {} mask bytes was given for {} tokens; they must be equal",
                    mask.size(), tokens.size()));
  }
  Location at = locate(first);
  for (std::size_t done = 0; done < tokens.size(); ++at.shard, at.index = 0) {
    const TokenShard& shard = shards_[at.shard];
    const auto rest = shard.tokens().subspan(at.index);
    const std::size_t count = std::min(rest.size(), tokens.size() - done);
    if (count == 0) continue;
    shard.check_unchanged();
    std::copy_n(rest.begin(), count, tokens.begin() + done);
    if (!mask.empty() && has_mask_) {
      std::copy_n(shard.mask()->begin() + at.index, count, mask.begin() + done);
    }
    shard.forget(at.index, count);
    done += count;
  }
  if (!has_mask_) std::fill(mask.begin(), mask.end(), std::uint8_t{1});
}

std::int64_t TokenDataset::count_unmasked(std::int64_t first, std::int64_t count) const {
  check_range(first, count);
  if (!has_mask_) return count;
  std::int64_t unmasked = 0;
  Location at = locate(first);
  for (; count > 0; ++at.shard, at.index = 0) {
    const TokenShard& shard = shards_[at.shard];
    const auto rest = shard.mask()->subspan(at.index);
    const auto here = rest.first(std::min(rest.size(), static_cast<std::size_t>(count)));
    if (here.empty()) continue;
    shard.check_unchanged();
    unmasked += static_cast<std::int64_t>(here.size()) -
                std::count(here.begin(), here.end(), std::uint8_t{0});
    count -= static_cast<std::int64_t>(here.size());
  }
  return unmasked;
}

void TokenDataset::check_vocabulary(std::int64_t vocabulary_size) const {
  for (const TokenShard& shard : shards_) data::check_vocabulary(shard, vocabulary_size);
}

std::string TokenDataset::fingerprint() const {
  return check_and_fingerprint(kMaxVocabularySize);
}

std::string TokenDataset::check_and_fingerprint(std::int64_t vocabulary_size) const {
  // Tokens that are checked are still in the cache when they are hashed.
  constexpr std::size_t kBlock = std::size_t{1} << 16, kForgotten = std::size_t{1} << 20;
  Checksum checksum;
  const auto add_number = [&](std::uint64_t value) {
    checksum.update(std::as_bytes(std::span(&value, 1)));
  };
  add_number(shards_.size());
  for (const TokenShard& shard : shards_) {
    shard.check_unchanged();
    add_number(shard.tokens().size());
    add_number(has_mask_ ? 1 : 0);
    const std::size_t tokens = shard.tokens().size();
    for (std::size_t first = 0; first < tokens; first += kBlock) {
      const std::size_t count = std::min(kBlock, tokens - first);
      data::check_vocabulary(shard, vocabulary_size, first, count);
      checksum.update(std::as_bytes(shard.tokens().subspan(first, count)));
      if ((first + count) % kForgotten == 0) shard.forget(first + count - kForgotten, kForgotten);
    }
    if (has_mask_) checksum.update(std::as_bytes(*shard.mask()));
    shard.forget(0, tokens);
  }
  return checksum.digest();
}

std::int64_t checked_sequence_count(const TokenDataset& dataset, std::int64_t length) {
  if (length < 1) throw UsageError(fmt::format("a sequence of {} tokens is not possible", length));
  const std::int64_t n = sequence_count(dataset.total_tokens(), length);
  if (n > 0) return n;
  throw DataError(
      fmt::format("the data set has {} tokens ({} and {} more files), and one sequence "
                  "of {} needs {}; add texts, or use a shorter length",
                  dataset.total_tokens(), dataset.shards().front().path().string(),
                  dataset.shards().size() - 1, length, length + 1));
}

}  // namespace ovid::data
