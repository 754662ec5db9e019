#include "src/data/token_mixture.h"

#include <rapidcheck.h>

#include <cstdlib>
#include <set>

#include "src/core/error.h"
#include "src/data/token_loader.h"
#include "tests/catch.h"
#include "tests/data/shard_files.h"
#include "tests/test_files.h"

namespace ovid::data {
namespace {

using Catch::Matchers::Contains;
using test::counting;

// Three sources of 41, 16 and 21 tokens: 10, 3 and 5 sequences of 4. Tokens of source k begin at
// 1000 k; source 1 (of two shards) has a mask that leaves out every third token.
struct Corpora {
  Corpora() {
    test::write_shard(folder / "a.bin", counting(41, 0));
    write_masked("b_0", 7, 1000);
    write_masked("b_1", 9, 1007);
    test::write_shard(folder / "c.bin", counting(21, 2000));
  }
  void write_masked(const std::string& name, std::size_t count, int first) {
    test::write_shard(folder / (name + ".bin"), counting(count, first));
    std::vector<std::uint8_t> mask(count);
    for (std::size_t i = 0; i < count; ++i) mask[i] = is_counted(first + static_cast<int>(i));
    test::write_mask(folder / (name + ".mask"), mask);
  }
  static std::uint8_t is_counted(int token) { return token % 3 == 0 ? 0 : 1; }
  std::vector<std::string> entries() const {
    return {(folder / "a.bin").string(), (folder / "b_*.bin").string(),
            (folder / "c.bin").string()};
  }

  test::TemporaryDirectory folder;
};

std::vector<TokenBatch> batches(const TokenSources& sources, const TokenLoaderOptions& options,
                                std::int64_t count, int steps, std::int64_t cursor = 0) {
  TokenLoader loader(sources, options, cursor);
  std::vector<TokenBatch> all;
  for (int step = 0; step < steps; ++step) all.push_back(loader.next(count));
  return all;
}

std::vector<std::int64_t> ids_of(const std::vector<TokenBatch>& all) {
  std::vector<std::int64_t> ids;
  for (const TokenBatch& batch : all)
    ids.insert(ids.end(), batch.sequence_ids.begin(), batch.sequence_ids.end());
  return ids;
}

}  // namespace

TEST_CASE("weighted sources are read by the schedule, each in its own epochs", "[data]") {
  const Corpora corpora;
  const TokenMixture mixture(corpora.entries(), {5, 2, 3});
  REQUIRE(mixture.sequences(4) == 18);
  CHECK(mixture.total_tokens() == 78);
  const std::vector<std::int64_t> sizes{10, 3, 5}, first_ids{0, 10, 13};
  for (const auto order : {SequenceOrder::kSequential, SequenceOrder::kShuffled}) {
    const TokenLoaderOptions options{.order = order, .seed = 7, .length = 4};
    std::vector<std::vector<std::int64_t>> read(3);
    TokenBatch batch;
    for (std::int64_t n = 0; n < 300; ++n) {
      load_batch(mixture, options, n, 1, batch);
      const std::size_t source = mixture.schedule().at(n).source;
      const std::int64_t index = batch.sequence_ids[0] - first_ids[source];
      read[source].push_back(index);
      REQUIRE((index >= 0 && index < sizes[source]));
      for (int t = 0; t < 4; ++t) {
        const auto i = static_cast<std::size_t>(t);
        const int token = static_cast<int>(source) * 1000 + static_cast<int>(index) * 4 + t;
        CHECK(batch.tokens[i] == token);
        const bool counts = source != 1 || Corpora::is_counted(token + 1) != 0;
        CHECK(batch.targets[i] == (counts ? token + 1 : kIgnoreTarget));
      }
    }
    CHECK(read[0].size() == 150);
    CHECK(read[1].size() == 60);
    CHECK(read[2].size() == 90);
    for (std::size_t k = 0; k < 3; ++k) {
      const auto n = static_cast<std::size_t>(sizes[k]);
      for (std::size_t begin = 0; begin + n <= read[k].size(); begin += n) {
        const auto first = read[k].begin() + static_cast<std::ptrdiff_t>(begin);
        CHECK(std::set<std::int64_t>(first, first + sizes[k]).size() == n);
      }
    }
  }
}

TEST_CASE("a mixture's order is the same for every batch size, rank count and resume",
          "[data][threads]") {
  const Corpora corpora;
  ::setenv("RC_PARAMS", "seed=20190214", 0);  // read once, at the first check
  CHECK(rc::check([&corpora] {
    const std::vector<double> weights{static_cast<double>(*rc::gen::inRange(1, 20)),
                                      static_cast<double>(*rc::gen::inRange(1, 20)),
                                      static_cast<double>(*rc::gen::inRange(1, 20))};
    const TokenMixture mixture(corpora.entries(), weights);
    TokenLoaderOptions options{.seed = *rc::gen::arbitrary<std::uint64_t>(), .length = 4};
    const auto expected = ids_of(batches(mixture, options, 12, 4));
    RC_ASSERT(ids_of(batches(mixture, options, 1, 48)) == expected);
    const auto resumed = ids_of(batches(mixture, options, 3, 5, 33));
    RC_ASSERT(std::equal(resumed.begin(), resumed.end(), expected.begin() + 33));

    const std::int64_t ranks = *rc::gen::element(2, 3, 4, 6);
    options.ranks = ranks;
    std::vector<std::vector<TokenBatch>> by_rank;
    for (options.rank = 0; options.rank < ranks; ++options.rank)
      by_rank.push_back(batches(mixture, options, 12 / ranks, 4));
    std::vector<std::int64_t> together;
    for (std::size_t step = 0; step < 4; ++step) {
      for (const auto& rank : by_rank) {
        const auto& ids = rank[step].sequence_ids;
        together.insert(together.end(), ids.begin(), ids.end());
      }
    }
    RC_ASSERT(together == expected);
  }));
}

TEST_CASE("without weights, and with the weight of a single entry, the order is the data set's",
          "[data][threads]") {
  const Corpora corpora;
  const std::vector<std::string> plain{corpora.entries()[0], corpora.entries()[2]};
  const TokenDataset dataset(plain);
  const TokenMixture mixture(plain);
  const TokenLoaderOptions options{.seed = 3, .length = 4};
  const auto expected = ids_of(batches(dataset, options, 5, 9));
  CHECK(ids_of(batches(mixture, options, 5, 9)) == expected);
  CHECK(mixture.fingerprint() == dataset.fingerprint());
  CHECK(mixture.sequences(4) == 15);  // laid end to end: one more than each alone

  const TokenMixture weighted({plain[0]}, {0.5});
  const TokenDataset alone({plain[0]});
  CHECK(ids_of(batches(weighted, options, 5, 9)) == ids_of(batches(alone, options, 5, 9)));
  CHECK(weighted.fingerprint() == alone.fingerprint());
}

TEST_CASE("targets of a mixture are counted before they are read", "[data]") {
  const Corpora corpora;
  const TokenMixture mixture(corpora.entries(), {1, 2, 1});
  const TokenLoaderOptions options{.seed = 5, .length = 4};
  const TokenLoader loader(mixture, options);
  TokenBatch batch;
  load_batch(mixture, options, 9, 20, batch);
  std::int64_t counted = 0;
  for (const std::int32_t target : batch.targets) counted += target != kIgnoreTarget ? 1 : 0;
  CHECK(loader.count_targets(9, 20) == counted);
  CHECK(counted < 80);
}

TEST_CASE("the fingerprint of a mixture follows data and ratios", "[data]") {
  const Corpora corpora;
  const auto fingerprint = [&](const std::vector<double>& weights) {
    return TokenMixture(corpora.entries(), weights).fingerprint();
  };
  const std::string original = fingerprint({1, 2, 3});
  CHECK(original.size() == 32);
  CHECK(fingerprint({2, 4, 6}) == original);
  CHECK(fingerprint({1, 2, 4}) != original);
  const TokenMixture mixture(corpora.entries(), {1, 2, 3});
  CHECK(mixture.check_and_fingerprint(50257) == original);
  CHECK_THROWS_WITH(mixture.check_and_fingerprint(2020), Contains("token 2020 at index 20"));
  CHECK_THROWS_WITH(mixture.check_vocabulary(1015), Contains("token 1015 at index 8"));
}

TEST_CASE("entries, weights and lengths that do not fit are refused", "[data]") {
  const Corpora corpora;
  CHECK_THROWS_WITH(TokenMixture(corpora.entries(), {1, 2}), Contains("2 data weights"));
  CHECK_THROWS_AS(TokenMixture(corpora.entries(), {1, 2, -3}), UsageError);
  CHECK_THROWS_AS(TokenMixture({"absent.bin"}, {1}), DataError);
  CHECK_THROWS_AS(TokenMixture({}, {}), DataError);
  const TokenMixture mixture(corpora.entries(), {1, 1, 1});
  CHECK_THROWS_WITH(mixture.sequences(16), Contains("16 tokens") && Contains("needs 17"));
  CHECK_THROWS_AS(TokenLoader(mixture, {.length = 16}), DataError);
  CHECK_THROWS_AS(mixture.sequences(0), UsageError);
}

}  // namespace ovid::data
