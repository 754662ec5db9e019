#include "data_tools/filters/words.h"

#include <set>

#include "tests/catch.h"

namespace ovid::data_tools::filters {

TEST_CASE("words are lower-cased runs of letters and numbers, with one space between",
          "[data_tools]") {
  CHECK(normalised_words("  The U.S. -- 3,000 men!\n\n(Yes)") == "the u s 3 000 men yes");
  CHECK(normalised_words("don't DON\xe2\x80\x99T 'tis") == "dont dont tis");
  // Latin, Greek, Cyrillic and Armenian; and scripts without case.
  CHECK(normalised_words("\xc3\x89T\xc3\x89 \xc5\xb9 \xce\xa9\xce\x89 \xd0\x96\xd0\x81 \xd4\xb1") ==
        "\xc3\xa9t\xc3\xa9 \xc5\xba \xcf\x89\xce\xae \xd0\xb6\xd1\x91 \xd5\xa1");
  CHECK(normalised_words("\xe6\x97\xa5\xe6\x9c\xac") == "\xe6\x97\xa5\xe6\x9c\xac");
  CHECK(normalised_words("\xc3\x97") == "");  // the sign of multiplication
  CHECK(normalised_words("a\xff"
                         "b \xc3") == "a b");  // bytes that are not UTF-8 part words
  CHECK(normalised_words("co\xc2\xad"
                         "op e\xcc\x81") == "coop e");  // soft hyphen, accent
  CHECK(normalised_words("").empty());
}

TEST_CASE("the hashes are those of the normalised words", "[data_tools]") {
  std::vector<std::uint64_t> hashes{1, 2, 3};
  hash_words("The cat, THE dog", hashes);
  REQUIRE(hashes.size() == 4);
  CHECK(hashes[0] == hash_of_word("the"));
  CHECK(hashes[0] == hashes[2]);
  CHECK(hashes[1] == hash_of_word("cat"));
  CHECK(hashes[3] == hash_of_word("dog"));
}

TEST_CASE("equal runs of words have equal n-gram hashes wherever they stand, others differ",
          "[data_tools]") {
  // All 3-grams over a small alphabet, by the rolled hash of one long sequence.
  std::vector<std::uint64_t> words;
  std::uint64_t state = 1;
  for (int i = 0; i < 4000; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    words.push_back(hash_of_word(std::string(1, static_cast<char>('a' + (state >> 60) % 10))));
  }
  std::vector<std::uint64_t> ngrams;
  hash_ngrams(words, 3, ngrams);
  REQUIRE(ngrams.size() == words.size() - 2);
  std::set<std::vector<std::uint64_t>> different;
  for (std::size_t i = 0; i < ngrams.size(); ++i) {
    std::vector<std::uint64_t> run(words.begin() + static_cast<std::ptrdiff_t>(i),
                                   words.begin() + static_cast<std::ptrdiff_t>(i) + 3);
    different.insert(run);
    std::vector<std::uint64_t> alone;
    hash_ngrams(run, 3, alone);
    REQUIRE(alone.size() == 1);
    if (alone[0] != ngrams[i]) FAIL("the hash depends on what stands before the run");
  }
  CHECK(std::set<std::uint64_t>(ngrams.begin(), ngrams.end()).size() == different.size());
  hash_ngrams(words, words.size(), ngrams);
  CHECK(ngrams.size() == 1);
  hash_ngrams(words, words.size() + 1, ngrams);
  CHECK(ngrams.empty());
}

}  // namespace ovid::data_tools::filters
