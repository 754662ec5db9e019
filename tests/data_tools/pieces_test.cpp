#include "data_tools/pieces.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "data_tools/base64.h"
#include "data_tools/safe_cut.h"
#include "data_tools/split.h"
#include "src/core/error.h"
#include "src/tokenizer/encode_cache.h"
#include "src/tokenizer/pre_tokenizer.h"
#include "src/tokenizer/train.h"
#include "tests/catch.h"

namespace ovid::data_tools {
namespace {

using tokenizer::Tokenizer;

std::vector<std::size_t> piece_ends(std::string_view text, std::size_t offset) {
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at < text.size();) {
    at = tokenizer::piece_end(text, at);
    ends.push_back(offset + at);
  }
  return ends;
}

// Text of parts that matter to the pattern: words, contractions, digits, all sorts of white space,
// bad bytes.
std::string random_text(std::mt19937& random, int parts) {
  static const std::vector<std::string> kParts{"a",        "horn",
                                               " ",        " ",
                                               "  ",       "\n",
                                               "\n\n",     "\t",
                                               "'s",       "'",
                                               "7",        "2024",
                                               ".",        "!?",
                                               "\xc2\xa0", "é",
                                               "語",       "\xe3\x80\x80",
                                               "\xc2\x85", "\r",
                                               "\v",       "\xe2\x80\x8a",
                                               "\xff",     "\xe2\x80",
                                               "\xf0\x9f", "😀",
                                               "\x1c",     "\x7f",
                                               "à",        "…"};
  std::string text;
  for (int i = 0; i < parts; ++i) text += kParts[random() % kParts.size()];
  return text;
}

}  // namespace

TEST_CASE("a safe cut divides the pieces of the whole, and changes none", "[data_tools]") {
  std::mt19937 random(20240520);
  int cuts = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const std::string text = random_text(random, 1 + static_cast<int>(random() % 12));
    const std::size_t cut = last_safe_cut(text);
    if (cut == 0) continue;
    ++cuts;
    std::vector<std::size_t> parts = piece_ends(std::string_view(text).substr(0, cut), 0);
    const auto rest = piece_ends(std::string_view(text).substr(cut), cut);
    parts.insert(parts.end(), rest.begin(), rest.end());
    CAPTURE(text, cut);
    REQUIRE(parts == piece_ends(text, 0));
  }
  CHECK(cuts > 5000);
}

TEST_CASE("there is no safe cut without white space behind a visible character", "[data_tools]") {
  CHECK(last_safe_cut("") == 0);
  CHECK(last_safe_cut("unicorn") == 0);
  CHECK(last_safe_cut(" unicorn") == 0);
  CHECK(last_safe_cut("\n\n\n") == 0);
  CHECK(last_safe_cut("\xe3\x80\x80 a") == 0);  // an ideographic space before the space
  CHECK(last_safe_cut("a unicorn") == 1);
  CHECK(last_safe_cut("a unicorn ") == 9);
}

TEST_CASE("a long document gives the tokens of its whole text", "[data_tools]") {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < (5u << 20)) {
    text += random_text(random, 40);
    if (random() % 64 == 0) text.append(random() % 3000, ' ');
  }
  tokenizer::WordCounter words;
  words.add_document(text.substr(0, 1 << 16));
  const Tokenizer tokenizer = tokenizer::train(words, {.vocabulary_size = 400});

  std::vector<tokenizer::TokenId> ids;
  int pieces = 0;
  WorkPool pool(3);
  std::vector<tokenizer::EncodeCache> caches(pool.threads());
  PieceBatcher batcher(
      InvalidUtf8::kBytes, pool,
      [&](std::size_t worker, Piece& piece) {
        std::vector<tokenizer::TokenId> of_piece;
        tokenizer.encode_append(piece.text, tokenizer::SpecialTokens::kAsText, caches[worker],
                                of_piece);
        piece.ids.assign(of_piece.begin(), of_piece.end());
      },
      [&](Piece& piece) {
        CHECK(piece.begins_document == (pieces == 0));
        ++pieces;
        ids.insert(ids.end(), piece.ids.begin(), piece.ids.end());
      });
  batcher.begin_document("long");
  for (std::size_t at = 0; at < text.size(); at += 77777) {
    batcher.add(std::string_view(text).substr(at, 77777));
  }
  batcher.end_document();
  batcher.finish();
  CHECK(pieces >= 4);
  CHECK(batcher.seen().documents == 1);
  CHECK(batcher.seen().bytes == text.size());
  CHECK(ids == tokenizer.encode(text));
}

TEST_CASE("where a text is cut does not depend on how its bytes arrive", "[data_tools]") {
  std::mt19937 random(11);
  std::string text(1500000, 'x');  // no place for a cut in the first MiB, nor at its end
  for (int i = 0; i < 30000; ++i) text += random_text(random, 1) + std::string(100, 'y');
  const auto places = [&](std::size_t step) {
    WorkPool pool(1);
    std::vector<InputPlace> found;
    PieceBatcher batcher(
        InvalidUtf8::kBytes, pool, [](std::size_t, Piece&) {},
        [&](Piece& piece) { found.push_back(piece.place); });
    batcher.begin_input(0, {});
    batcher.begin_document("text");
    for (std::size_t at = 0; at < text.size(); at += step) {
      batcher.add(std::string_view(text).substr(at, step));
    }
    batcher.end_document();
    batcher.finish();
    return found;
  };
  const std::vector<InputPlace> whole = places(text.size());
  CHECK(whole.size() > 2);
  CHECK(places(65536) == whole);
  CHECK(places(1000003) == whole);
}

TEST_CASE("the first safe cut is the first of all", "[data_tools]") {
  CHECK(first_safe_cut("a unicorn sang", 0) == 1);
  CHECK(first_safe_cut("a unicorn sang", 2) == 9);
  CHECK(first_safe_cut("a unicorn sang", 10) == 0);
  CHECK(first_safe_cut("", 0) == 0);
}

TEST_CASE("the first of several failures is the one that is reported", "[data_tools]") {
  WorkPool pool(2);
  PieceBatcher batcher(
      InvalidUtf8::kError, pool, [](std::size_t, Piece&) {}, [](Piece&) {});
  const auto add = [&](const std::string& name, std::string_view text) {
    batcher.begin_document(name);
    batcher.add(text);
    batcher.end_document();
  };
  add("good", "fine");
  add("bad", "abc\xff");
  add("worse", "\xff");
  CHECK_THROWS_WITH(batcher.finish(), Catch::Matchers::Contains("bad is not UTF-8 at byte 3"));
}

TEST_CASE("of each run of documents exactly one validates", "[data_tools]") {
  for (const double fraction : {0.5, 0.3, 0.1, 0.07, 0.01}) {
    const int documents = 10000;
    int validating = 0;
    int longest_gap = 0;
    int gap = 0;
    for (std::uint64_t i = 0; i < documents; ++i) {
      const bool validates = is_validation_document(i, fraction, 1337);
      validating += validates ? 1 : 0;
      gap = validates ? 0 : gap + 1;
      longest_gap = std::max(longest_gap, gap);
    }
    CAPTURE(fraction);
    CHECK(std::abs(validating - documents * fraction) <= 1);
    CHECK(longest_gap <= 2 / fraction);
    CHECK(splits_by_document(static_cast<std::uint64_t>(std::ceil(2 / fraction)), fraction));
    CHECK_FALSE(
        splits_by_document(static_cast<std::uint64_t>(std::ceil(2 / fraction)) - 1, fraction));
  }
  CHECK_FALSE(is_validation_document(0, 0.0, 1));
}

TEST_CASE("the seed draws other documents", "[data_tools]") {
  int equal = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    equal += is_validation_document(i, 0.1, 1) && is_validation_document(i, 0.1, 2) ? 1 : 0;
  }
  CHECK(equal < 30);  // ten of a hundred are expected in both
}

TEST_CASE("a split by position keeps the last part, from a whole character on", "[data_tools]") {
  const Tokenizer bytes = Tokenizer::load("bytes");
  const auto split_of = [&](const std::string& text, double fraction) {
    const auto ids = bytes.encode(text);
    const std::vector<std::uint16_t> tokens(ids.begin(), ids.end());
    PositionSplit split(text.size(), fraction);
    PositionSplit in_parts(text.size(), fraction);
    const std::size_t count = split.tokens_for_training(tokens, bytes);
    std::size_t count_in_parts = 0;
    for (const std::uint16_t& token : tokens) {
      count_in_parts += in_parts.tokens_for_training({&token, 1}, bytes);
    }
    CHECK(count_in_parts == count);
    return count;
  };
  CHECK(split_of("0123456789", 0.1) == 9);
  CHECK(split_of("0123456789", 0.25) == 7);
  CHECK(split_of("01234567é", 0.1) == 10);  // byte 9 is inside of é
  CHECK(split_of("0123456é9", 0.2) == 9);
  CHECK(split_of("a", 0.1) == 0);
  CHECK(split_of("", 0.1) == 0);
}

TEST_CASE("base64 is that of RFC 4648, and nothing else is read", "[data_tools]") {
  const std::map<std::string, std::string> vectors{{"", ""},
                                                   {"f", "Zg=="},
                                                   {"fo", "Zm8="},
                                                   {"foo", "Zm9v"},
                                                   {"foob", "Zm9vYg=="},
                                                   {"fooba", "Zm9vYmE="},
                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    CHECK(encode_base64(bytes) == text);
    CHECK(decode_base64(text) == bytes);
  }
  CHECK(decode_base64("/+8=") == "\xff\xef");
  for (const char* bad :
       {"Z", "Zg", "Zg=", "Zg=a", "=g==", "Zh==", "Zm9=", "Z===", "Zg==Zg==", "Z g="}) {
    CAPTURE(bad);
    CHECK_FALSE(decode_base64(bad).has_value());
  }
}

}  // namespace ovid::data_tools
