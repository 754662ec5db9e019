#include "src/tokenizer/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "src/core/error.h"
#include "src/tokenizer/vocabulary_readers.h"

namespace ovid::tokenizer {
namespace {

using nlohmann::json;

class AddedTokens {
 public:
  AddedTokens(Path path, const Vocabulary& base) : path_(std::move(path)), base_(base) {}

  void add(const json& id, const std::string& content) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= kMaximumVocabulary) {
      fail(fmt::format("gives the token '{}' the id {}; ids are whole numbers from 0 to {}",
                       content, id.dump(), kMaximumVocabulary - 1));
    }
    if (content.empty()) fail(fmt::format("has an empty token, id {}", id.dump()));
    if (content.size() > static_cast<std::size_t>(kMaximumTokenBytes)) {
      fail(fmt::format("has a token of {} bytes; {} are allowed", content.size(),
                       kMaximumTokenBytes));
    }
    const auto number = id.get<TokenId>();
    if (!contents_.insert(content).second) fail(fmt::format("has the token '{}' twice", content));
    if (!ids_.insert(number).second) fail(fmt::format("gives id {} to two tokens", number));
    if (static_cast<std::size_t>(number) >= base_.tokens.size()) {
      tokens_.push_back({.id = number, .content = content});
    } else if (base_.tokens[number] != content) {
      fail(fmt::format("gives the token '{}' the id {}, which the vocabulary gives to '{}'",
                       content, number, base_.tokens[number]));
    }
  }

  std::vector<AddedToken> finish() {
    std::sort(tokens_.begin(), tokens_.end(),
              [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
    const std::size_t base = base_.tokens.size();
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (static_cast<std::size_t>(tokens_[i].id) == base + i) continue;
      fail(
          fmt::format("gives the token '{}' the id {}; behind a vocabulary of {} the added tokens "
                      "must have the ids from {} on, without a gap",
                      tokens_[i].content, tokens_[i].id, base, base));
    }
    const std::unordered_set<std::string> known(base_.tokens.begin(), base_.tokens.end());
    for (const AddedToken& token : tokens_) {
      if (known.count(token.content) == 0) continue;
      fail(fmt::format("adds the token '{}', which the vocabulary has already", token.content));
    }
    return std::move(tokens_);
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw DataError(fmt::format("{} {}", path_.string(), reason));
  }

 private:
  Path path_;
  const Vocabulary& base_;
  std::vector<AddedToken> tokens_;
  std::unordered_set<std::string> contents_;
  std::unordered_set<TokenId> ids_;
};

// Of tokenizer.json the list alone is kept: the model beside it has a hundred thousand values.
json added_list(const std::string& text) {
  int depth_of_other = -1;
  const json::parser_callback_t keep = [&](int depth, json::parse_event_t event, json& value) {
    if (depth == 1 && event == json::parse_event_t::key) {
      depth_of_other = value == "added_tokens" ? -1 : depth;
    }
    return depth_of_other < 0 || depth < depth_of_other;
  };
  const json file = json::parse(text, keep);
  return file.is_object() ? file.value("added_tokens", json::array()) : json(nullptr);
}

std::vector<AddedToken> read_tokenizer_json(const Path& path, const Vocabulary& base) {
  AddedTokens tokens(path, base);
  try {
    const json list = added_list(read_file(path, kMaximumFileBytes));
    if (!list.is_array()) tokens.fail("has no list added_tokens");
    for (const json& entry : list) {
      const auto content = entry.at("content").get<std::string>();
      tokens.add(entry.at("id"), content);
      for (const char* const setting : {"lstrip", "rstrip", "single_word"}) {
        if (!entry.value(setting, false) || content == kEndOfText) continue;
        tokens.fail(fmt::format(
            "sets {} for the token '{}', which Ovid does not follow: texts would have other tokens "
            "than elsewhere; set it to false",
            setting, content));
      }
    }
  } catch (const json::exception& error) {
    tokens.fail(fmt::format("has no readable list added_tokens: {}", error.what()));
  }
  return tokens.finish();
}

std::vector<AddedToken> read_added_tokens_json(const Path& path, const Vocabulary& base) {
  AddedTokens tokens(path, base);
  try {
    const json file = json::parse(read_file(path, kMaximumFileBytes));
    if (!file.is_object()) tokens.fail("is not an object of tokens and ids");
    for (const auto& [content, id] : file.items()) tokens.add(id, content);
  } catch (const json::exception& error) {
    tokens.fail(fmt::format("is not an object of tokens and ids: {}", error.what()));
  }
  return tokens.finish();
}

}  // namespace

void read_added_tokens(const Path& directory, Vocabulary& vocabulary) {
  const Path whole = directory / "tokenizer.json", list = directory / "added_tokens.json";
  std::optional<std::vector<AddedToken>> of_whole, of_list;
  if (std::filesystem::is_regular_file(whole)) of_whole = read_tokenizer_json(whole, vocabulary);
  if (std::filesystem::is_regular_file(list)) of_list = read_added_tokens_json(list, vocabulary);
  if (of_whole && of_list && *of_whole != *of_list) {
    throw DataError(
        fmt::format("{} and {} name different added tokens: remove the one that is out of date",
                    whole.string(), list.string()));
  }
  if (!of_whole && !of_list) return;
  vocabulary.added = std::move(of_whole ? *of_whole : *of_list);
  if (vocabulary.tokens.size() + vocabulary.added.size() >
      static_cast<std::size_t>(kMaximumVocabulary)) {
    throw DataError(fmt::format("{} adds {} tokens to {}; {} are allowed together",
                                directory.string(), vocabulary.added.size(),
                                vocabulary.tokens.size(), kMaximumVocabulary));
  }
  for (const AddedToken& token : vocabulary.added) vocabulary.tokens.push_back(token.content);
}

}  // namespace ovid::tokenizer
