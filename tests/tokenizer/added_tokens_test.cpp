#include "src/tokenizer/added_tokens.h"

#include "src/core/error.h"
#include "src/tokenizer/control_words.h"
#include "src/tokenizer/tokenizer.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::tokenizer {
namespace {

using Catch::Matchers::Contains;

Vocabulary with_words(const std::vector<std::string>& words) {
  Vocabulary vocabulary = byte_vocabulary();
  add_tokens(vocabulary, words);
  return vocabulary;
}

// Loads the 257 tokens of "bytes" from files, with these beside them. "" leaves a file out.
Vocabulary load(const std::string& tokenizer_json, const std::string& added_tokens_json) {
  const test::TemporaryDirectory folder;
  save_vocabulary(byte_vocabulary(), folder.path());
  std::filesystem::remove(folder / "tokenizer.json");
  if (!tokenizer_json.empty()) replace_file(folder / "tokenizer.json", tokenizer_json);
  if (!added_tokens_json.empty()) replace_file(folder / "added_tokens.json", added_tokens_json);
  return load_vocabulary(folder.path().string());
}

void refused(const std::string& tokenizer_json, const std::string& added_tokens_json,
             const std::string& reason) {
  INFO(tokenizer_json << " / " << added_tokens_json);
  CHECK_THROWS_AS(load(tokenizer_json, added_tokens_json), DataError);
  CHECK_THROWS_WITH(load(tokenizer_json, added_tokens_json), Contains(reason));
}

}  // namespace

TEST_CASE("added tokens are one id each where special tokens are recognised", "[tokenizer]") {
  const Tokenizer tokenizer(with_words({"<|a|>", "<|a|>b", "xy"}));
  const auto encode = [&](std::string_view text) {
    return tokenizer.encode(text, SpecialTokens::kRecognise);
  };
  CHECK(tokenizer.vocabulary_size() == 260);
  CHECK(encode("<|a|>") == std::vector<TokenId>{257});
  CHECK(encode("<|a|>bxy") == std::vector<TokenId>{258, 259});  // the longest first
  CHECK(encode("<<|a|> <|endoftext|>xy") == std::vector<TokenId>{'<', 257, ' ', 256, 259});
  CHECK(encode("<|a") == std::vector<TokenId>{'<', '|', 'a'});
  CHECK(tokenizer.encode("<|a|>x") == std::vector<TokenId>{'<', '|', 'a', '|', '>', 'x'});
  for (const char* const text : {"", "plain", "<|a|>b<|a|>xy<|endoftext|>", "xy<|endoftext|"})
    CHECK(tokenizer.decode(encode(text)) == text);
}

TEST_CASE("added tokens survive their files, and the base keeps its fingerprint", "[tokenizer]") {
  const Vocabulary vocabulary = with_words({"<|stars:5|>", "ä \"quoted\""});
  const test::TemporaryDirectory folder;
  save_vocabulary(vocabulary, folder.path());
  const Tokenizer loaded = Tokenizer::load(folder.path().string());
  CHECK(loaded.vocabulary().added == vocabulary.added);
  CHECK(loaded.vocabulary().tokens == vocabulary.tokens);
  CHECK(loaded.fingerprint() == Tokenizer(vocabulary).fingerprint());
  CHECK(loaded.fingerprint() != Tokenizer(byte_vocabulary()).fingerprint());
  // The list of one of the two kinds of files is enough.
  std::filesystem::remove(folder / "tokenizer.json");
  CHECK(load_vocabulary(folder.path().string()).added == vocabulary.added);

  save_vocabulary(byte_vocabulary(), folder.path());
  CHECK(load_vocabulary(folder.path().string()).added.empty());
  CHECK(Tokenizer::load(folder.path().string()).fingerprint() ==
        Tokenizer(byte_vocabulary()).fingerprint());
}

TEST_CASE("added tokens that contradict the vocabulary are refused", "[tokenizer]") {
  CHECK(load("", R"({"<|endoftext|>": 256, "<|b|>": 258, "<|a|>": 257})").added ==
        std::vector<AddedToken>{{257, "<|a|>"}, {258, "<|b|>"}});
  CHECK(load(R"({"added_tokens": [{"id": 257, "content": "<|a|>", "special": false}]})", "")
            .added.size() == 1);
  CHECK(load(R"({"model": {"vocab": {"added_tokens": 1}}})", "").added.empty());
  refused("", R"({"<|a|>": 258})", "must have the ids from 257 on");
  refused("", R"({"<|a|>": 256})", "which the vocabulary gives to '<|endoftext|>'");
  refused("", R"({"<|a|>": 257, "<|b|>": 257})", "gives id 257 to two tokens");
  refused("", R"({"<|a|>": 65536})", "whole numbers from 0 to 65535");
  refused("", R"({"<|a|>": -1})", "whole numbers from 0 to 65535");
  refused("", R"({"": 257})", "has an empty token");
  refused("", R"({"a": 257})", "which the vocabulary has already");
  refused("", R"([1])", "is not an object of tokens and ids");
  refused("", R"({"<|a|>": 25)", "is not an object of tokens and ids");
  refused(R"({"added_tokens": {}})", "", "has no list added_tokens");
  refused(R"({"added_tokens": [{"id": 257}]})", "", "has no readable list added_tokens");
  refused("[]", "", "has no list added_tokens");
  refused(R"({"added_tokens": [{"id": 257, "content": "<|a|>", "lstrip": true}]})", "",
          "sets lstrip");
  refused(R"({"added_tokens": [{"id": 257, "content": "<|a|>"}, {"id": 258, "content": "<|a|>"}]})",
          "", "has the token '<|a|>' twice");
  refused(R"({"added_tokens": []})", R"({"<|a|>": 257})", "name different added tokens");
  refused("", "{\"" + std::string(1'025, 'a') + "\": 257}", "1024 are allowed");

  Vocabulary vocabulary = byte_vocabulary();
  CHECK_THROWS_WITH(add_tokens(vocabulary, {"<|endoftext|>"}), Contains("already"));
  CHECK_THROWS_WITH(add_tokens(vocabulary, std::vector<std::string>(65'280, "a")),
                    Contains("are more than 65536"));
}

TEST_CASE("control words survive their file, and a broken file is named", "[tokenizer]") {
  const test::TemporaryDirectory folder;
  CHECK_FALSE(load_control_words(folder.path()).has_value());
  const ControlWords control{.kind = ControlKind::kTokens,
                             .task = "amazon-reviews",
                             .words = {"<|stars:1|>", "<|category:Bücher|>"}};
  save_control_words(control, folder.path());
  CHECK(load_control_words(folder.path()) == control);
  for (const char* const text : {"", "[]", "{}", R"({"kind": "text", "task": 1, "words": []})",
                                 R"({"kind": "words", "task": "", "words": []})"}) {
    replace_file(folder / kControlFile, text);
    CHECK_THROWS_AS(load_control_words(folder.path()), DataError);
    CHECK_THROWS_WITH(load_control_words(folder.path()), Contains("control.json"));
  }
}

}  // namespace ovid::tokenizer
