#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/file.h"

namespace ovid::tokenizer {

using TokenId = std::int32_t;

inline constexpr std::string_view kEndOfText = "<|endoftext|>";
inline constexpr int kMaximumVocabulary = 65'536;  // token shards hold uint16
inline constexpr int kMaximumTokenBytes = 1'024;   // GPT-2's longest token has 128

// Two neighbouring tokens that become one.
struct Merge {
  TokenId left, right, result;
  bool operator==(const Merge&) const = default;
};

// A token behind the vocabulary that no merge makes: a control word of a data set. Its text is
// looked for only where special tokens are recognised.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool operator==(const AddedToken&) const = default;
};

// A byte-level BPE vocabulary as it stands in files: what each token spells, and the merges, most
// urgent first.
struct Vocabulary {
  std::vector<std::string> tokens;  // bytes, by id; the added tokens are the last ones
  std::vector<Merge> merges;        // by rank
  TokenId end_of_text = -1;
  std::vector<AddedToken> added = {};  // by id

  std::size_t base_size() const { return tokens.size() - added.size(); }
};

// Puts `words` behind the vocabulary. Throws DataError for one that is empty, too long or there
// already, and for too many.
void add_tokens(Vocabulary& vocabulary, const std::vector<std::string>& words);

// The 256 bytes as ids 0..255, in their own order, and <|endoftext|> = 256. No merges.
Vocabulary byte_vocabulary();

// Reads `where`: the word "bytes", a directory with vocab.json + merges.txt or encoder.json +
// vocab.bpe, or a .tiktoken file (merges are worked out from the ranks; <|endoftext|> follows
// the last rank). A directory's added tokens (added_tokens.h) come behind them. Throws
// DataError, with file and line or reason, for what is not a whole and consistent vocabulary:
// tokens or merges twice, ids that are not exactly 0..n-1, merges of or into unknown tokens,
// tokens that nothing makes, more than kMaximumVocabulary entries, damage.
Vocabulary load_vocabulary(const std::string& where);

// Writes vocab.json, merges.txt, tokenizer.json, tokenizer_config.json and special_tokens_map.json
// into `directory` (made where absent), the form that Hugging Face's GPT2Tokenizer and
// GPT2TokenizerFast read; added tokens into tokenizer.json and added_tokens.json. Throws
// ResourceError.
void save_vocabulary(const Vocabulary& vocabulary, const Path& directory);

}  // namespace ovid::tokenizer
