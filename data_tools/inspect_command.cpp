#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "data_tools/byte_source.h"
#include "data_tools/commands.h"
#include "src/core/error.h"
#include "src/data/dataset_description.h"
#include "src/data/token_shard.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

struct NamedTokenizer {
  std::string name;
  tokenizer::Tokenizer tokenizer;
  std::map<std::uint16_t, std::string> added = {};  // tokens behind its vocabulary
};

// The added tokens that dataset.json beside the shard tells of. What is no such list is passed
// over: the check of the vocabulary then finds ids without a meaning.
std::map<std::uint16_t, std::string> added_tokens_of(const Path& shard) {
  std::map<std::uint16_t, std::string> added;
  const auto object =
      nlohmann::json::parse(read_file(shard.parent_path() / "dataset.json"), nullptr, false);
  const auto list = object.find("added_tokens");
  if (list == object.end() || !list->is_array()) return added;
  for (const auto& token : *list) {
    const auto id = token.find("id");
    const auto content = token.find("content");
    if (id == token.end() || content == token.end() || !id->is_number_unsigned() ||
        !content->is_string() || id->get<std::uint64_t>() >= data::kMaxVocabularySize) {
      continue;
    }
    added[id->get<std::uint16_t>()] = content->get<std::string>();
  }
  return added;
}

std::optional<NamedTokenizer> tokenizer_for(const InspectOptions& options) {
  if (!options.tokenizer.empty()) {
    return NamedTokenizer{options.tokenizer, tokenizer::Tokenizer::load(options.tokenizer)};
  }
  const auto description = data::describe_dataset_of(options.shard);
  if (!description) return std::nullopt;
  return NamedTokenizer{description->tokenizer, tokenizer::Tokenizer::load(description->tokenizer),
                        added_tokens_of(options.shard)};
}

std::string text_of(std::span<const std::uint16_t> tokens, const NamedTokenizer& named) {
  std::string bytes;
  for (const std::uint16_t token : tokens) {
    const auto added = named.added.find(token);
    bytes += added == named.added.end() ? named.tokenizer.token_bytes(token) : added->second;
  }
  return tokenizer::replace_invalid_utf8(bytes).text;
}

// How many tokens of a document count in the loss, and what the shown ones of them spell.
void describe_counted(std::span<const std::uint8_t> mask, std::size_t shown_tokens,
                      std::span<const std::uint16_t> tokens, const NamedTokenizer& named,
                      ordered_json& document) {
  document["counted_tokens"] = std::count(mask.begin(), mask.end(), std::uint8_t{1});
  std::vector<std::uint16_t> counted;
  for (std::size_t i = 0; i < shown_tokens; ++i) {
    if (mask[i] == 1) counted.push_back(tokens[i]);
  }
  document["counted_text"] = text_of(counted, named);
}

ordered_json first_documents(const data::TokenShard& shard, const NamedTokenizer& named,
                             const InspectOptions& options) {
  ordered_json documents = ordered_json::array();
  const auto tokens = shard.tokens();
  const auto end_of_text = static_cast<std::uint16_t>(named.tokenizer.end_of_text());
  std::size_t begin = 0;
  while (begin < tokens.size() && static_cast<std::int64_t>(documents.size()) < options.documents) {
    if (tokens[begin] == end_of_text) ++begin;
    const auto rest = tokens.subspan(begin);
    const auto length =
        static_cast<std::size_t>(std::find(rest.begin(), rest.end(), end_of_text) - rest.begin());
    const auto shown = rest.first(std::min(length, static_cast<std::size_t>(options.tokens)));
    ordered_json document{
        {"first_token", begin}, {"tokens", length}, {"text", text_of(shown, named)}};
    if (const auto mask = shard.mask()) {
      describe_counted(mask->subspan(begin, length), shown.size(), shown, named, document);
    }
    documents.push_back(std::move(document));
    begin += length;
  }
  return documents;
}

ordered_json describe(const data::TokenShard& shard) {
  const auto tokens = shard.tokens();
  ordered_json object{{"shard", shard.path().string()},
                      {"format", shard.has_header() ? "llm.c" : "headerless"},
                      {"bytes", size_of_file(shard.path())},
                      {"tokens", tokens.size()}};
  if (shard.has_header()) {
    object["magic"] = data::kTokenShardMagic;
    object["version"] = data::kShardVersion;
  }
  if (!tokens.empty()) {
    const auto [least, most] = std::minmax_element(tokens.begin(), tokens.end());
    object["smallest_token"] = *least;
    object["largest_token"] = *most;
  }
  if (const auto mask = shard.mask()) {
    object["unmasked_tokens"] = tokens.size() - static_cast<std::size_t>(std::count(
                                                    mask->begin(), mask->end(), std::uint8_t{0}));
  }
  return object;
}

// For people: `key: value` lines; texts as JSON strings, so that control characters cannot reach
// the terminal.
std::string as_lines(const ordered_json& object) {
  std::string text;
  for (const auto& [key, value] : object.items()) {
    if (key == "first_documents") continue;
    std::string label = key;
    std::replace(label.begin(), label.end(), '_', ' ');
    text += fmt::format("{:<16} {}\n", label + ":",
                        value.is_string() ? value.get<std::string>() : value.dump());
  }
  if (!object.contains("first_documents")) {
    return text + "no dataset.json beside it: name a --tokenizer to see documents\n";
  }
  for (const auto& document : object["first_documents"]) {
    text += fmt::format("at {} ({} tokens): {}\n", document["first_token"].dump(),
                        document["tokens"].dump(), document["text"].dump());
    if (!document.contains("counted_text")) continue;
    text += fmt::format("  {} of them count: {}\n", document["counted_tokens"].dump(),
                        document["counted_text"].dump());
  }
  return text;
}

}  // namespace

void run_inspect(const InspectOptions& options) {
  if (options.documents < 0 || options.tokens < 0) {
    throw UsageError("--documents and --tokens must not be negative");
  }
  const data::TokenShard shard = data::TokenShard::open(options.shard);
  ordered_json object = describe(shard);
  if (const auto named = tokenizer_for(options)) {
    const tokenizer::Tokenizer& tokenizer = named->tokenizer;
    object["tokenizer"] = named->name;
    const std::int64_t most = named->added.empty() ? 0 : named->added.rbegin()->first + 1;
    const std::int64_t size = std::max<std::int64_t>(tokenizer.vocabulary_size(), most);
    object["vocabulary_size"] = size;
    data::check_vocabulary(shard, size);
    const auto tokens = shard.tokens();
    object["end_of_texts"] = std::count(tokens.begin(), tokens.end(), tokenizer.end_of_text());
    object["first_documents"] = first_documents(shard, *named, options);
  }
  write_output(options.json ? object.dump() + "\n" : as_lines(object));
}

}  // namespace ovid::data_tools
