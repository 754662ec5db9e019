#include <fmt/format.h>

#include <algorithm>
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
};

std::optional<NamedTokenizer> tokenizer_for(const InspectOptions& options) {
  std::string name = options.tokenizer;
  if (name.empty()) {
    const auto description = data::describe_dataset_of(options.shard);
    if (!description) return std::nullopt;
    name = description->tokenizer;
  }
  return NamedTokenizer{name, tokenizer::Tokenizer::load(name)};
}

ordered_json first_documents(std::span<const std::uint16_t> tokens,
                             const tokenizer::Tokenizer& tokenizer, const InspectOptions& options) {
  ordered_json documents = ordered_json::array();
  const auto end_of_text = static_cast<std::uint16_t>(tokenizer.end_of_text());
  std::size_t begin = 0;
  while (begin < tokens.size() && static_cast<std::int64_t>(documents.size()) < options.documents) {
    if (tokens[begin] == end_of_text) ++begin;
    const auto rest = tokens.subspan(begin);
    const auto length =
        static_cast<std::size_t>(std::find(rest.begin(), rest.end(), end_of_text) - rest.begin());
    const auto shown = rest.first(std::min(length, static_cast<std::size_t>(options.tokens)));
    const std::vector<tokenizer::TokenId> ids(shown.begin(), shown.end());
    documents.push_back({{"first_token", begin},
                         {"tokens", length},
                         {"text", tokenizer::replace_invalid_utf8(tokenizer.decode(ids)).text}});
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
    object["vocabulary_size"] = tokenizer.vocabulary_size();
    data::check_vocabulary(shard, tokenizer.vocabulary_size());
    const auto tokens = shard.tokens();
    object["end_of_texts"] = std::count(tokens.begin(), tokens.end(), tokenizer.end_of_text());
    object["first_documents"] = first_documents(tokens, tokenizer, options);
  }
  write_output(options.json ? object.dump() + "\n" : as_lines(object));
}

}  // namespace ovid::data_tools
