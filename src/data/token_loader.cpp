#include "src/data/token_loader.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "src/core/checked_arithmetic.h"
#include "src/core/error.h"
#include "src/data/batch_share.h"

namespace ovid::data {
namespace {

// Positions in the run stay far from overflow; no run reads 2^60 sequences.
constexpr std::int64_t kMostSequences = std::int64_t{1} << 60;
// Of one batch: 2^33 tokens are 64 GiB with their targets.
constexpr std::uint64_t kMostBatchTokens = std::uint64_t{1} << 33;

// Where the run's sequences lie: the sources, how many sequences each has, and the two pure
// functions that order them.
class SequenceTable {
 public:
  struct Place {
    const TokenDataset& dataset;
    std::int64_t first_token;
    std::int64_t id;  // source after source
  };

  SequenceTable(const TokenSources& sources, const TokenLoaderOptions& options)
      : sources_(sources), options_(options), first_ids_{0} {
    for (const TokenDataset& dataset : sources.datasets()) {
      first_ids_.push_back(first_ids_.back() + checked_sequence_count(dataset, options.length));
      has_mask_ = has_mask_ || dataset.has_mask();
    }
  }

  Place at(std::int64_t consumed) const {
    const MixtureSchedule::Turn turn = sources_.schedule().at(consumed);
    const std::int64_t first_id = first_ids_[turn.source];
    const std::int64_t n = first_ids_[turn.source + 1] - first_id;
    const std::uint64_t seed = source_seed(options_.seed, turn.source);
    const std::int64_t index = sequence_at(options_.order, seed, n, turn.consumed).index;
    return {sources_.datasets()[turn.source], index * options_.length, first_id + index};
  }

  std::int64_t sequences() const { return first_ids_.back(); }
  bool has_mask() const { return has_mask_; }  // at least one source has

 private:
  TokenSources sources_;
  TokenLoaderOptions options_;
  std::vector<std::int64_t> first_ids_;  // of each source, then the number of all sequences
  bool has_mask_ = false;
};

void check_range(std::int64_t first, std::int64_t count, std::int64_t length) {
  const auto batch_tokens =
      checked_multiply(static_cast<std::uint64_t>(count), static_cast<std::uint64_t>(length));
  if (count < 1 || !batch_tokens || *batch_tokens > kMostBatchTokens) {
    throw UsageError(
        fmt::format("a batch of {} sequences of {} tokens is not possible: 1 to {} "
                    "tokens in all are",
                    count, length, kMostBatchTokens));
  }
  if (first < 0 || first > kMostSequences - count) {
    throw UsageError(fmt::format("sequence {} of a run was asked for; they are numbered 0 to {}",
                                 first, kMostSequences));
  }
}

void load(const SequenceTable& table, std::int64_t length, std::int64_t first, std::int64_t count,
          TokenBatch& batch) {
  check_range(first, count, length);
  const auto T = static_cast<std::size_t>(length);
  batch.count = count;
  batch.length = length;
  batch.tokens.resize(static_cast<std::size_t>(count) * T);
  batch.targets.resize(batch.tokens.size());
  batch.sequence_ids.resize(static_cast<std::size_t>(count));
  std::vector<std::uint16_t> window(T + 1);
  std::vector<std::uint8_t> mask(table.has_mask() ? T + 1 : 0);
  for (std::size_t row = 0; row < batch.sequence_ids.size(); ++row) {
    const SequenceTable::Place place = table.at(first + static_cast<std::int64_t>(row));
    batch.sequence_ids[row] = place.id;
    place.dataset.copy(place.first_token, window, mask);
    for (std::size_t t = 0; t < T; ++t) {
      batch.tokens[row * T + t] = window[t];
      const bool counts = mask.empty() || mask[t + 1] != 0;
      batch.targets[row * T + t] = counts ? std::int32_t{window[t + 1]} : kIgnoreTarget;
    }
  }
}

}  // namespace

void load_batch(const TokenSources& sources, const TokenLoaderOptions& options, std::int64_t first,
                std::int64_t count, TokenBatch& batch) {
  load(SequenceTable(sources, options), options.length, first, count, batch);
}

// One thread, one request at a time: the consumer posts the range that it will probably ask for
// next, and takes the batch when it does. `front_` belongs to the consumer; `back_` to the thread
// while `state_` is kRequested.
class TokenLoader::Prefetcher {
 public:
  Prefetcher(const TokenSources& sources, const TokenLoaderOptions& options, std::int64_t cursor)
      : table_(sources, options),
        options_(options),
        cursor_(cursor),
        thread_([this](std::stop_token stop) { run(stop); }) {}

  const TokenBatch& next(std::int64_t count) {
    const auto consumed = checked_multiply(static_cast<std::uint64_t>(count),
                                           static_cast<std::uint64_t>(options_.ranks));
    if (count < 1 || !consumed || *consumed > static_cast<std::uint64_t>(kMostSequences)) {
      throw UsageError(fmt::format("a batch of {} sequences on each of {} ranks is not possible",
                                   count, options_.ranks));
    }
    return take({.first = options_.rank * count, .count = count},
                static_cast<std::int64_t>(*consumed));
  }

  const TokenBatch& next_of_step(std::int64_t sequences) {
    constexpr std::int64_t kMostSequencesOfStep = std::int64_t{1} << 40;
    if (sequences < options_.ranks || sequences > kMostSequencesOfStep) {
      throw UsageError(
          fmt::format("a step of {} sequences is not possible with {} ranks: each takes at least "
                      "one, all together {} at most",
                      sequences, options_.ranks, kMostSequencesOfStep));
    }
    return take(share_of_batch(sequences, static_cast<int>(options_.rank),
                               static_cast<int>(options_.ranks)),
                sequences);
  }

  std::int64_t cursor() const { return cursor_; }
  std::int64_t sequences_per_epoch() const { return table_.sequences(); }

  std::int64_t count_targets(std::int64_t first, std::int64_t count) const {
    if (count == 0) return 0;
    if (first < 0 || count < 0 || first > kMostSequences - count) {
      throw UsageError(fmt::format("{} sequences from {} on are not part of a run", count, first));
    }
    if (!table_.has_mask()) {
      const auto targets = checked_multiply(static_cast<std::uint64_t>(count),
                                            static_cast<std::uint64_t>(options_.length));
      if (!targets || *targets > (1ull << 62)) {
        throw UsageError(
            fmt::format("{} sequences of {} tokens are too many to count", count, options_.length));
      }
      return static_cast<std::int64_t>(*targets);
    }
    std::int64_t targets = 0;
    for (std::int64_t i = first; i < first + count; ++i) {
      const SequenceTable::Place place = table_.at(i);
      targets += place.dataset.count_unmasked(place.first_token + 1, options_.length);
    }
    return targets;
  }

 private:
  // This rank's share of what all ranks consume now; then prepares the same of what follows.
  const TokenBatch& take(const BatchShare& share, std::int64_t consumed) {
    const std::int64_t first = cursor_ + share.first;
    if (!take_prepared(first, share.count)) {
      load(table_, options_.length, first, share.count, front_);
    }
    cursor_ += consumed;
    post(cursor_ + share.first, share.count);
    return front_;
  }

  enum class State { kIdle, kRequested, kReady };

  // Waits for the thread, and swaps its batch to the front where it is the one that is asked for.
  // Where the thread failed there is none, and the caller, reading it again, meets the same error
  // in its own thread.
  bool take_prepared(std::int64_t first, std::int64_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return state_ != State::kRequested; });
    const bool fits = state_ == State::kReady && first == first_ && count == count_;
    if (fits) std::swap(front_, back_);
    state_ = State::kIdle;
    return fits;
  }

  void post(std::int64_t first, std::int64_t count) {
    {
      const std::scoped_lock lock(mutex_);
      first_ = first;
      count_ = count;
      state_ = State::kRequested;
    }
    changed_.notify_all();
  }

  void run(const std::stop_token& stop) {
    for (;;) {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return state_ == State::kRequested; })) return;
      const std::int64_t first = first_;
      const std::int64_t count = count_;
      lock.unlock();
      State result = State::kReady;
      try {
        load(table_, options_.length, first, count, back_);
      } catch (const std::exception&) {
        result = State::kIdle;
      }
      lock.lock();
      state_ = result;
      lock.unlock();
      changed_.notify_all();
    }
  }

  const SequenceTable table_;
  const TokenLoaderOptions options_;
  std::int64_t cursor_;
  TokenBatch front_;
  TokenBatch back_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  State state_ = State::kIdle;
  std::int64_t first_ = 0;
  std::int64_t count_ = 0;
  std::jthread thread_;  // last: it is joined before what it uses goes away
};

TokenLoader::TokenLoader(const TokenSources& sources, const TokenLoaderOptions& options,
                         std::int64_t cursor) {
  constexpr std::int64_t kMostRanks = 1 << 20;
  if (options.ranks < 1 || options.ranks > kMostRanks || options.rank < 0 ||
      options.rank >= options.ranks) {
    throw UsageError(fmt::format("rank {} of {} is not possible: ranks are numbered 0 to ranks - 1",
                                 options.rank, options.ranks));
  }
  if (cursor < 0 || cursor > kMostSequences) {
    throw UsageError(
        fmt::format("a data cursor of {} sequences is outside 0 to {}", cursor, kMostSequences));
  }
  prefetcher_ = std::make_unique<Prefetcher>(sources, options, cursor);
}

TokenLoader::~TokenLoader() = default;

const TokenBatch& TokenLoader::next(std::int64_t count) {
  return prefetcher_->next(count);
}
const TokenBatch& TokenLoader::next_of_step(std::int64_t sequences) {
  return prefetcher_->next_of_step(sequences);
}
std::int64_t TokenLoader::cursor() const {
  return prefetcher_->cursor();
}
std::int64_t TokenLoader::sequences_per_epoch() const {
  return prefetcher_->sequences_per_epoch();
}
std::int64_t TokenLoader::count_targets(std::int64_t first, std::int64_t count) const {
  return prefetcher_->count_targets(first, count);
}

}  // namespace ovid::data
