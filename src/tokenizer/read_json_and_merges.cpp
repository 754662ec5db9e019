#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "src/core/error.h"
#include "src/tokenizer/byte_alphabet.h"
#include "src/tokenizer/vocabulary_readers.h"

namespace ovid::tokenizer {
namespace {

using Ids = std::unordered_map<std::string, TokenId>;  // by token, in the byte alphabet

// Takes a flat JSON object of numbers piece by piece. A parsed document would keep only the last of
// two equal keys.
class VocabularyHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit VocabularyHandler(const Path& path) : path_(path) {}

  bool key(string_t& token) override {
    if (ids_.size() == kMaximumVocabulary)
      fail(fmt::format("has more than {} tokens", kMaximumVocabulary));
    if (token.empty()) fail("has an empty token");
    if (token.size() > 2 * kMaximumTokenBytes) {
      fail(
          fmt::format("has a token of {} bytes; {} are allowed", token.size(), kMaximumTokenBytes));
    }
    if (ids_.count(token) != 0) fail(fmt::format("has the token '{}' twice", token));
    key_ = token;
    return true;
  }
  bool number_unsigned(number_unsigned_t id) override {
    if (depth_ != 1) fail("is not an object of tokens and ids");
    if (id >= kMaximumVocabulary) fail_value(fmt::format("{}", id));
    ids_.emplace(key_, static_cast<TokenId>(id));
    return true;
  }
  bool number_integer(number_integer_t id) override { return fail_value(fmt::format("{}", id)); }
  bool number_float(number_float_t, const string_t& text) override { return fail_value(text); }
  bool null() override { return fail_value("null"); }
  bool boolean(bool) override { return fail_value("a boolean"); }
  bool string(string_t&) override { return fail_value("a string"); }
  bool binary(binary_t&) override { return fail_value("binary data"); }
  bool start_object(std::size_t) override { return ++depth_ == 1 || fail_value("an object"); }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return fail("is not an object of tokens and ids"); }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    return fail(fmt::format("is not whole JSON at byte {}: {}", position, error.what()));
  }

  const Ids& ids() const { return ids_; }

 private:
  [[noreturn]] bool fail(const std::string& reason) const {
    throw DataError(fmt::format("{} {}", path_.string(), reason));
  }
  [[noreturn]] bool fail_value(const std::string& value) const {
    fail(fmt::format("gives the token '{}' the id {}; ids are whole numbers from 0 to {}", key_,
                     value, kMaximumVocabulary - 1));
  }

  const Path& path_;
  Ids ids_;
  std::string key_;
  int depth_ = 0;
};

Ids read_ids(const Path& path) {
  VocabularyHandler handler(path);
  const std::string text = read_file(path, kMaximumFileBytes);
  nlohmann::json::sax_parse(text, &handler);
  return handler.ids();
}

std::vector<std::string> tokens_by_id(const Ids& ids, const Path& path) {
  std::vector<std::string> tokens(ids.size());
  for (const auto& [token, id] : ids) {
    if (id >= static_cast<TokenId>(ids.size())) {
      throw DataError(
          fmt::format("{}: the token '{}' has id {}, but with {} tokens the ids must be 0 to {}",
                      path.string(), token, id, ids.size(), ids.size() - 1));
    }
    if (!tokens[id].empty())
      throw DataError(fmt::format("{} gives id {} to two tokens", path.string(), id));
    const std::optional<std::string> bytes = from_byte_alphabet(token);
    if (!bytes) {
      throw DataError(fmt::format(
          "{}: the token '{}' (id {}) has a character that stands for no byte: this is not "
          "a byte-level vocabulary",
          path.string(), token, id));
    }
    if (bytes->size() > static_cast<std::size_t>(kMaximumTokenBytes)) {
      throw DataError(fmt::format("{}: token {} has {} bytes; {} are allowed", path.string(), id,
                                  bytes->size(), kMaximumTokenBytes));
    }
    tokens[id] = *bytes;
  }
  return tokens;
}

class MergesReader {
 public:
  MergesReader(const Path& path, const Ids& ids) : path_(path), ids_(ids) {}

  std::vector<Merge> read() {
    const std::string text = read_file(path_, kMaximumFileBytes);
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      ++line_number_;
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (line_number_ == 1 && line.substr(0, 8) == "#version") continue;
      if (line.empty() && rest.empty()) break;
      add(line);
    }
    return std::move(merges_);
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw DataError(fmt::format("{}, line {}: {}", path_.string(), line_number_, reason));
  }
  TokenId id_of(const std::string& token, const char* what) const {
    const auto found = ids_.find(token);
    if (found == ids_.end()) {
      fail(
          fmt::format("{} '{}' is not in the vocabulary: do the two files belong together, and is "
                      "this one whole?",
                      what, token));
    }
    return found->second;
  }
  void add(std::string_view line) {
    const std::size_t space = line.find(' ');
    if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string_view::npos) {
      fail("is not two tokens with one space between them: is the file whole?");
    }
    const std::string left(line.substr(0, space)), right(line.substr(space + 1));
    const Merge merge{id_of(left, "the left token"), id_of(right, "the right token"),
                      id_of(left + right, "the merged token")};
    const auto pair =
        (static_cast<std::uint32_t>(merge.left) << 16) | static_cast<std::uint32_t>(merge.right);
    if (!pairs_.insert(pair).second) fail("this merge stood in the file before");
    merges_.push_back(merge);
  }

  const Path& path_;
  const Ids& ids_;
  std::size_t line_number_ = 0;
  std::vector<Merge> merges_;
  std::unordered_set<std::uint32_t> pairs_;
};

// Control tokens, <unk> or [PAD], need no merge. Another token that no merge makes says that merges
// are missing.
void check_all_made(const Vocabulary& vocabulary, const Path& merges_path) {
  std::vector<bool> made(vocabulary.tokens.size());
  for (const Merge& merge : vocabulary.merges) made[merge.result] = true;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    const bool control = (token.front() == '<' && token.back() == '>') ||
                         (token.front() == '[' && token.back() == ']');
    if (token.size() > 1 && !made[id] && !control) {
      throw DataError(fmt::format("{} has no merge that makes token {} ('{}'): is the file whole?",
                                  merges_path.string(), id, to_byte_alphabet(token)));
    }
  }
}

}  // namespace

Vocabulary read_json_and_merges(const Path& vocabulary_path, const Path& merges_path) {
  const Ids ids = read_ids(vocabulary_path);
  Vocabulary vocabulary;
  vocabulary.tokens = tokens_by_id(ids, vocabulary_path);
  const auto end_of_text = ids.find(std::string(kEndOfText));
  if (end_of_text == ids.end()) {
    throw DataError(
        fmt::format("{} has no token {}, which begins every document: add it with the next free id",
                    vocabulary_path.string(), kEndOfText));
  }
  vocabulary.end_of_text = end_of_text->second;
  vocabulary.merges = MergesReader(merges_path, ids).read();
  check_all_made(vocabulary, merges_path);
  return vocabulary;
}

}  // namespace ovid::tokenizer
