#include "data_tools/duplicates/near_duplicates.h"

#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "data_tools/duplicates/minhash.h"
#include "data_tools/filters/words.h"
#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::data_tools::duplicates {

namespace {

std::string random_text(std::mt19937_64& random, std::size_t words) {
  std::string text;
  for (std::size_t i = 0; i < words; ++i) text += "w" + std::to_string(random() % 5000) + " ";
  return text;
}

// The text with each word replaced with the given chance.
std::string edited(const std::string& text, double rate, std::mt19937_64& random) {
  std::string result;
  std::uniform_real_distribution<double> chance;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find(' ', begin) + 1;
    result += chance(random) < rate ? "x" + std::to_string(random() % 5000) + " "
                                    : text.substr(begin, end - begin);
    begin = end;
  }
  return result;
}

// The Jaccard similarity of two texts' sets of shingles, counted out.
double jaccard(const std::string& a, const std::string& b) {
  const auto shingles = [](const std::string& text) {
    std::vector<std::uint64_t> words;
    std::vector<std::uint64_t> ngrams;
    filters::hash_words(text, words);
    filters::hash_ngrams(words, kShingleWords, ngrams);
    return std::set<std::uint64_t>(ngrams.begin(), ngrams.end());
  };
  const auto left = shingles(a);
  const auto right = shingles(b);
  std::size_t common = 0;
  for (const std::uint64_t shingle : left) common += right.count(shingle);
  return static_cast<double>(common) / static_cast<double>(left.size() + right.size() - common);
}

// Groups of edited copies among unrelated texts, in random order, with some without a word.
std::vector<std::string> corpus(std::size_t groups, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::string> texts;
  for (std::size_t g = 0; g < groups; ++g) {
    const std::string original = random_text(random, 30 + random() % 300);
    const std::size_t copies = random() % 6;
    for (std::size_t c = 0; c < copies; ++c) {
      texts.push_back(edited(original, 0.01 * static_cast<double>(random() % 8), random));
    }
    texts.push_back(original);
    if (g % 17 == 0) texts.emplace_back("?!");
  }
  std::shuffle(texts.begin(), texts.end(), random);
  return texts;
}

using Dropped = std::map<std::uint64_t, std::pair<std::uint64_t, double>>;

Dropped dropped_of(const NearDuplicates& found) {
  Dropped dropped;
  for (const NearDuplicate& one : found.all()) dropped[one.document] = {one.kept, one.similarity};
  return dropped;
}

std::vector<std::optional<Signature>> signatures_of(const std::vector<std::string>& texts) {
  SignatureMaker maker;
  std::vector<std::optional<Signature>> signatures;
  for (const std::string& text : texts) signatures.push_back(maker(text));
  return signatures;
}

// The rule, by comparing every pair.
Dropped brute_force(const std::vector<std::optional<Signature>>& signatures,
                    const NearDuplicateSettings& settings) {
  Dropped dropped;
  for (std::size_t later = 0; later < signatures.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (!signatures[later] || !signatures[earlier] || dropped.count(earlier) > 0) continue;
      const Signature& a = *signatures[later];
      const Signature& b = *signatures[earlier];
      bool shares_band = false;
      for (std::size_t band = 0; band < settings.bands; ++band) {
        const auto begin = static_cast<std::ptrdiff_t>(band * settings.rows);
        shares_band |= std::equal(a.begin() + begin,
                                  a.begin() + begin + static_cast<std::ptrdiff_t>(settings.rows),
                                  b.begin() + begin);
      }
      if (!shares_band || similarity(a, b) < settings.threshold) continue;
      dropped[later] = {earlier, similarity(a, b)};
      break;
    }
  }
  return dropped;
}

Dropped found_in(const Path& folder, const std::vector<std::optional<Signature>>& signatures,
                 const NearDuplicateSettings& settings) {
  NearDuplicateFinder finder(folder, settings);
  for (const auto& signature : signatures) finder.add(signature);
  return dropped_of(finder.finish());
}

}  // namespace

TEST_CASE("the share of equal hashes estimates the Jaccard similarity without bias",
          "[data_tools]") {
  std::mt19937_64 random(11);
  SignatureMaker maker;
  double error = 0;
  double squared = 0;
  double variance = 0;
  constexpr int kPairs = 400;
  for (int i = 0; i < kPairs; ++i) {
    const std::string a = random_text(random, 100 + random() % 400);
    const std::string b = edited(a, 0.002 * static_cast<double>(random() % 100), random);
    const double exact = jaccard(a, b);
    const double deviation = similarity(*maker(a), *maker(b)) - exact;
    error += deviation / kPairs;
    squared += deviation * deviation / kPairs;
    variance += exact * (1 - exact) / static_cast<double>(kPermutations) / kPairs;
  }
  CHECK(std::abs(error) < 4 * std::sqrt(variance / kPairs));
  // Of independent functions the ratio is 1; its own standard error is sqrt(2 / 400) = 0.07.
  CHECK(squared / variance == Approx(1).margin(0.3));
}

TEST_CASE("a signature is the same for texts of the same words, and absent without words",
          "[data_tools]") {
  SignatureMaker maker;
  CHECK(maker("One two three four five six.") == maker("one  TWO three\nfour, five six"));
  CHECK(maker("one two") == maker("One, two!"));
  CHECK(maker("one two") != maker("two one"));
  CHECK_FALSE(maker(" ... ").has_value());
}

TEST_CASE("the finder drops exactly what comparing every pair drops", "[data_tools]") {
  const ovid::test::TemporaryDirectory folder;
  for (const auto& [bands, rows, threshold] :
       {std::tuple{16, 8, 0.8}, {9, 13, 0.8}, {32, 4, 0.5}, {1, 1, 0.7}, {128, 1, 1.0}}) {
    NearDuplicateSettings settings{.threshold = threshold,
                                   .bands = static_cast<std::size_t>(bands),
                                   .rows = static_cast<std::size_t>(rows)};
    // Small enough for no bucket to have more documents than are compared, but with one row.
    const auto signatures = signatures_of(corpus(rows == 1 ? 3 : 200, 5));
    const Dropped expected = brute_force(signatures, settings);
    if (threshold < 1) CHECK(expected.size() > (rows == 1 ? 1u : 50u));
    CHECK(found_in(folder.path(), signatures, settings) == expected);
  }
}

TEST_CASE("the result does not depend on the memory for sorting or on the threads",
          "[data_tools]") {
  const ovid::test::TemporaryDirectory folder;
  const auto texts = corpus(4000, 6);
  const auto signatures = signatures_of(texts);
  REQUIRE(signatures.size() > 12000);  // 200,000 band keys: several runs in the least memory
  const NearDuplicateSettings roomy;
  const Dropped expected = found_in(folder.path(), signatures, roomy);
  CHECK(expected.size() > 1000);
  CHECK(found_in(folder.path(), signatures, {.memory_bytes = 1 << 20}) == expected);

  std::vector<std::optional<Signature>> threaded(texts.size());
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      SignatureMaker maker;
      for (std::size_t i = t; i < texts.size(); i += 3) threaded[i] = maker(texts[i]);
    });
  }
  threads.clear();
  CHECK(threaded == signatures);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    CHECK(entry.path().filename().string().find(".tmp") == std::string::npos);
  }
}

TEST_CASE("a finder goes on from what was synced before an interruption", "[data_tools]") {
  const ovid::test::TemporaryDirectory folder;
  const auto signatures = signatures_of(corpus(100, 7));
  const NearDuplicateSettings settings;
  const Dropped expected = found_in(folder.path(), signatures, settings);
  const std::size_t half = signatures.size() / 2;
  {
    NearDuplicateFinder finder(folder.path(), settings);
    for (std::size_t i = 0; i < half; ++i) finder.add(signatures[i]);
    finder.sync();
    finder.add(signatures[0]);  // written after the last sync: must not count
    finder.sync();
    CHECK_THROWS_AS(finder.finish([](double) { throw std::runtime_error("stop"); }),
                    std::runtime_error);
  }
  NearDuplicateFinder finder(folder.path(), settings, half);
  for (std::size_t i = half; i < signatures.size(); ++i) finder.add(signatures[i]);
  const NearDuplicates found = finder.finish();
  CHECK(dropped_of(found) == expected);
  CHECK(dropped_of(finder.finish()) == expected);
  REQUIRE_FALSE(expected.empty());
  REQUIRE(found.find(expected.begin()->first) != nullptr);
  CHECK(found.find(expected.begin()->first)->kept == expected.begin()->second.first);
  CHECK(found.find(0) == nullptr);
}

TEST_CASE("of a large group of copies the first is kept, and the work stays linear",
          "[data_tools]") {
  const ovid::test::TemporaryDirectory folder;
  std::mt19937_64 random(8);
  SignatureMaker maker;
  const auto signature = maker(random_text(random, 200));
  NearDuplicateFinder finder(folder.path(), {});
  constexpr std::uint64_t kCopies = 20000;
  for (std::uint64_t i = 0; i < kCopies; ++i) finder.add(signature);
  const NearDuplicates found = finder.finish();
  REQUIRE(found.all().size() == kCopies - 1);
  for (const NearDuplicate& one : found.all()) {
    if (one.kept != 0 || one.similarity != 1.0) FAIL("not kept for the first");
  }
}

TEST_CASE("settings out of range and folders of fewer documents are refused", "[data_tools]") {
  const ovid::test::TemporaryDirectory folder;
  CHECK_THROWS_AS(NearDuplicateFinder(folder.path(), {.threshold = 0}), UsageError);
  CHECK_THROWS_AS(NearDuplicateFinder(folder.path(), {.threshold = NAN}), UsageError);
  CHECK_THROWS_AS(NearDuplicateFinder(folder.path(), {.bands = 17}), UsageError);
  CHECK_THROWS_AS(NearDuplicateFinder(folder.path(), {.bands = ~std::size_t{0} / 8 + 2}),
                  UsageError);
  CHECK_THROWS_AS(NearDuplicateFinder(folder.path(), {.memory_bytes = 100}), UsageError);
  CHECK_THROWS_AS(NearDuplicateFinder(folder.path(), {}, 1), DataError);
  CHECK_THROWS_AS(NearDuplicateFinder(folder.path(), {}, ~std::uint64_t{0}), DataError);
  CHECK(NearDuplicateFinder(folder.path(), {}).finish().all().empty());
}

}  // namespace ovid::data_tools::duplicates
