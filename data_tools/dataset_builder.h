#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "src/core/file.h"
#include "src/data/shard_writer.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::data_tools {

struct SplitOptions {
  double validation_fraction = 0.01;  // 0 to 0.5
  std::uint64_t seed = 1337;
  std::int64_t shard_tokens = 100'000'000;
};

struct SplitResult {
  std::uint64_t documents = 0;  // that have a part in this split
  std::int64_t tokens = 0;      // with the <|endoftext|> before each document
  std::uint64_t bytes = 0;      // that the tokens spell, without it
  std::vector<data::WrittenShard> shards;
};

struct BuiltDataset {
  SplitResult train;
  SplitResult validation;
  bool split_by_document = false;
};

// Turns documents' tokens into the train and validation shards of `directory`, each document after
// <|endoftext|>. How they are split is known only when enough documents have come (split.h): until
// then their tokens wait in a file of the directory, so that memory does not grow with the corpus.
class DatasetBuilder {
 public:
  // Keeps a reference to `tokenizer`. Throws UsageError for options outside their ranges.
  DatasetBuilder(const Path& directory, const tokenizer::Tokenizer& tokenizer,
                 const SplitOptions& options);
  ~DatasetBuilder();

  // A document is a begin and any number of adds.
  void begin_document();
  void add(std::span<const tokenizer::TokenId> ids);

  // Throws DataError where there was no document, or none of the text fell to validation although a
  // fraction was asked.
  BuiltDataset finish();

 private:
  struct Part {
    explicit Part(data::ShardWriterOptions options) : writer(std::move(options)) {}
    data::ShardWriter writer;
    SplitResult result;
  };
  struct Spool;

  Part& part_of(std::uint64_t document);
  void write(Part& part, std::span<const std::uint16_t> tokens, bool begins_document);
  void write_spooled_by_document();
  void write_spooled_by_position();

  const tokenizer::Tokenizer& tokenizer_;
  SplitOptions options_;
  Part train_;
  Part validation_;
  std::unique_ptr<Spool> spool_;  // as long as the split is not known
  std::uint64_t documents_ = 0;
  Part* current_ = nullptr;  // of the document that is being added, once the split is known
  std::vector<std::uint16_t> converted_;
};

}  // namespace ovid::data_tools
