#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "src/data/dataset.h"
#include "src/data/sequence_order.h"
#include "src/data/token_mixture.h"

namespace ovid::data {

// A target that adds no loss: the loss op skips it.
inline constexpr std::int32_t kIgnoreTarget = -1;

struct TokenLoaderOptions {
  SequenceOrder order = SequenceOrder::kShuffled;
  std::uint64_t seed = 0;
  std::int64_t length = 0;  // tokens of a sequence
  std::int64_t rank = 0;    // of `ranks` that share each batch
  std::int64_t ranks = 1;
};

struct TokenBatch {
  std::int64_t count = 0;            // sequences
  std::int64_t length = 0;           // tokens of each
  std::vector<std::int32_t> tokens;  // (count, length)
  std::vector<std::int32_t>
      targets;  // (count, length): the token after; kIgnoreTarget where masked
  // (count): which sequences of the data set these are; those of a mixture are numbered source
  // after source
  std::vector<std::int64_t> sequence_ids;
};

// The batches of one rank, in the order of the run. The batch after the current one is prepared by
// a thread while the current one is computed on. Which sequences these are is a pure function of
// (sources, weights, seed, sequences consumed): MixtureSchedule says whose turn it is, and
// sequence_at which of that source's sequences follows. Not for use from several threads at once;
// the data must outlive the loader.
class TokenLoader {
 public:
  // `cursor` is the number of sequences that all ranks consumed before: any value costs the same.
  // Throws DataError where a source holds no sequence of options.length + 1 tokens, UsageError
  // for a length below 1, a rank outside [0, ranks) or a negative cursor.
  TokenLoader(const TokenSources& sources, const TokenLoaderOptions& options,
              std::int64_t cursor = 0);
  ~TokenLoader();
  TokenLoader(const TokenLoader&) = delete;
  TokenLoader& operator=(const TokenLoader&) = delete;

  // The next `count` sequences of this rank: of the following ranks x count sequences of the run,
  // those from rank x count on. The result is valid until the next call. The prepared batch has the
  // size of the one before; another size is correct, but has to be read while the caller waits.
  // Rethrows what the thread met (DataError where a shard changed).
  const TokenBatch& next(std::int64_t count);
  // This rank's share (batch_share.h) of the following `sequences` of the run; otherwise as next().
  // Throws UsageError for fewer sequences than ranks.
  const TokenBatch& next_of_step(std::int64_t sequences);

  // Sequences consumed by all ranks so far: what a checkpoint keeps.
  std::int64_t cursor() const;
  // Sequences of all sources. A weighted source is read more or less often than once an epoch.
  std::int64_t sequences_per_epoch() const;

  // How many targets of the run's sequences [first, first + count) count: what the mean loss of a
  // step divides by. count x length without masks.
  std::int64_t count_targets(std::int64_t first, std::int64_t count) const;

 private:
  class Prefetcher;
  std::unique_ptr<Prefetcher> prefetcher_;
};

// Fills `batch` with the run's sequences [first, first + count). What TokenLoader does, without its
// thread.
void load_batch(const TokenSources& sources, const TokenLoaderOptions& options, std::int64_t first,
                std::int64_t count, TokenBatch& batch);

}  // namespace ovid::data
