#include "data_tools/dataset_builder.h"

#include <fmt/format.h>

#include "data_tools/interruption.h"
#include "data_tools/split.h"
#include "src/core/error.h"

namespace ovid::data_tools {

DatasetBuilder::DatasetBuilder(const Path& directory, const tokenizer::Tokenizer& tokenizer,
                               const SplitOptions& options)
    : directory_(directory),
      tokenizer_(tokenizer),
      options_(options),
      train_({.directory = directory, .prefix = "train", .max_tokens = options.shard_tokens}),
      validation_(
          {.directory = directory, .prefix = "validation", .max_tokens = options.shard_tokens}) {
  constexpr double kMostFraction = 0.5;
  if (!(options.validation_fraction >= 0 && options.validation_fraction <= kMostFraction)) {
    throw UsageError(fmt::format("--validation-fraction {} is outside 0 to {}",
                                 options.validation_fraction, kMostFraction));
  }
}

DatasetBuilder::~DatasetBuilder() = default;

void DatasetBuilder::restore(const BuilderState& state) {
  documents_ = state.documents;
  if (state.spool) {
    spool_ = std::make_unique<DocumentSpool>(directory_, *state.spool);
  } else if (documents_ > 0) {
    DocumentSpool::remove_files(directory_);
    current_ = &part_of(documents_ - 1);
  }
  for (const auto& [part, saved] :
       {std::pair(&train_, &state.train), std::pair(&validation_, &state.validation)}) {
    part->writer.restore(saved->shards);
    part->result.documents = saved->documents;
    part->result.bytes = saved->bytes;
  }
}

DatasetBuilder::Part& DatasetBuilder::part_of(std::uint64_t document) {
  return is_validation_document(document, options_.validation_fraction, options_.seed) ? validation_
                                                                                       : train_;
}

void DatasetBuilder::begin_document() {
  const std::uint64_t index = documents_++;
  if (index == 0 && options_.validation_fraction > 0) {
    spool_ = std::make_unique<DocumentSpool>(directory_);
  }
  if (spool_ && splits_by_document(documents_, options_.validation_fraction)) {
    write_spooled_by_document();
  }
  if (spool_) {
    spool_->begin_document();
    return;
  }
  current_ = &part_of(index);
  begin(*current_);
}

void DatasetBuilder::add(std::span<const std::uint16_t> tokens, std::uint64_t text_bytes) {
  if (spool_) {
    spool_->add(tokens, text_bytes);
  } else {
    add_to(*current_, tokens, text_bytes);
  }
}

void DatasetBuilder::begin(Part& part) {
  const auto end_of_text = static_cast<std::uint16_t>(tokenizer_.end_of_text());
  part.writer.append(std::span(&end_of_text, 1));
  ++part.result.documents;
}

void DatasetBuilder::add_to(Part& part, std::span<const std::uint16_t> tokens,
                            std::uint64_t text_bytes) {
  part.writer.append(tokens);
  part.result.bytes += text_bytes;
}

std::uint64_t DatasetBuilder::bytes_of(std::span<const std::uint16_t> tokens) const {
  std::uint64_t bytes = 0;
  for (const std::uint16_t token : tokens) bytes += tokenizer_.token_bytes(token).size();
  return bytes;
}

void DatasetBuilder::write_spooled_by_document() {
  spool_->for_each_part([&](const DocumentSpool::Part& document) {
    Part& part = part_of(document.index);
    if (document.begins) begin(part);
    add_to(part, document.tokens, document.begins ? document.document.bytes : 0);
  });
  spool_.reset();
  spool_is_obsolete_ = true;
}

void DatasetBuilder::write_spooled_by_position() {
  std::optional<PositionSplit> split;
  bool begun = false;
  bool validating = false;
  spool_->for_each_part([&](const DocumentSpool::Part& document) {
    check_interruption();
    if (document.begins) {
      split.emplace(document.document.bytes, options_.validation_fraction);
      begun = validating = false;
    }
    const std::size_t count = split->tokens_for_training(document.tokens, tokenizer_);
    const auto training = document.tokens.first(count);
    const auto rest = document.tokens.subspan(count);
    if (!training.empty()) {
      if (!begun) begin(train_);
      begun = true;
      add_to(train_, training, bytes_of(training));
    }
    if (!rest.empty()) {
      if (!validating) begin(validation_);
      validating = true;
      add_to(validation_, rest, bytes_of(rest));
    }
  });
  spool_.reset();
  spool_is_obsolete_ = true;
}

BuilderState DatasetBuilder::save() {
  BuilderState state{.documents = documents_, .spool = {}, .train = {}, .validation = {}};
  if (spool_) {
    spool_->sync();
    state.spool = spool_->state();
  }
  for (const auto& [part, saved] :
       {std::pair(&train_, &state.train), std::pair(&validation_, &state.validation)}) {
    part->writer.sync();
    *saved = {part->result.documents, part->result.bytes, part->writer.state()};
  }
  sync_directory(directory_);
  return state;
}

void DatasetBuilder::state_is_recorded() {
  if (spool_is_obsolete_) DocumentSpool::remove_files(directory_);
  spool_is_obsolete_ = false;
}

std::int64_t DatasetBuilder::tokens() const {
  return train_.writer.total_tokens() + validation_.writer.total_tokens() +
         (spool_ ? static_cast<std::int64_t>(spool_->state().tokens) : 0);
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
