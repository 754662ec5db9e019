#include "src/tokenizer/train.h"

#include <map>
#include <random>

#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::tokenizer {
namespace {

std::string random_text(unsigned seed, int words) {
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < words; ++i) {
    for (auto letters = 1 + random() % 6; letters > 0; --letters)
      text += static_cast<char>('a' + random() % 5);
    text += random() % 5 == 0 ? "\n" : " ";
  }
  return text;
}

std::vector<std::string> learned(const Tokenizer& tokenizer) {
  const auto& tokens = tokenizer.vocabulary().tokens;
  return {tokens.begin() + 256, tokens.end() - 1};
}

// The algorithm without any cleverness: count all pairs anew for every merge.
std::vector<Merge> merges_by_definition(const Tokenizer& tokenizer, const WordCounter& words,
                                        std::size_t count) {
  std::vector<std::pair<std::vector<TokenId>, std::uint64_t>> sequences;
  for (const auto& [piece, occurrences] : words.counts()) {
    std::vector<TokenId> ids;
    for (const char c : piece) {
      for (TokenId id = 0; id < 256; ++id) {
        if (tokenizer.token_bytes(id)[0] == c) ids.push_back(id);
      }
    }
    sequences.emplace_back(ids, occurrences);
  }
  std::vector<Merge> merges;
  for (TokenId next = 256; merges.size() < count; ++next) {
    std::map<std::pair<TokenId, TokenId>, std::uint64_t>
        counts;  // ordered: the first of equals is the smallest pair
    for (const auto& [ids, occurrences] : sequences) {
      for (std::size_t i = 0; i + 1 < ids.size(); ++i) counts[{ids[i], ids[i + 1]}] += occurrences;
    }
    auto best = counts.begin();
    for (auto it = counts.begin(); it != counts.end(); ++it) {
      if (it->second > best->second) best = it;
    }
    const auto [left, right] = best->first;
    merges.push_back({left, right, next});
    for (auto& [ids, occurrences] : sequences) {
      std::vector<TokenId> out;
      for (std::size_t i = 0; i < ids.size(); ++i) {
        const bool here = i + 1 < ids.size() && ids[i] == left && ids[i + 1] == right;
        out.push_back(here ? next : ids[i]);
        if (here) ++i;
      }
      ids = out;
    }
  }
  return merges;
}

}  // namespace

TEST_CASE("a small text is learned as by hand", "[tokenizer]") {
  // Pieces: "low" 1, " low" 2, " lower" 1, " newest" 2. "lo" and "ow" occur 4 times, and the left
  // id of "lo" is smaller; then "low" 4; then " low" 3, as "we", 3 before, has 2 left.
  WordCounter words;
  words.add_document("low low low lower newest newest");
  const Tokenizer tokenizer = train(words, {.vocabulary_size = 260});
  CHECK(learned(tokenizer) == std::vector<std::string>{"lo", "low", " low"});
  CHECK(tokenizer.end_of_text() == 259);
  CHECK(tokenizer.token_bytes(0) == "!");  // GPT-2's order of the bytes
  CHECK(tokenizer.token_bytes(259) == kEndOfText);
  CHECK(tokenizer.encode("lower low") == std::vector<TokenId>{257, 68, 81, 258});
}

TEST_CASE("training equals the definition on random text", "[tokenizer]") {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    WordCounter words;
    words.add_document(random_text(seed, 300) + " aaaaaaa aaaaaaaaaaa bababab bbbbb");
    const Tokenizer tokenizer = train(words, {.vocabulary_size = 357});
    CHECK(tokenizer.vocabulary().merges == merges_by_definition(tokenizer, words, 100));
  }
}

TEST_CASE("training does not depend on the order or the parts of the text", "[tokenizer]") {
  const std::string first = random_text(1, 2000), second = random_text(2, 2000);
  WordCounter together, apart, other;
  together.add_document(first);
  together.add_document(second);
  other.add_document(first);
  apart.add_document(second);
  apart.add(other);
  CHECK(together.counts() == apart.counts());
  CHECK(together.bytes() == apart.bytes());
  const Tokenizer one = train(together, {.vocabulary_size = 600});
  CHECK(one.fingerprint() == train(apart, {.vocabulary_size = 600}).fingerprint());
  CHECK(one.fingerprint() != train(apart, {.vocabulary_size = 599}).fingerprint());
}

TEST_CASE("a trained tokenizer is the same after saving and loading", "[tokenizer]") {
  WordCounter words;
  const std::string text = random_text(3, 3000) + "\"quoted\\\" \u00E9\u4E2D\u00AD \x01\x7F\xFF\n";
  words.add_document(text);
  const Tokenizer trained = train(words, {.vocabulary_size = 700});
  CHECK(trained.vocabulary_size() == 700);
  const test::TemporaryDirectory folder;
  trained.save(folder / "new" / "tokenizer");
  const Tokenizer loaded = Tokenizer::load((folder / "new" / "tokenizer").string());
  CHECK(loaded.fingerprint() == trained.fingerprint());
  CHECK(loaded.encode(text) == trained.encode(text));
  CHECK(trained.encode(text).size() < text.size() / 2);
}

TEST_CASE("training stops where the text has no more pairs", "[tokenizer]") {
  WordCounter words;
  words.add_document("ab ab");
  CHECK(train(words, {.vocabulary_size = 1000}).vocabulary_size() == 257 + 2);
  CHECK(train(words, {.vocabulary_size = 1000, .minimum_count = 2}).vocabulary_size() == 257 + 1);
  CHECK(train(words, {.vocabulary_size = 257}).vocabulary_size() == 257);
}

TEST_CASE("no learned token grows beyond the limit, and the rest is still learned", "[tokenizer]") {
  WordCounter words;
  words.add_document(std::string(100'000, 'a') + " bc bc");
  const test::TemporaryDirectory folder;
  const Tokenizer tokenizer = train(words, {.vocabulary_size = 2000});
  for (const std::string& token : tokenizer.vocabulary().tokens)
    CHECK(token.size() <= kMaximumTokenBytes);
  CHECK(tokenizer.encode(" bc").size() == 1);
  tokenizer.save(folder.path());
  CHECK(Tokenizer::load(folder.path().string()).fingerprint() == tokenizer.fingerprint());
}

TEST_CASE("impossible sizes and empty texts are refused", "[tokenizer]") {
  WordCounter words;
  CHECK_THROWS_AS(train(words, {.vocabulary_size = 300}), DataError);
  words.add_document("text");
  CHECK_THROWS_AS(train(words, {.vocabulary_size = 256}), UsageError);
  CHECK_THROWS_AS(train(words, {.vocabulary_size = 65'537}), UsageError);
  CHECK_THROWS_AS(train(words, {.vocabulary_size = -1}), UsageError);
}

}  // namespace ovid::tokenizer
