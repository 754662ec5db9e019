#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "data_tools/document_spool.h"
#include "data_tools/shard_sequence.h"
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

// How far a DatasetBuilder is: enough to go on after the process has died.
struct BuilderState {
  struct Part {
    std::uint64_t documents = 0;
    std::uint64_t bytes = 0;
    ShardSequenceState shards;
  };
  std::uint64_t documents = 0;
  std::optional<DocumentSpoolState> spool;  // as long as the split is not known
  Part train;
  Part validation;
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

  // Goes on from `state`, with the files of the directory. Before all else.
  void restore(const BuilderState& state);

  // A document is a begin and any number of adds: tokens, and the length of the text that they
  // spell.
  void begin_document();
  void add(std::span<const std::uint16_t> tokens, std::uint64_t text_bytes);

  // What was added is on the disk when this returns, and can be gone on from.
  BuilderState save();
  // The state that save() returned last is on record: files that only earlier ones need go.
  void state_is_recorded();

  std::int64_t tokens() const;  // so far

  // Completes the shards. Where it is cut off, the state that save() returned last still holds: the
  // files that it needs go with state_is_recorded() or DocumentSpool::remove_files. Throws
  // DataError where there was no document, or none of the text fell to validation although a
  // fraction was asked.
  BuiltDataset finish();

 private:
  struct Part {
    explicit Part(data::ShardWriterOptions options) : writer(std::move(options)) {}
    ShardSequence writer;
    SplitResult result;
  };

  Part& part_of(std::uint64_t document);
  void begin(Part& part);
  static void add_to(Part& part, std::span<const std::uint16_t> tokens, std::uint64_t text_bytes);
  std::uint64_t bytes_of(std::span<const std::uint16_t> tokens) const;
  void write_spooled_by_document();
  void write_spooled_by_position();

  Path directory_;
  const tokenizer::Tokenizer& tokenizer_;
  SplitOptions options_;
  Part train_;
  Part validation_;
  std::unique_ptr<DocumentSpool> spool_;  // as long as the split is not known
  bool spool_is_obsolete_ = false;        // its files are needed by an earlier state only
  std::uint64_t documents_ = 0;
  Part* current_ = nullptr;  // of the document that is being added, once the split is known
};

}  // namespace ovid::data_tools
