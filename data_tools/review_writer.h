#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/commands.h"
#include "data_tools/control_tokens.h"
#include "data_tools/review_progress.h"
#include "data_tools/review_reader.h"
#include "data_tools/review_spool.h"
#include "data_tools/work_pool.h"
#include "src/prompts/review_prompt.h"

namespace ovid::data_tools {

// The second half of `ovid-data amazon-reviews`: from the distinct reviews of a spool to the shards
// of each part, and the held-out texts (validation_reviews.jsonl, test_reviews.jsonl). Tokens are
// made on all threads of a pool and written in the reviews' order.
class ReviewWriter {
 public:
  // Options and reader are kept by reference. `folder`: where to write.
  ReviewWriter(const AmazonReviewsOptions& options, const Path& folder,
               const tokenizer::Tokenizer& tokenizer, const ReviewReader& reader);

  // Goes on from what an earlier process recorded, with its files. Throws DataError where they hold
  // less.
  void restore(const ReviewProgress::Writing& state);

  // Writes all that is left. `taken` is called behind each review, with the bytes of its text.
  void run(ReviewSpool& spool, WorkPool& pool, const std::function<void(std::size_t bytes)>& taken);

  // What was written is on the disk when this returns, and can be gone on from.
  ReviewProgress::Writing save();

  // Completes the files. Throws DataError where a part that was asked for is empty. Call once.
  void finish();

  // The parts as they stand in dataset.json: a JSON object. After finish().
  std::string parts_as_json() const;

  const ControlTokens& control() const { return control_; }
  std::int64_t tokens() const;
  std::uint64_t training_reviews() const { return outputs_.front().counts.total(); }

 private:
  struct Item;
  struct Output {
    Output(const Path& folder, std::size_t part, std::int64_t shard_tokens);
    ShardSequence shards;
    Path rows_path;  // of the texts of a held-out part; empty: of the training part
    std::optional<OutputFile> rows;
    std::uint64_t row_bytes = 0;
    ReviewCounts counts;
    std::int64_t tokens = 0;
    std::vector<data::WrittenShard> written;
  };
  void make_document(tokenizer::EncodeCache& cache, Item& item) const;
  void take(Item& item);

  const AmazonReviewsOptions& options_;
  const ReviewReader& reader_;
  ControlTokens control_;
  prompts::ReviewLayout layout_;
  std::deque<Output> outputs_;
  std::uint64_t passed_ = 0;  // reviews of the spool
};

}  // namespace ovid::data_tools
