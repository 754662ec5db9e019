#include <vector>

#include "src/tokenizer/stream_decoder.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/utf8.h"
#include "tests/fuzz/fuzz_target.h"

// The files of a tokenizer in each of their forms, and a text for it. Before more.tiktoken come the
// 256 bytes, so that a mutation need not keep them whole.
namespace ovid::fuzz {
namespace {

using tokenizer::SpecialTokens;
using tokenizer::Tokenizer;

void check_text(const Tokenizer& tokenizer, std::string_view text, SpecialTokens special) {
  const std::vector<tokenizer::TokenId> ids = tokenizer.encode(text, special);
  if (tokenizer.decode(ids) != text) fail("the tokens of a text spell another text");
  static tokenizer::EncodeCache cache;  // 4 MiB: making one for each input takes most of the time
  std::vector<tokenizer::TokenId> cached;
  for (int times = 0; times < 2; ++times) {
    cached.clear();
    tokenizer.encode_append(text, special, cache, cached);
    if (cached != ids) fail("the cache gives other tokens");
  }
  tokenizer::StreamDecoder decoder(tokenizer);
  std::string streamed;
  for (const tokenizer::TokenId id : ids) streamed += decoder.push(id);
  streamed += decoder.finish();
  if (streamed != tokenizer::replace_invalid_utf8(text).text) fail("the stream is another text");
}

void try_tokenizer(const Path& where, std::string_view text) {
  refuses([&] {
    const Tokenizer tokenizer = Tokenizer::load(where.string());
    refuses([&] { check_text(tokenizer, text, SpecialTokens::kAsText); });
    refuses([&] { check_text(tokenizer, text, SpecialTokens::kRecognise); });
    refuses([&] { tokenizer.token_bytes(tokenizer.vocabulary_size()); });
  });
}

// Ranks 0 to 255 for the bytes.
std::string ranks_of_bytes() {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string lines;
  for (unsigned byte = 0; byte < 256; ++byte) {
    lines += {kDigits[byte >> 2], kDigits[(byte & 3) << 4], '=', '=', ' '};
    lines += std::to_string(byte) + "\n";
  }
  return lines;
}

}  // namespace

const AllowedBytes kAllowedBytes = kStrict;

void try_input(std::string_view input) {
  static const std::string bytes = ranks_of_bytes();
  auto sections = split_sections(input);
  const std::string_view text = section(sections, "text");
  write_sections(sections,
                 {"hf/vocab.json", "hf/merges.txt", "hf/tokenizer.json", "hf/added_tokens.json",
                  "openai/encoder.json", "openai/vocab.bpe", "ranks.tiktoken"});
  if (sections.count("more.tiktoken") != 0)
    write_file("more.tiktoken", bytes + std::string(section(sections, "more.tiktoken")));
  for (const char* name : {"hf", "openai", "ranks.tiktoken", "more.tiktoken"}) {
    if (std::filesystem::exists(folder() / name)) try_tokenizer(folder() / name, text);
  }
  if (std::filesystem::is_empty(folder())) try_tokenizer("bytes", text);
}

}  // namespace ovid::fuzz
