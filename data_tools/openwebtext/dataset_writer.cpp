#include "data_tools/openwebtext/dataset_writer.h"

#include <algorithm>
#include <filesystem>

#include "data_tools/dataset_files.h"
#include "data_tools/document_spool.h"
#include "data_tools/interruption.h"

namespace ovid::data_tools::openwebtext {
namespace {

// Shards of a process that was cut off.
void remove_shards(const Path& folder) {
  std::vector<Path> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".bin") && is_dataset_file(name)) left.push_back(entry.path());
  }
  for (const Path& path : left) std::filesystem::remove(path);
  DocumentSpool::remove_files(folder);
}

class LateStages {
 public:
  LateStages(const DatasetInputs& inputs, const Options& options,
             const tokenizer::Tokenizer& tokenizer, Ledger& ledger)
      : inputs_(inputs), options_(options), tokenizer_(tokenizer), ledger_(ledger) {}

  // Whether the document stays. Called in the documents' order.
  bool passes(std::uint64_t number, const SpooledDocument& document) {
    const std::uint64_t bytes = document.text_bytes;
    if (const auto* found = next(inputs_.exact.all(), exact_, number)) {
      ledger_.drop(Stage::kExactDuplicates, bytes,
                   sample(Stage::kExactDuplicates, document, "same_words", 1, 1, found->kept));
      return false;
    }
    ledger_.pass(Stage::kExactDuplicates, bytes);
    if (const auto* found = next(inputs_.near.all(), near_, number)) {
      ledger_.drop(Stage::kNearDuplicates, bytes,
                   sample(Stage::kNearDuplicates, document, "similar_words", found->similarity,
                          options_.near_duplicate_threshold, found->kept));
      return false;
    }
    ledger_.pass(Stage::kNearDuplicates, bytes);
    return passes_overlap(document);
  }

 private:
  template <class Duplicate>
  static const Duplicate* next(std::span<const Duplicate> all, std::size_t& place,
                               std::uint64_t number) {
    while (place < all.size() && all[place].document < number) ++place;
    return place < all.size() && all[place].document == number ? &all[place] : nullptr;
  }

  bool passes_overlap(const SpooledDocument& document) {
    const double share = document.overlap_ngrams == 0
                             ? 0
                             : static_cast<double>(document.overlap_found) /
                                   static_cast<double>(document.overlap_ngrams);
    if (document.overlap_found > 0) ledger_.note(Stage::kOverlap, "documents_with_overlap", 1);
    ledger_.note(Stage::kOverlap, "ngrams_in_evaluation_sets", document.overlap_found);
    if (options_.remove_overlap > 0 && share >= options_.remove_overlap) {
      ledger_.drop(Stage::kOverlap, document.text_bytes,
                   sample(Stage::kOverlap, document, "evaluation_ngrams", share,
                          options_.remove_overlap, std::nullopt));
      return false;
    }
    ledger_.pass(Stage::kOverlap, document.text_bytes);
    return true;
  }

  std::string excerpt(const SpooledDocument& document) const {
    const std::size_t most = std::min(document.tokens.size(), kExcerptBytes);
    const std::vector<tokenizer::TokenId> ids(
        document.tokens.begin(), document.tokens.begin() + static_cast<std::ptrdiff_t>(most));
    return excerpt_of(tokenizer_.decode(ids));
  }

  DroppedSample sample(Stage stage, const SpooledDocument& document, const char* reason,
                       double figure, double limit, std::optional<std::uint64_t> kept) const {
    DroppedSample made{.name = std::string(document.name),
                       .reason = reason,
                       .figure = figure,
                       .limit = limit,
                       .excerpt = {},
                       .kept = {},
                       .kept_excerpt = {}};
    if (!ledger_.wants_sample(stage, document.name)) return made;
    made.excerpt = excerpt(document);
    if (kept) {
      const SpooledDocument other = inputs_.spooled.document(*kept);
      made.kept = std::string(other.name);
      made.kept_excerpt = excerpt(other);
    }
    return made;
  }

  const DatasetInputs& inputs_;
  const Options& options_;
  const tokenizer::Tokenizer& tokenizer_;
  Ledger& ledger_;
  std::size_t exact_ = 0;
  std::size_t near_ = 0;
};

}  // namespace

BuiltDataset write_shards(const DatasetInputs& inputs, const Options& options,
                          const tokenizer::Tokenizer& tokenizer, const Path& folder, Ledger& ledger,
                          const std::function<void(std::uint64_t bytes)>& progress) {
  remove_shards(folder);
  for (const Stage stage : {Stage::kExactDuplicates, Stage::kNearDuplicates, Stage::kOverlap}) {
    ledger.clear(stage);
  }
  DatasetBuilder builder(folder, tokenizer, options.split);
  LateStages stages(inputs, options, tokenizer, ledger);
  inputs.spooled.for_each(
      [&](std::uint64_t number, const SpooledDocument& document, std::uint64_t behind) {
        check_interruption();
        if (stages.passes(number, document)) {
          builder.begin_document();
          builder.add(document.tokens, document.text_bytes);
        }
        progress(behind);
      });
  BuiltDataset built = builder.finish();
  DocumentSpool::remove_files(folder);
  return built;
}

}  // namespace ovid::data_tools::openwebtext
