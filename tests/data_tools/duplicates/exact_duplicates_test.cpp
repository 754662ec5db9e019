#include "data_tools/duplicates/exact_duplicates.h"

#include <map>
#include <random>

#include "data_tools/duplicates/pair_sorter.h"
#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::data_tools::duplicates {

TEST_CASE("texts are the same where only case, spaces and punctuation differ", "[data_tools]") {
  CHECK(hash_text("A line.\n\nAnother") == hash_text("a  LINE another!"));
  CHECK_FALSE(hash_text("a line") == hash_text("line a"));
  CHECK(hash_text("?!") == hash_text("?!"));
  CHECK_FALSE(hash_text("?!") == hash_text("!?"));
  CHECK_FALSE(hash_text("") == hash_text("!"));
}

TEST_CASE("the pair sorter gives what sorting in memory gives, whatever its memory",
          "[data_tools]") {
  const ovid::test::TemporaryDirectory folder;
  std::mt19937_64 random(3);
  // 600,000 pairs in the least memory are 19 runs of 32,768: more than are merged at once.
  for (const std::size_t count : {0u, 1u, 32768u, 32769u, 600000u}) {
    std::vector<Pair> expected;
    PairSorter sorter(folder / "run-", 512 << 10);
    for (std::size_t i = 0; i < count; ++i) {
      expected.push_back({random() % 1000, random()});
      sorter.add(expected.back());
    }
    std::sort(expected.begin(), expected.end());
    std::vector<Pair> sorted;
    sorter.visit_sorted([&](const Pair& pair) { sorted.push_back(pair); });
    CHECK(sorter.count() == count);
    CHECK(sorted == expected);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("the exact finder drops every later copy and keeps the first", "[data_tools]") {
  const ovid::test::TemporaryDirectory folder;
  std::mt19937_64 random(4);
  constexpr std::size_t kDocuments = 50000;
  std::map<std::uint64_t, std::uint64_t> first_of;
  std::map<std::uint64_t, std::uint64_t> expected;
  std::vector<TextHash> hashes;
  for (std::uint64_t i = 0; i < kDocuments; ++i) {
    const std::uint64_t text = random() % (2 * kDocuments);
    // Two texts in a hundred share the upper half with another: the lower half must tell them.
    hashes.push_back({.high = text % 50 == 0 ? 7 : text, .low = text});
    const auto [place, is_first] = first_of.emplace(text, i);
    if (!is_first) expected[i] = place->second;
  }
  constexpr std::uint64_t kHalf = kDocuments / 2;
  {
    ExactDuplicateFinder finder(folder.path(), 1 << 20);
    for (std::uint64_t i = 0; i < kHalf + 5; ++i) finder.add(hashes[i]);
    finder.sync();
  }
  ExactDuplicateFinder finder(folder.path(), 1 << 20, kHalf);  // goes on after an interruption
  for (std::uint64_t i = kHalf; i < kDocuments; ++i) finder.add(hashes[i]);
  const ExactDuplicates found = finder.finish();
  std::map<std::uint64_t, std::uint64_t> dropped;
  for (const ExactDuplicate& one : found.all()) dropped[one.document] = one.kept;
  CHECK(expected.size() > 1000);
  CHECK(dropped == expected);
  CHECK(found.find(expected.begin()->first)->kept == expected.begin()->second);
  CHECK_THROWS_AS(ExactDuplicateFinder(folder.path(), 10), UsageError);
}

}  // namespace ovid::data_tools::duplicates
