#include "data_tools/dataset_builder.h"

#include <fmt/format.h>

#include <filesystem>

#include "data_tools/split.h"
#include "src/core/error.h"

namespace ovid::data_tools {

// Tokens of documents that wait, in a file, and how many each has.
struct DatasetBuilder::Spool {
  explicit Spool(const Path& directory)
      : path(directory / "waiting.tmp"), file(path, WriteMode::kCreateNew) {}
  ~Spool() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }

  Path path;
  OutputFile file;
  std::vector<std::size_t> lengths;
};

namespace {

// Each waiting document's tokens, in order.
template <typename Visit>
void for_each_waiting(const Path& path, std::span<const std::size_t> lengths, const Visit& visit) {
  const MappedFile file(path);
  const std::span<const std::uint16_t> tokens(
      reinterpret_cast<const std::uint16_t*>(file.bytes().data()), file.bytes().size() / 2);
  std::size_t begin = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    visit(i, tokens.subspan(begin, lengths[i]));
    begin += lengths[i];
  }
}

}  // namespace

DatasetBuilder::DatasetBuilder(const Path& directory, const tokenizer::Tokenizer& tokenizer,
                               const SplitOptions& options)
    : tokenizer_(tokenizer),
      options_(options),
      train_({.directory = directory, .prefix = "train", .max_tokens = options.shard_tokens}),
      validation_(
          {.directory = directory, .prefix = "validation", .max_tokens = options.shard_tokens}) {
  constexpr double kMostFraction = 0.5;
  if (!(options.validation_fraction >= 0 && options.validation_fraction <= kMostFraction)) {
    throw UsageError(fmt::format("--validation-fraction {} is outside 0 to {}",
                                 options.validation_fraction, kMostFraction));
  }
  if (options.validation_fraction > 0) spool_ = std::make_unique<Spool>(directory);
}

DatasetBuilder::~DatasetBuilder() = default;

DatasetBuilder::Part& DatasetBuilder::part_of(std::uint64_t document) {
  return is_validation_document(document, options_.validation_fraction, options_.seed) ? validation_
                                                                                       : train_;
}

void DatasetBuilder::begin_document() {
  const std::uint64_t index = documents_++;
  if (spool_ && splits_by_document(documents_, options_.validation_fraction)) {
    write_spooled_by_document();
  }
  if (spool_) {
    spool_->lengths.push_back(0);
    return;
  }
  current_ = &part_of(index);
  write(*current_, {}, true);
}

void DatasetBuilder::add(std::span<const tokenizer::TokenId> ids) {
  converted_.assign(ids.begin(), ids.end());
  if (spool_) {
    spool_->file.write(std::as_bytes(std::span(converted_)));
    spool_->lengths.back() += converted_.size();
  } else {
    write(*current_, converted_, false);
  }
}

void DatasetBuilder::write(Part& part, std::span<const std::uint16_t> tokens,
                           bool begins_document) {
  if (begins_document) {
    const auto end_of_text = static_cast<std::uint16_t>(tokenizer_.end_of_text());
    part.writer.append(std::span(&end_of_text, 1));
    ++part.result.documents;
  }
  part.writer.append(tokens);
  for (const std::uint16_t token : tokens) {
    part.result.bytes += tokenizer_.token_bytes(token).size();
  }
}

void DatasetBuilder::write_spooled_by_document() {
  spool_->file.close();
  for_each_waiting(spool_->path, spool_->lengths,
                   [&](std::size_t i, auto tokens) { write(part_of(i), tokens, true); });
  spool_.reset();
}

void DatasetBuilder::write_spooled_by_position() {
  spool_->file.close();
  for_each_waiting(spool_->path, spool_->lengths, [&](std::size_t, auto tokens) {
    const std::size_t count = tokens_for_training(tokens, tokenizer_, options_.validation_fraction);
    if (count > 0) write(train_, tokens.first(count), true);
    if (count < tokens.size()) write(validation_, tokens.subspan(count), true);
  });
  spool_.reset();
}

BuiltDataset DatasetBuilder::finish() {
  if (documents_ == 0) {
    throw DataError("the inputs hold no text; nothing was written: check --input (and --field)");
  }
  const bool by_document = options_.validation_fraction > 0 && !spool_;
  if (spool_) write_spooled_by_position();
  if (train_.writer.total_tokens() == 0 ||
      (options_.validation_fraction > 0 && validation_.writer.total_tokens() == 0)) {
    throw DataError(
        fmt::format("{} documents are too little text for --validation-fraction {}: one "
                    "part would be empty; add text, or set the fraction to 0",
                    documents_, options_.validation_fraction));
  }
  for (Part* part : {&train_, &validation_}) {
    part->result.tokens = part->writer.total_tokens();
    part->result.shards = part->writer.finish();
  }
  return {.train = std::move(train_.result),
          .validation = std::move(validation_.result),
          .split_by_document = by_document};
}

}  // namespace ovid::data_tools
