#include "src/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/tokenizer/pre_tokenizer.h"

namespace ovid::tokenizer {
namespace {

constexpr std::size_t kWorthACache =
    1 << 16;  // bytes of text from which on making a cache costs less than it saves

std::uint64_t fingerprint_of(const Vocabulary& vocabulary) {
  // Lengths stand before the bytes, so that no two lists of tokens give the same text.
  std::string text;
  for (std::size_t id = 0; id < vocabulary.base_size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    text += fmt::format("{}:{}", token.size(), token);
  }
  for (const Merge& merge : vocabulary.merges)
    text += fmt::format("\n{} {} {}", merge.left, merge.right, merge.result);
  text += fmt::format("\n{}", vocabulary.end_of_text);
  for (const AddedToken& token : vocabulary.added)
    text += fmt::format("\n+{}:{}", token.content.size(), token.content);
  return hash64(std::as_bytes(std::span(text)));
}

}  // namespace

Tokenizer Tokenizer::load(const std::string& where) {
  return Tokenizer(load_vocabulary(where));
}

Tokenizer::Tokenizer(Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)),
      merges_(vocabulary_.merges),
      fingerprint_(fingerprint_of(vocabulary_)) {
  token_of_byte_.fill(-1);
  const auto base = static_cast<TokenId>(vocabulary_.base_size());
  for (TokenId id = 0; id < base; ++id) {
    const std::string& token = vocabulary_.tokens[id];
    if (token.size() == 1) token_of_byte_[static_cast<unsigned char>(token[0])] = id;
  }
  special_ = vocabulary_.added;
  special_.push_back({.id = vocabulary_.end_of_text, .content = std::string(kEndOfText)});
  std::sort(special_.begin(), special_.end(), [](const AddedToken& a, const AddedToken& b) {
    return a.content.size() > b.content.size() ||
           (a.content.size() == b.content.size() && a.content < b.content);
  });
  for (const AddedToken& token : special_) {
    if (special_begins_.find(token.content[0]) == std::string::npos)
      special_begins_ += token.content[0];
  }
}

Tokenizer::Found Tokenizer::find_special(std::string_view bytes) const {
  for (std::size_t begin = bytes.find_first_of(special_begins_); begin != std::string_view::npos;
       begin = bytes.find_first_of(special_begins_, begin + 1)) {
    for (const AddedToken& token : special_) {
      if (bytes.substr(begin, token.content.size()) == token.content)
        return {begin, begin + token.content.size(), token.id};
    }
  }
  return {};
}

std::vector<TokenId> Tokenizer::encode(std::string_view bytes, SpecialTokens special) const {
  std::vector<TokenId> ids;
  if (bytes.size() >= kWorthACache) {
    ids.reserve(bytes.size() / 4);  // English has 4 bytes a token
    EncodeCache cache;
    encode_append(bytes, special, cache, ids);
  } else {
    append_all(bytes, special, nullptr, ids);
  }
  return ids;
}

void Tokenizer::encode_append(std::string_view bytes, SpecialTokens special, EncodeCache& cache,
                              std::vector<TokenId>& ids) const {
  if (cache.owner() != fingerprint_) cache.clear(fingerprint_);
  append_all(bytes, special, &cache, ids);
}

void Tokenizer::append_all(std::string_view bytes, SpecialTokens special, EncodeCache* cache,
                           std::vector<TokenId>& caller_ids) const {
  // Each token moves the end of its vector. The callers' vectors often lie side by side, one for
  // each thread: in one cache line their ends would go back and forth between the cores.
  std::vector<TokenId> ids = std::move(caller_ids);
  const std::size_t before = ids.size();
  try {
    while (special == SpecialTokens::kRecognise) {
      const Found found = find_special(bytes);
      if (found.id < 0) break;
      append_text(bytes.substr(0, found.begin), cache, ids);
      ids.push_back(found.id);
      bytes.remove_prefix(found.end);
    }
    append_text(bytes, cache, ids);
  } catch (...) {
    ids.resize(before);
    caller_ids = std::move(ids);
    throw;
  }
  caller_ids = std::move(ids);
}

void Tokenizer::append_text(std::string_view text, EncodeCache* cache,
                            std::vector<TokenId>& ids) const {
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    end = piece_end(text, begin);
    const bool cached = cache != nullptr && end - begin <= EncodeCache::kMaximumBytes;
    EncodeCache::Key key{};
    if (cached) {
      key = EncodeCache::key_of(text, begin, end - begin);
      const std::span<const std::uint16_t> known = cache->find(key);
      if (known.size() == 1) {
        ids.push_back(known[0]);
        continue;
      }
      if (!known.empty()) {
        ids.insert(ids.end(), known.begin(), known.end());
        continue;
      }
    }
    const std::size_t from = ids.size();
    for (std::size_t i = begin; i < end; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      if (token_of_byte_[byte] < 0) {
        throw DataError(fmt::format(
            "this vocabulary has no token for byte 0x{:02X} (at byte {} of the text): use one "
            "that has all 256 bytes",
            byte, i));
      }
      ids.push_back(token_of_byte_[byte]);
    }
    merges_.merge_tail(ids, from);
    if (cached) cache->insert(key, std::span(ids).subspan(from));
  }
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string bytes;
  for (const TokenId id : ids) bytes += token_bytes(id);
  return bytes;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  if (id < 0 || id >= vocabulary_size()) {
    throw DataError(fmt::format(
        "token id {} is not in this vocabulary, whose ids are 0 to {}: was the text encoded "
        "with another tokenizer?",
        id, vocabulary_size() - 1));
  }
  return vocabulary_.tokens[id];
}

}  // namespace ovid::tokenizer
