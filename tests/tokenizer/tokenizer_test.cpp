#include "src/tokenizer/tokenizer.h"

#include <rapidcheck.h>
#include <stdlib.h>

#include <random>

#include "src/core/error.h"
#include "src/tokenizer/stream_decoder.h"
#include "src/tokenizer/train.h"
#include "src/tokenizer/utf8.h"
#include "tests/catch.h"

namespace ovid::tokenizer {
namespace {

using Ids = std::vector<TokenId>;

// RapidCheck takes its seed from the environment alone; one that is set from outside wins.
[[maybe_unused]] const int kSeedIsFixed = ::setenv("RC_PARAMS", "seed=20240520", 0);

Tokenizer small_tokenizer() {
  WordCounter words;
  words.add_document(
      "the cat sat on the mat, the rat ate the cat; aaaa aaaaaaaa \u00E9t\u00E9 "
      "\u4E2D\u6587\u4E2D");
  return train(words, {.vocabulary_size = 280});
}

// Merges as the paper describes them: all places of the most urgent pair, then the next pair.
Ids merged_by_definition(const Tokenizer& tokenizer, Ids tokens) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const Merge& merge : tokenizer.vocabulary().merges) {
      Ids out;
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        const bool here =
            i + 1 < tokens.size() && tokens[i] == merge.left && tokens[i + 1] == merge.right;
        out.push_back(here ? merge.result : tokens[i]);
        if (here) ++i;
      }
      changed = out.size() < tokens.size();
      tokens = out;
      if (changed) break;
    }
  }
  return tokens;
}

}  // namespace

TEST_CASE("any bytes come back from their tokens", "[tokenizer]") {
  const Tokenizer trained = small_tokenizer(), bytes_only = Tokenizer::load("bytes");
  EncodeCache cache;  // shared by both on purpose: it must not mix them up
  REQUIRE(rc::check("decode(encode(x)) == x", [&](const std::string& text) {
    for (const Tokenizer* tokenizer : {&trained, &bytes_only}) {
      const Ids ids = tokenizer->encode(text);
      RC_ASSERT(tokenizer->decode(ids) == text);
      for (int pass = 0; pass < 2; ++pass) {  // filling the cache, and from the cache
        Ids cached{7};
        tokenizer->encode_append(text, SpecialTokens::kAsText, cache, cached);
        RC_ASSERT(cached[0] == 7);
        RC_ASSERT(Ids(cached.begin() + 1, cached.end()) == ids);
      }
    }
  }));
}

TEST_CASE("the word bytes is a tokenizer of 256 bytes and the end of text", "[tokenizer]") {
  const Tokenizer tokenizer = Tokenizer::load("bytes");
  CHECK(tokenizer.vocabulary_size() == 257);
  CHECK(tokenizer.end_of_text() == 256);
  CHECK(tokenizer.encode("Az\xFF") == Ids{65, 122, 255});
  CHECK(tokenizer.encode("a<|endoftext|><|endoftext|>b", SpecialTokens::kRecognise) ==
        Ids{97, 256, 256, 98});
  CHECK(tokenizer.encode("<|endoftext|>").size() == 13);
  CHECK(tokenizer.encode("<|endoftext|", SpecialTokens::kRecognise).size() == 12);
  CHECK(tokenizer.encode("").empty());
}

TEST_CASE("ids outside the vocabulary are data errors", "[tokenizer]") {
  const Tokenizer tokenizer = Tokenizer::load("bytes");
  CHECK_THROWS_AS(tokenizer.decode(Ids{257}), DataError);
  CHECK_THROWS_AS(tokenizer.decode(Ids{-1}), DataError);
  CHECK_THROWS_AS(tokenizer.token_bytes(1 << 30), DataError);
  CHECK_THROWS_AS(StreamDecoder(tokenizer).push(257), DataError);
}

TEST_CASE("short and long pieces merge as the definition says", "[tokenizer]") {
  std::mt19937 random(1);
  WordCounter words;
  for (int word = 0; word < 500; ++word) {
    std::string text;
    while (text.size() < 8) text += static_cast<char>('a' + random() % 3);
    words.add_document(text);
  }
  const Tokenizer tokenizer =
      train(words, {.vocabulary_size = 357});  // overlapping merges of all kinds
  const MergeTable table(tokenizer.vocabulary().merges);
  const TokenId a = tokenizer.encode("a").at(0);
  for (std::size_t length = 0; length < 200; ++length) {
    Ids piece(length);
    for (TokenId& id : piece) id = a + static_cast<TokenId>(random() % 3);
    Ids merged = {1, 2};
    merged.insert(merged.end(), piece.begin(), piece.end());
    table.merge_tail(merged, 2);
    REQUIRE(Ids(merged.begin() + 2, merged.end()) == merged_by_definition(tokenizer, piece));
    REQUIRE((merged[0] == 1 && merged[1] == 2));
  }
}

TEST_CASE("a piece of a megabyte takes no quadratic time", "[tokenizer]") {
  const Tokenizer tokenizer = small_tokenizer();
  const std::string run(1 << 20, 'a');
  const Ids ids = tokenizer.encode(run);
  CHECK(ids.size() < run.size() / 2);
  CHECK(tokenizer.decode(ids) == run);
}

TEST_CASE("streamed text is whole characters, and in the end all of the text", "[tokenizer]") {
  const Tokenizer bytes_only = Tokenizer::load("bytes"), trained = small_tokenizer();
  StreamDecoder euro(bytes_only);
  CHECK(euro.push(0xE2).empty());
  CHECK(euro.push(0x82).empty());
  CHECK(euro.push(0xAC) == "\u20AC");
  for (const TokenId byte : {0xF0, 0x9F, 0xA6}) CHECK(euro.push(byte).empty());
  CHECK(euro.push(0x84) == "\U0001F984");
  CHECK(euro.push(0xF0).empty());
  CHECK(euro.push('a') == "\uFFFDa");
  CHECK(euro.push(0xC3).empty());
  CHECK(euro.finish() == "\uFFFD");
  CHECK(euro.finish().empty());
  REQUIRE(rc::check("streamed == replaced whole", [&](const std::vector<std::uint16_t>& numbers) {
    for (const Tokenizer* tokenizer : {&trained, &bytes_only}) {
      StreamDecoder stream(*tokenizer);
      Ids ids;
      std::string streamed;
      for (const std::uint16_t number : numbers) {
        ids.push_back(number % tokenizer->vocabulary_size());
        streamed += stream.push(ids.back());
        RC_ASSERT(!find_invalid_utf8(streamed).has_value());
      }
      RC_ASSERT(streamed + stream.finish() == replace_invalid_utf8(tokenizer->decode(ids)).text);
    }
  }));
}

TEST_CASE("each maximal bad subpart becomes one replacement character", "[tokenizer]") {
  // The Unicode Standard 16, tables 3-8 to 3-11.
  const auto replaced = [](std::string_view text) { return replace_invalid_utf8(text).text; };
  CHECK(replaced("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                 "A") == "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  CHECK(replaced("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                 "A") == "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  CHECK(replaced("\xF4\x91\x92\x93\xFF"
                 "A\x80\xBF"
                 "B") == "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB");
  CHECK(replaced("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                 "A") == "\uFFFD\uFFFD\uFFFD\uFFFDA");
  CHECK(replace_invalid_utf8("ok\xFF"
                             "ok\xE2\x82")
            .replacements == 2);
  CHECK(find_invalid_utf8("0123456789\u20AC\xE2\x82") == 13);
  CHECK_FALSE(find_invalid_utf8("0123456789\u20AC\U0010FFFF").has_value());
}

}  // namespace ovid::tokenizer
