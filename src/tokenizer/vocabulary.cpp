#include "src/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <filesystem>
#include <unordered_set>

#include "src/core/error.h"
#include "src/tokenizer/added_tokens.h"
#include "src/tokenizer/vocabulary_readers.h"

namespace ovid::tokenizer {
namespace {

bool has_file(const Path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Vocabulary load_directory(const Path& directory) {
  constexpr struct {
    const char *vocabulary, *merges;
  } kPairs[] = {{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}};
  for (const auto& pair : kPairs) {
    const bool has_vocabulary = has_file(directory / pair.vocabulary),
               has_merges = has_file(directory / pair.merges);
    if (has_vocabulary && has_merges) {
      Vocabulary vocabulary =
          read_json_and_merges(directory / pair.vocabulary, directory / pair.merges);
      read_added_tokens(directory, vocabulary);
      return vocabulary;
    }
    if (has_vocabulary || has_merges) {
      throw DataError(fmt::format("{} has {} but not {}: a tokenizer needs both",
                                  directory.string(),
                                  has_vocabulary ? pair.vocabulary : pair.merges,
                                  has_vocabulary ? pair.merges : pair.vocabulary));
    }
  }
  const char* alone =
      has_file(directory / "tokenizer.json") ? " (tokenizer.json alone is not read)" : "";
  throw DataError(fmt::format(
      "{} has no tokenizer: it needs vocab.json and merges.txt, or encoder.json and vocab.bpe{}",
      directory.string(), alone));
}

}  // namespace

void add_tokens(Vocabulary& vocabulary, const std::vector<std::string>& words) {
  const auto limit = static_cast<std::size_t>(kMaximumVocabulary);
  if (words.size() > limit - vocabulary.tokens.size()) {
    throw DataError(fmt::format("{} tokens and {} added ones are more than {}",
                                vocabulary.tokens.size(), words.size(), limit));
  }
  std::unordered_set<std::string> known(vocabulary.tokens.begin(), vocabulary.tokens.end());
  for (const std::string& word : words) {
    if (word.empty() || word.size() > static_cast<std::size_t>(kMaximumTokenBytes)) {
      throw DataError(fmt::format("an added token has {} bytes; 1 to {} are allowed", word.size(),
                                  kMaximumTokenBytes));
    }
    if (!known.insert(word).second) {
      throw DataError(fmt::format("the token '{}' is in the vocabulary already", word));
    }
    vocabulary.added.push_back(
        {.id = static_cast<TokenId>(vocabulary.tokens.size()), .content = word});
    vocabulary.tokens.push_back(word);
  }
}

Vocabulary byte_vocabulary() {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  vocabulary.tokens.emplace_back(kEndOfText);
  vocabulary.end_of_text = 256;
  return vocabulary;
}

Vocabulary load_vocabulary(const std::string& where) {
  if (where == "bytes") return byte_vocabulary();
  const Path path(where);
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::is_directory(status)) return load_directory(path);
  if (!std::filesystem::exists(status)) {
    throw DataError(fmt::format(
        "no tokenizer at '{}': give a directory, a .tiktoken file, or the word bytes", where));
  }
  if (path.extension() == ".tiktoken") return read_tiktoken(path);
  throw DataError(fmt::format(
      "'{}' is not a .tiktoken file: give the directory that holds vocab.json and merges.txt, "
      "a .tiktoken file, or the word bytes",
      where));
}

}  // namespace ovid::tokenizer
