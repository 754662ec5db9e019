#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/tokenizer/byte_alphabet.h"
#include "src/tokenizer/vocabulary.h"

namespace ovid::tokenizer {
namespace {

using Json = nlohmann::ordered_json;

std::string merge_line(const Vocabulary& vocabulary, const Merge& merge) {
  return to_byte_alphabet(vocabulary.tokens[merge.left]) + ' ' +
         to_byte_alphabet(vocabulary.tokens[merge.right]);
}

std::string vocabulary_json(const Vocabulary& vocabulary) {
  std::string text = "{";
  for (std::size_t id = 0; id < vocabulary.base_size(); ++id) {
    text += fmt::format("{}{}: {}", id == 0 ? "" : ", ",
                        Json(to_byte_alphabet(vocabulary.tokens[id])).dump(), id);
  }
  return text + "}";
}

// The pieces of Hugging Face's byte-level pipeline that all take these three settings.
Json byte_level(bool add_prefix_space, bool trim_offsets) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", trim_offsets},
          {"use_regex", true}};
}

Json special_token(TokenId id, std::string_view content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

// The file of Hugging Face's `tokenizers` library, which cuts by the same pattern on its own.
std::string tokenizer_json(const Vocabulary& vocabulary) {
  Json added = Json::array({special_token(vocabulary.end_of_text, kEndOfText)});
  for (const AddedToken& token : vocabulary.added)
    added.push_back(special_token(token.id, token.content));
  Json merges = Json::array();
  for (const Merge& merge : vocabulary.merges) merges.push_back(merge_line(vocabulary, merge));
  // The vocabulary comes in as text: an ordered object would look through all keys for each one
  // that is added.
  constexpr const char* kPlace = "@vocabulary@";
  const Json model = {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", ""},
                      {"end_of_word_suffix", ""},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"vocab", kPlace},
                      {"merges", std::move(merges)}};
  const Json file = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", std::move(added)},
                     {"normalizer", nullptr},
                     {"pre_tokenizer", byte_level(false, true)},
                     {"post_processor", byte_level(true, false)},
                     {"decoder", byte_level(true, true)},
                     {"model", model}};
  std::string text = file.dump();
  const std::string place = fmt::format("\"vocab\":\"{}\"", kPlace);
  text.replace(text.find(place), place.size(), "\"vocab\":" + vocabulary_json(vocabulary));
  return text + "\n";
}

}  // namespace

void save_vocabulary(const Vocabulary& vocabulary, const Path& directory) {
  make_directories(directory);
  std::string merges = "#version: 0.2\n";
  for (const Merge& merge : vocabulary.merges) merges += merge_line(vocabulary, merge) + '\n';
  Json special = {{"bos_token", kEndOfText}, {"eos_token", kEndOfText}, {"unk_token", kEndOfText}};
  replace_file(directory / "vocab.json", vocabulary_json(vocabulary) + "\n");
  replace_file(directory / "merges.txt", merges);
  replace_file(directory / "tokenizer.json", tokenizer_json(vocabulary));
  replace_file(directory / "special_tokens_map.json", special.dump(2) + "\n");
  Json config = {{"add_prefix_space", false}, {"tokenizer_class", "GPT2Tokenizer"}};
  config.update(special);
  const Path list = directory / "added_tokens.json";
  if (vocabulary.added.empty()) {
    std::filesystem::remove(list);  // of another tokenizer that was here before
  } else {
    Json ids = Json::object();
    for (const AddedToken& token : vocabulary.added) ids[token.content] = token.id;
    replace_file(list, ids.dump(2) + "\n");
  }
  replace_file(directory / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace ovid::tokenizer
