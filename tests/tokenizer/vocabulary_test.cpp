#include "src/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include "src/core/error.h"
#include "src/tokenizer/tokenizer.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::tokenizer {
namespace {

using Catch::Matchers::Contains;

constexpr const char* kVocabulary = R"({"a": 0, "b": 1, "ab": 2, "abab": 3, "<|endoftext|>": 4})";
constexpr const char* kMerges = "#version: 0.2\na b\nab ab\n";

// Loads a directory of these two files. "" leaves a file out.
Vocabulary load(const std::string& vocabulary, const std::string& merges) {
  const test::TemporaryDirectory folder;
  if (!vocabulary.empty()) replace_file(folder / "vocab.json", vocabulary);
  if (!merges.empty()) replace_file(folder / "merges.txt", merges);
  return load_vocabulary(folder.path().string());
}

void refused(const std::string& vocabulary, const std::string& merges, const std::string& reason) {
  INFO(vocabulary << " / " << merges);
  CHECK_THROWS_AS(load(vocabulary, merges), DataError);
  CHECK_THROWS_WITH(load(vocabulary, merges), Contains(reason));
}

Vocabulary load_ranks(const std::string& text) {
  const test::TemporaryDirectory folder;
  replace_file(folder / "x.tiktoken", text);
  return load_vocabulary((folder / "x.tiktoken").string());
}

void ranks_refused(const std::string& text, const std::string& reason) {
  CHECK_THROWS_AS(load_ranks(text), DataError);
  CHECK_THROWS_WITH(load_ranks(text), Contains(reason));
}

// All 256 bytes in order, base64 written out by arithmetic: one byte is two digits and two fillers.
std::string byte_ranks() {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (unsigned byte = 0; byte < 256; ++byte) {
    text += fmt::format("{}{}== {}\n", digits[byte >> 2], digits[(byte & 3) << 4], byte);
  }
  return text;
}

}  // namespace

TEST_CASE("a whole vocabulary loads, with line ends of either kind", "[tokenizer]") {
  const Vocabulary vocabulary = load(kVocabulary, kMerges);
  CHECK(vocabulary.tokens == std::vector<std::string>{"a", "b", "ab", "abab", "<|endoftext|>"});
  CHECK(vocabulary.merges == std::vector<Merge>{{0, 1, 2}, {2, 2, 3}});
  CHECK(vocabulary.end_of_text == 4);
  CHECK(load(kVocabulary, "a b\r\nab ab").merges == vocabulary.merges);
}

TEST_CASE("a vocabulary without a byte says so when the byte comes, and leaves the ids alone",
          "[tokenizer]") {
  const Tokenizer tokenizer(load(kVocabulary, kMerges));
  CHECK(tokenizer.encode("ababa") == std::vector<TokenId>{3, 0});
  EncodeCache cache;
  std::vector<TokenId> ids{9};
  CHECK_THROWS_WITH(tokenizer.encode_append("abc", SpecialTokens::kAsText, cache, ids),
                    Contains("0x63"));
  CHECK(ids == std::vector<TokenId>{9});
}

TEST_CASE("vocabularies that are not whole and consistent are refused", "[tokenizer]") {
  refused(R"({"a": 0, "a": 1, "<|endoftext|>": 2})", "\n", "twice");
  refused(R"({"a": 0, "b": 2, "<|endoftext|>": 3})", "\n", "must be 0 to 2");
  refused(R"({"a": 0, "b": 0, "<|endoftext|>": 1})", "\n", "id 0 to two tokens");
  refused(R"({"a": 0, "b": -1, "<|endoftext|>": 1})", "\n", "-1");
  refused(R"({"a": 0, "b": 1.0, "<|endoftext|>": 2})", "\n", "1.0");
  refused(R"({"a": 0, "b": 18446744073709551615, "<|endoftext|>": 1})", "\n",
          "18446744073709551615");
  refused(R"({"a": 0, "b": 65536})", "\n", "65536");
  refused(R"({"a": {"b": 0}})", "\n", "object");
  refused(R"({"a": null})", "\n", "null");
  refused(R"(["a", "b"])", "\n", "not an object");
  refused("3", "\n", "not an object");
  refused(R"({"": 0, "<|endoftext|>": 1})", "\n", "empty token");
  refused(R"({"a": 0, "b c": 1, "<|endoftext|>": 2})", "\n", "stands for no byte");
  refused(R"({"a": 0, "b": 1})", "\n", "<|endoftext|>");
  refused("{}", "\n", "<|endoftext|>");
  refused(std::string(kVocabulary).substr(0, 40), kMerges, "not whole JSON");
  refused(std::string(kVocabulary) + "}", kMerges, "not whole JSON");
  refused("{\"" + std::string(5000, 'a') + "\": 0}", "\n", "5000 bytes");
}

TEST_CASE("merges that do not fit the vocabulary are refused", "[tokenizer]") {
  refused(kVocabulary, "#version: 0.2\na b\na c\n", "line 3");
  refused(kVocabulary, "c a\na b\nab ab\n", "'c'");
  refused(kVocabulary, "a b\nab ab\nb a\n", "'ba'");
  refused(kVocabulary, "a b\nab ab\na b\n", "before");
  refused(kVocabulary, "a b\nab\n", "two tokens");
  refused(kVocabulary, "a b\n\nab ab\n", "line 2");
  refused(kVocabulary, "a b\nab ab \n", "two tokens");
  refused(kVocabulary, "a b\nab ab ab\n", "two tokens");
  refused(kVocabulary, "#version: 0.2\na b\n", "no merge that makes token 3");
}

TEST_CASE("more tokens than a shard can hold are refused", "[tokenizer]") {
  std::string text = R"({"<|endoftext|>": 0)";
  for (int i = 1; i < kMaximumVocabulary + 1; ++i)
    text += fmt::format(",\"<{}>\": {}", i, std::min(i, 65535));
  refused(text + "}", "\n", "more than 65536");
}

TEST_CASE("directories without both files are refused with what is missing", "[tokenizer]") {
  refused(kVocabulary, "", "merges.txt");
  refused("", kMerges, "vocab.json");
  refused("", "", "encoder.json");
  const test::TemporaryDirectory folder;
  replace_file(folder / "tokenizer.json", "{}");
  CHECK_THROWS_WITH(load_vocabulary(folder.path().string()), Contains("vocab.json and merges.txt"));
  CHECK_THROWS_WITH(load_vocabulary((folder / "tokenizer.json").string()), Contains(".tiktoken"));
  CHECK_THROWS_AS(load_vocabulary((folder / "absent").string()), DataError);
  CHECK_THROWS_AS(load_vocabulary(""), DataError);
}

TEST_CASE("a file of ranks gives tokens, merges and the end of text behind them", "[tokenizer]") {
  const Vocabulary vocabulary = load_ranks(byte_ranks() + "YWI= 256\nYWJhYg== 257\n");
  CHECK(vocabulary.tokens.size() == 259);
  CHECK(vocabulary.tokens[257] == "abab");
  CHECK(vocabulary.merges == std::vector<Merge>{{'a', 'b', 256}, {256, 256, 257}});
  CHECK(vocabulary.end_of_text == 258);
}

TEST_CASE("damaged files of ranks are refused", "[tokenizer]") {
  ranks_refused("", "byte 0x00");
  ranks_refused("AA== 0\n", "byte 0x01");
  ranks_refused(byte_ranks() + "YWI 256\n", "line 257");
  ranks_refused(byte_ranks() + "YWJ= 256\n", "not base64");
  ranks_refused(byte_ranks() + "Y=I= 256\n", "not base64");
  ranks_refused(byte_ranks() + "==== 256\n", "not base64");
  ranks_refused(byte_ranks() + "YWI=\n", "whole");
  ranks_refused(byte_ranks() + "YWI= \n", "not a rank");
  ranks_refused(byte_ranks() + "YWI= 25x\n", "not a rank");
  ranks_refused(byte_ranks() + "YWI= -1\n", "not a rank");
  ranks_refused(byte_ranks() + "YWI= 99999999999\n", "not a rank");
  ranks_refused(byte_ranks() + "YWI= 65535\n", "65535");
  ranks_refused(byte_ranks() + "YWI= 25\n", "stands twice");
  ranks_refused(byte_ranks() + "YWI= 257\n", "0 to 256");
  ranks_refused(byte_ranks() + "YWI= 256\nYWI= 257\n", "stood in the file before");
  ranks_refused(byte_ranks() + "YWJj 256\n", "cannot be made");
}

TEST_CASE("the byte tokenizer saves as files that load equal", "[tokenizer]") {
  const test::TemporaryDirectory folder;
  const Tokenizer bytes_only = Tokenizer::load("bytes");
  bytes_only.save(folder.path());
  CHECK(Tokenizer::load(folder.path().string()).fingerprint() == bytes_only.fingerprint());
  for (const char* name : {"vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
                           "special_tokens_map.json"}) {
    CHECK(std::filesystem::exists(folder / name));
  }
}

}  // namespace ovid::tokenizer
