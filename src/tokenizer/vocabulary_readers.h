#pragma once

#include "src/tokenizer/vocabulary.h"

// The file kinds behind load_vocabulary. Errors: see there.
namespace ovid::tokenizer {

inline constexpr std::uint64_t kMaximumFileBytes = 64ull << 20;  // GPT-2's largest file has 1 MB

// A JSON object token -> id and a list of merges, tokens in GPT-2's byte alphabet.
Vocabulary read_json_and_merges(const Path& vocabulary_path, const Path& merges_path);

// Lines `base64(bytes) rank`.
Vocabulary read_tiktoken(const Path& path);

}  // namespace ovid::tokenizer
