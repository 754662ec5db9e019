#include "src/checkpoint/tokenizer_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/core/error.h"

namespace ovid::checkpoint {

std::vector<TokenizerFile> find_tokenizer_files(const Path& tokenizer) {
  if (std::filesystem::is_regular_file(tokenizer))
    return {{tokenizer, tokenizer.filename().string()}};
  constexpr struct {
    const char* source;
    const char* name;
  } kNames[] = {
      // Of two with the same name here the first wins.
      {"vocab.json", "vocab.json"},
      {"merges.txt", "merges.txt"},
      {"encoder.json", "vocab.json"},
      {"vocab.bpe", "merges.txt"},
      {"tokenizer.json", "tokenizer.json"},
      {"tokenizer_config.json", "tokenizer_config.json"},
      {"special_tokens_map.json", "special_tokens_map.json"},
      {"added_tokens.json", "added_tokens.json"},
      {"control.json", "control.json"},
  };
  std::vector<TokenizerFile> files;
  for (const auto& [source, name] : kNames) {
    const bool taken =
        std::any_of(files.begin(), files.end(),
                    [&, target = name](const TokenizerFile& file) { return file.name == target; });
    if (!taken && std::filesystem::is_regular_file(tokenizer / source))
      files.push_back({tokenizer / source, name});
  }
  if (files.empty()) {
    throw DataError(fmt::format(
        "{} holds no tokenizer files (vocab.json and merges.txt, or encoder.json and vocab.bpe)",
        tokenizer.string()));
  }
  return files;
}

}  // namespace ovid::checkpoint
