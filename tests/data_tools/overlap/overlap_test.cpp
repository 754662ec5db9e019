#include <fmt/format.h>

#include <random>
#include <set>
#include <thread>

#include "data_tools/filters/words.h"
#include "data_tools/overlap/bloom_filter.h"
#include "data_tools/overlap/evaluation_overlap.h"
#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::data_tools::overlap {

namespace {

std::vector<std::uint64_t> words_of(std::string_view text) {
  std::vector<std::uint64_t> words;
  filters::hash_words(text, words);
  return words;
}

std::string random_text(std::mt19937_64& random, std::size_t words, std::uint64_t vocabulary) {
  std::string text;
  for (std::size_t i = 0; i < words; ++i) text += fmt::format("w{} ", random() % vocabulary);
  return text;
}

std::set<std::string> eight_grams(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (c != ' ') {
      word += c;
    } else {
      words.push_back(word);
      word.clear();
    }
  }
  std::set<std::string> grams;
  for (std::size_t i = 0; i + 8 <= words.size(); ++i) {
    std::string gram;
    for (std::size_t j = 0; j < 8; ++j) gram += words[i + j] + " ";
    grams.insert(gram);
  }
  return grams;
}

}  // namespace

TEST_CASE("a Bloom filter knows all that it holds, and errs as often as it says", "[data_tools]") {
  for (const double rate : {0.1, 1e-2, 1e-3}) {
    std::mt19937_64 random(1);
    constexpr std::uint64_t kElements = 20000;
    BloomFilter filter(kElements, rate);
    for (std::uint64_t i = 0; i < kElements; ++i) filter.insert(random());
    std::mt19937_64 again(1);
    for (std::uint64_t i = 0; i < kElements; ++i) {
      if (!filter.contains(again())) FAIL("lost an element");
    }
    constexpr std::uint64_t kOthers = 1000000;
    std::uint64_t errors = 0;
    for (std::uint64_t i = 0; i < kOthers; ++i) errors += filter.contains(again()) ? 1 : 0;
    // Whole numbers of functions and bits make the optimum 2 % worse at most.
    CHECK(static_cast<double>(errors) / kOthers == Approx(rate).epsilon(0.15));
  }
}

TEST_CASE("at the paper's rate a Bloom filter has 27 functions and does not err in millions",
          "[data_tools]") {
  constexpr std::uint64_t kElements = 10000;
  BloomFilter filter(kElements, kFalsePositiveRate);
  CHECK(filter.functions() == 27);
  CHECK(static_cast<double>(filter.bits()) / kElements == Approx(38.3).epsilon(0.01));
  std::mt19937_64 random(2);
  for (std::uint64_t i = 0; i < kElements; ++i) filter.insert(random());
  std::uint64_t errors = 0;
  for (int i = 0; i < 2000000; ++i) errors += filter.contains(random()) ? 1 : 0;
  CHECK(errors == 0);
  CHECK_THROWS_AS(BloomFilter(1, 0), UsageError);
  CHECK_THROWS_AS(BloomFilter(1, 1), UsageError);
  CHECK_THROWS_AS(BloomFilter(~std::uint64_t{0}, 1e-8), UsageError);
}

TEST_CASE("overlap is the share of runs of eight words, whatever their case and punctuation",
          "[data_tools]") {
  EvaluationOverlap overlap;
  const std::size_t set = overlap.add_set("one");
  overlap.add_text(set, "It was the best of times, it was the worst of times.");
  overlap.add_text(set, "Too short");
  overlap.ready();
  // 12 words, 5 runs; of this text's 9 runs, the first two are among them.
  const DocumentOverlap found =
      overlap.look_up(words_of("IT WAS -- the best of times; it was the age of reason, and more of "
                               "this"));
  CHECK(found.ngrams == 9);
  CHECK(found.found == 2);
  CHECK(found.fraction() == Approx(2.0 / 9));
  CHECK(found.sets == 1);
  CHECK(overlap.look_up(words_of("best of times")).fraction() == 0);
  REQUIRE(overlap.sets().size() == 1);
  CHECK(overlap.sets()[0].documents == 2);
  CHECK(overlap.sets()[0].ngrams == 5);
  CHECK(overlap.sets()[0].found == 2);
}

TEST_CASE("figures of documents and sets are those of counting with strings, by any threads",
          "[data_tools]") {
  std::mt19937_64 random(9);
  std::vector<std::string> sets;
  std::vector<std::string> documents;
  for (int i = 0; i < 3; ++i) sets.push_back(random_text(random, 400, 50));
  for (int i = 0; i < 60; ++i) {
    std::string text = random_text(random, 30, 50);
    // A piece of a set, longer or shorter than eight words, and of two sets in some documents.
    const std::set<std::string> grams = eight_grams(sets[random() % 3]);
    text += *std::next(grams.begin(), static_cast<std::ptrdiff_t>(random() % grams.size()));
    text += random_text(random, random() % 5, 50);
    documents.push_back(text);
  }
  const auto build = [&](EvaluationOverlap& overlap) {
    for (std::size_t i = 0; i < sets.size(); ++i) {
      overlap.add_text(overlap.add_set(std::to_string(i)), sets[i]);
    }
    overlap.ready();
  };
  EvaluationOverlap one_thread;
  build(one_thread);
  std::vector<std::set<std::string>> grams_of_set;
  for (const std::string& set : sets) grams_of_set.push_back(eight_grams(set));
  std::set<std::string> all_seen;
  for (const std::string& document : documents) {
    const DocumentOverlap found = one_thread.look_up(words_of(document));
    std::uint64_t expected = 0;
    std::uint64_t expected_sets = 0;
    const std::set<std::string> grams = eight_grams(document);
    REQUIRE(found.ngrams == grams.size());  // none repeats in so short a text
    for (const std::string& gram : grams) {
      bool is_in = false;
      for (std::size_t i = 0; i < sets.size(); ++i) {
        if (grams_of_set[i].count(gram) == 0) continue;
        is_in = true;
        expected_sets |= std::uint64_t{1} << i;
      }
      expected += is_in ? 1 : 0;
      all_seen.insert(gram);
    }
    CHECK(found.found == expected);
    CHECK(found.sets == expected_sets);
  }
  const std::vector<SetOverlap> figures = one_thread.sets();
  for (std::size_t i = 0; i < sets.size(); ++i) {
    std::uint64_t expected = 0;
    for (const std::string& gram : grams_of_set[i]) expected += all_seen.count(gram);
    CHECK(figures[i].ngrams == grams_of_set[i].size());
    CHECK(figures[i].found == expected);
    CHECK(figures[i].found > 0);
  }

  EvaluationOverlap threaded;
  build(threaded);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = t; i < documents.size(); i += 4) {
          threaded.look_up(words_of(documents[i]));
        }
      });
    }
  }
  CHECK(threaded.marks() == one_thread.marks());

  EvaluationOverlap resumed;
  build(resumed);
  resumed.restore_marks(one_thread.marks());
  CHECK(resumed.sets()[0].found == figures[0].found);
  EvaluationOverlap other;
  other.add_text(other.add_set("0"), sets[1]);
  other.ready();
  CHECK_THROWS_AS(other.restore_marks(one_thread.marks()), DataError);
  CHECK_THROWS_AS(resumed.restore_marks("short"), DataError);
}

TEST_CASE("evaluation sets have names of their own, and are at most 64", "[data_tools]") {
  EvaluationOverlap overlap;
  for (std::size_t i = 0; i < kMaxEvaluationSets; ++i) overlap.add_set(std::to_string(i));
  CHECK_THROWS_AS(overlap.add_set("one more"), UsageError);
  EvaluationOverlap twice;
  twice.add_set("a");
  CHECK_THROWS_AS(twice.add_set("a"), UsageError);
}

}  // namespace ovid::data_tools::overlap
