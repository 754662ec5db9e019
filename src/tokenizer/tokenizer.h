#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/file.h"
#include "src/tokenizer/encode_cache.h"
#include "src/tokenizer/merge_table.h"
#include "src/tokenizer/vocabulary.h"

namespace ovid::tokenizer {

// Whether the text "<|endoftext|>" is thirteen characters like any others, or the one token that
// parts documents; and added tokens likewise.
enum class SpecialTokens { kAsText, kRecognise };

// GPT-2's byte-level byte-pair encoding: text is cut into pieces (pre_tokenizer.h), each piece
// starts as its bytes, and the pair of neighbours whose merge ranks first is joined until no merge
// applies. Source: Radford et al. 2019, 2.2; Sennrich, Haddow & Birch 2016. Immutable: any number
// of threads may use one at the same time.
class Tokenizer {
 public:
  // See load_vocabulary for what `where` may be and which errors it throws.
  static Tokenizer load(const std::string& where);

  // `vocabulary` must be as consistent as load_vocabulary and train make it: checked there, not
  // here.
  explicit Tokenizer(Vocabulary vocabulary);

  // The tokens of `bytes`, which may be anything: a byte that is not UTF-8 counts as punctuation,
  // and decode gives the bytes back. Of a text in several parts the tokens may differ from those of
  // the whole: encode documents whole. Throws DataError for a byte that a vocabulary without all
  // 256 bytes has no token for.
  std::vector<TokenId> encode(std::string_view bytes,
                              SpecialTokens special = SpecialTokens::kAsText) const;

  // The same, added to `ids`; `cache` makes it fast where many texts are encoded in turn. Where it
  // throws, `ids` is as it was.
  void encode_append(std::string_view bytes, SpecialTokens special, EncodeCache& cache,
                     std::vector<TokenId>& ids) const;

  // The bytes that the tokens spell (<|endoftext|> as its thirteen characters, added tokens as
  // their text). Parts of characters
  // may stand at either end: see StreamDecoder for text. Throws DataError for an id that is not in
  // [0, vocabulary_size()).
  std::string decode(std::span<const TokenId> ids) const;

  // What one token spells. Valid as long as this tokenizer. Throws DataError as decode does.
  std::string_view token_bytes(TokenId id) const;

  int vocabulary_size() const { return static_cast<int>(vocabulary_.tokens.size()); }
  TokenId end_of_text() const { return vocabulary_.end_of_text; }
  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Equal for equal tokens, merges, <|endoftext|> and added tokens, from whichever files they came.
  std::uint64_t fingerprint() const { return fingerprint_; }

  // See save_vocabulary.
  void save(const Path& directory) const { save_vocabulary(vocabulary_, directory); }

 private:
  void append_text(std::string_view text, EncodeCache* cache, std::vector<TokenId>& ids) const;
  struct Found {
    std::size_t begin = 0, end = 0;
    TokenId id = -1;  // none
  };
  // The first special token of `bytes`; of several at one place the longest.
  Found find_special(std::string_view bytes) const;
  void append_all(std::string_view bytes, SpecialTokens special, EncodeCache* cache,
                  std::vector<TokenId>& ids) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  std::array<TokenId, 256> token_of_byte_{};  // -1 where there is none
  std::vector<AddedToken> special_;           // <|endoftext|> and added tokens, the longest first
  std::string special_begins_;                // the first byte of each
  std::uint64_t fingerprint_ = 0;
};

}  // namespace ovid::tokenizer
