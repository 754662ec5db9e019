#include "data_tools/control_tokens.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/core/error.h"
#include "src/core/log.h"
#include "src/data/token_shard.h"

namespace ovid::data_tools {

using nlohmann::ordered_json;

ControlTokens::ControlTokens(const tokenizer::Tokenizer& tokenizer, ControlKind kind,
                             std::vector<std::string> words)
    : tokenizer_(tokenizer), kind_(kind), words_(std::move(words)) {
  if (vocabulary_size() > data::kMaxVocabularySize) {
    throw DataError(fmt::format(
        "{} tokens and {} control tokens are more than the {} that a shard can hold; use "
        "--control text, or a smaller vocabulary",
        tokenizer.vocabulary_size(), words_.size(), data::kMaxVocabularySize));
  }
  tokenizer::EncodeCache cache;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    std::vector<std::uint16_t>& tokens = tokens_.emplace_back();
    if (kind == ControlKind::kTokens) {
      tokens.push_back(
          static_cast<std::uint16_t>(static_cast<std::size_t>(tokenizer.vocabulary_size()) + i));
    } else {
      append_text(tokenizer, words_[i], cache, tokens);
    }
  }
}

std::int64_t ControlTokens::vocabulary_size() const {
  const auto added = static_cast<std::int64_t>(kind_ == ControlKind::kTokens ? words_.size() : 0);
  return tokenizer_.vocabulary_size() + added;
}

void ControlTokens::save_tokenizer(const Path& folder) const {
  tokenizer_.save(folder);
  if (kind_ == ControlKind::kText) return;
  log::warning(
      "added tokens: `ovid train` learns them and Hugging Face's tokenizers read them, but this "
      "version's `ovid generate` and checkpoints do not know their spelling yet; use --control "
      "text "
      "where Ovid is to write with them");
  ordered_json names = ordered_json::object();
  const Path path = folder / "tokenizer.json";
  std::string text = read_file(path);
  // The list comes in as text: the file is large, and everything else of it stays as it is.
  constexpr std::string_view kList = "\"added_tokens\":[";
  std::string list;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const std::uint16_t id = tokens_[i].front();
    names[words_[i]] = id;
    list += "," + ordered_json{{"id", id},        {"content", words_[i]}, {"single_word", false},
                               {"lstrip", false}, {"rstrip", false},      {"normalized", false},
                               {"special", true}}
                      .dump();
  }
  const std::size_t begin = text.find(kList);
  const std::size_t end = begin == std::string::npos ? begin : text.find(']', begin);
  if (end == std::string::npos) {
    throw DataError(fmt::format("{} lacks the list added_tokens", path.string()));
  }
  replace_file(path, text.insert(end, list));
  replace_file(folder / "added_tokens.json", names.dump(2) + "\n");
}

std::string control_as_json(const ControlTokens& control) {
  ordered_json description;
  const bool added = control.kind() == ControlKind::kTokens;
  description["control"] = added ? "tokens" : "text";
  description["control_words"] = control.words();
  if (!added) return description.dump();
  ordered_json list = ordered_json::array();
  for (std::size_t i = 0; i < control.words().size(); ++i) {
    list.push_back({{"id", control.tokens_of(i).front()}, {"content", control.words()[i]}});
  }
  description["added_tokens"] = std::move(list);
  return description.dump();
}

void append_text(const tokenizer::Tokenizer& tokenizer, std::string_view text,
                 tokenizer::EncodeCache& cache, std::vector<std::uint16_t>& tokens) {
  std::vector<tokenizer::TokenId> ids;
  tokenizer.encode_append(text, tokenizer::SpecialTokens::kAsText, cache, ids);
  for (const tokenizer::TokenId id : ids) tokens.push_back(static_cast<std::uint16_t>(id));
}

}  // namespace ovid::data_tools
