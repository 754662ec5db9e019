#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data_tools/byte_source.h"
#include "data_tools/commands.h"
#include "data_tools/output_folder.h"
#include "data_tools/progress.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/version.h"
#include "src/data/dataset_description.h"
#include "src/data/token_shard.h"
#include "src/tokenizer/encode_cache.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

bool is_dataset_file(const std::string& name) {
  const bool shard = name.ends_with(".bin") || name.ends_with(".mask");
  return name == "dataset.json" || name == "tokenizer" ||
         (shard && (name.starts_with("train_") || name.starts_with("validation_")));
}

tokenizer::Tokenizer load_tokenizer(const std::string& where) {
  tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(where);
  if (tokenizer.vocabulary_size() > data::kMaxVocabularySize) {
    throw DataError(
        fmt::format("{} has {} tokens, and a shard can hold ids below {} only; use a "
                    "smaller vocabulary",
                    where, tokenizer.vocabulary_size(), data::kMaxVocabularySize));
  }
  if (tokenizer.end_of_text() < 0) {
    throw DataError(
        fmt::format("{} has no <|endoftext|>, which begins each document; use a "
                    "vocabulary with it",
                    where));
  }
  return tokenizer;
}

ordered_json describe(const SplitResult& split) {
  ordered_json shards = ordered_json::array();
  for (const data::WrittenShard& shard : split.shards) {
    shards.push_back({{"file", shard.path.filename().string()},
                      {"tokens", shard.tokens},
                      {"bytes", shard.bytes},
                      {"tokens_xxh128", shard.checksum}});
  }
  return {{"documents", split.documents},
          {"tokens", split.tokens},
          {"bytes", split.bytes},
          {"shards", std::move(shards)}};
}

const char* name_of(InvalidUtf8 choice) {
  switch (choice) {
    case InvalidUtf8::kReplace:
      return "replace";
    case InvalidUtf8::kError:
      return "error";
    case InvalidUtf8::kBytes:
      return "bytes";
  }
  return "";
}

ordered_json describe(const TextOptions& options, const tokenizer::Tokenizer& tokenizer,
                      const BuiltDataset& built, const PieceBatcher& pieces,
                      const WalkCounts& walked) {
  const bool split = options.split.validation_fraction > 0;
  return {{"format_version", data::kDatasetFormatVersion},
          {"created_by", std::string("ovid-data ") + kVersion},
          {"tokenizer", "tokenizer"},
          {"tokenizer_fingerprint", fmt::format("{:016x}", tokenizer.fingerprint())},
          {"vocabulary_size", tokenizer.vocabulary_size()},
          {"end_of_text", tokenizer.end_of_text()},
          {"documents", pieces.documents()},
          {"empty_documents", pieces.empty_documents()},
          {"lines_without_field", walked.lines_without_field},
          {"invalid_utf8_replaced", pieces.replacements() + walked.replaced_in_lines},
          {"train", describe(built.train)},
          {"validation", describe(built.validation)},
          {"settings",
           {{"validation_fraction", options.split.validation_fraction},
            {"split", !split                    ? "none"
                      : built.split_by_document ? "document"
                                                : "position"},
            {"seed", options.split.seed},
            {"field", options.input.field},
            {"shard_tokens", options.split.shard_tokens},
            {"invalid_utf8", name_of(options.invalid_utf8)}}}};
}

void report(const ordered_json& description, const std::string& summary, const Path& folder) {
  log::info(summary);
  for (const char* split : {"train", "validation"}) {
    const ordered_json& part = description[split];
    if (part["tokens"] == 0) continue;
    log::info(fmt::format("{}: {} tokens of {} documents in {} shards", split,
                          part["tokens"].get<std::int64_t>(), part["documents"].get<std::int64_t>(),
                          part["shards"].size()));
  }
  if (description["invalid_utf8_replaced"] != 0) {
    log::warning(fmt::format("{} places were not UTF-8 and became U+FFFD",
                             description["invalid_utf8_replaced"].get<std::int64_t>()));
  }
  if (description["empty_documents"] != 0) {
    log::warning(fmt::format("{} documents were empty and left out",
                             description["empty_documents"].get<std::int64_t>()));
  }
  log::info(fmt::format("written to {}", folder.string()));
}

}  // namespace

void run_text(const TextOptions& options) {
  const tokenizer::Tokenizer tokenizer = load_tokenizer(options.tokenizer);
  OutputFolder output(options.output, "dataset.json", is_dataset_file, options.overwrite);
  DatasetBuilder builder(output.working_path(), tokenizer, options.split);
  Progress progress;
  std::uint64_t documents = 0;
  std::uint64_t bytes = 0;
  std::vector<tokenizer::EncodeCache> caches(PieceBatcher::worker_count());
  PieceBatcher pieces(
      options.invalid_utf8,
      [&](std::size_t worker, Piece& piece) {
        tokenizer.encode_append(piece.text, tokenizer::SpecialTokens::kAsText, caches[worker],
                                piece.ids);
      },
      [&](Piece& piece) {
        if (piece.begins_document) builder.begin_document();
        builder.add(piece.ids);
        bytes += piece.text.size();
        documents += piece.ends_document ? 1 : 0;
        progress.update(bytes, documents);
      });
  InputOptions input = options.input;
  input.repair_utf8 = options.invalid_utf8 == InvalidUtf8::kReplace;
  const WalkCounts walked = walk_documents(input, pieces);
  pieces.finish();
  const BuiltDataset built = builder.finish();
  tokenizer.save(output.working_path() / "tokenizer");
  const ordered_json description = describe(options, tokenizer, built, pieces, walked);
  replace_file(output.working_path() / "dataset.json", description.dump(2) + "\n");
  output.commit();
  report(description, progress.summary(pieces.bytes(), pieces.documents()), output.final_path());
  if (options.json) write_output(description.dump() + "\n");
}

}  // namespace ovid::data_tools
