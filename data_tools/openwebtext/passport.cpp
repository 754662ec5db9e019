#include "data_tools/openwebtext/passport.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data_tools/dataset_files.h"
#include "data_tools/openwebtext/journal.h"
#include "src/core/version.h"
#include "src/data/dataset_description.h"

namespace ovid::data_tools::openwebtext {
namespace {

using nlohmann::ordered_json;

constexpr int kPassportVersion = 1;

ordered_json describe(const SplitResult& split) {
  return {{"documents", split.documents},
          {"tokens", split.tokens},
          {"bytes", split.bytes},
          {"shards", ordered_json::parse(shards_as_json(split.shards))}};
}

std::string dump(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

ordered_json describe(const EvaluationSets& evaluation) {
  ordered_json list = ordered_json::array();
  if (!evaluation.overlap) return list;
  const std::vector<overlap::SetOverlap> sets = evaluation.overlap->sets();
  for (std::size_t i = 0; i < sets.size(); ++i) {
    list.push_back({{"set", sets[i].name},
                    {"file", evaluation.files[i].path},
                    {"bytes", evaluation.files[i].bytes},
                    {"xxh128", evaluation.files[i].checksum},
                    {"texts", sets[i].documents},
                    {"ngrams", sets[i].ngrams},
                    {"found", sets[i].found},
                    {"fraction", sets[i].fraction()}});
  }
  return list;
}

}  // namespace

std::string passport_as_json(const PassportFacts& facts) {
  const Ledger& ledger = facts.ledger;
  return dump({{"format", "ovid data passport"},
               {"format_version", kPassportVersion},
               {"created_by", std::string("ovid-data ") + kVersion},
               {"corpus", "openwebtext"},
               {"settings", ordered_json::parse(
                                settings_as_json(facts.options, facts.tokenizer.fingerprint()))},
               {"inputs", ordered_json::parse(inputs_as_json(ledger))},
               {"left_out",
                {{"bad_documents", ledger.bad()},
                 {"damaged_archives", ledger.damaged()},
                 {"first", ledger.first_bad()}}},
               {"stages", ordered_json::parse(stages_as_json(ledger))},
               {"evaluation_overlap",
                {{"ngram_words", overlap::kOverlapWords},
                 {"of", "the documents that passed the filters, before duplicates are removed"},
                 {"sets", describe(facts.evaluation)}}},
               {"tokenizer_fingerprint", fmt::format("{:016x}", facts.tokenizer.fingerprint())},
               {"outputs",
                {{"train", describe(facts.built.train)},
                 {"validation", describe(facts.built.validation)}}}});
}

std::string dataset_as_json(const PassportFacts& facts) {
  const Options& options = facts.options;
  const bool split = options.split.validation_fraction > 0;
  return dump({{"format_version", data::kDatasetFormatVersion},
               {"created_by", std::string("ovid-data ") + kVersion},
               {"kind", "openwebtext"},
               {"passport", kPassportName},
               {"tokenizer", "tokenizer"},
               {"tokenizer_fingerprint", fmt::format("{:016x}", facts.tokenizer.fingerprint())},
               {"vocabulary_size", facts.tokenizer.vocabulary_size()},
               {"end_of_text", facts.tokenizer.end_of_text()},
               {"files", facts.ledger.inputs().size()},
               {"bytes_read", facts.ledger.bytes_read()},
               {"documents", facts.ledger.tally(Stage::kOverlap).documents_out},
               {"train", describe(facts.built.train)},
               {"validation", describe(facts.built.validation)},
               {"settings",
                {{"validation_fraction", options.split.validation_fraction},
                 {"split", !split                          ? "none"
                           : facts.built.split_by_document ? "document"
                                                           : "position"},
                 {"seed", options.split.seed},
                 {"shard_tokens", options.split.shard_tokens}}}});
}

}  // namespace ovid::data_tools::openwebtext
