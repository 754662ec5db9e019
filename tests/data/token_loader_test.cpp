#include "src/data/token_loader.h"

#include <algorithm>
#include <memory>

#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/data/shard_files.h"
#include "tests/test_files.h"

namespace ovid::data {
namespace {

using Catch::Matchers::Contains;

constexpr std::int64_t kTokens = 103;  // 103 = 34 x 3 + 1: the last target is the last token

// Token i is i + 1000, masked where i is divisible by 5; three shards that cut windows in two.
struct Corpus {
  explicit Corpus(bool with_mask) {
    const std::vector<std::size_t> sizes{10, 50, 43};
    int first = 0;
    for (std::size_t s = 0; s < sizes.size(); ++s) {
      const std::string name = "train_00000" + std::to_string(s);
      test::write_shard(folder / (name + ".bin"), test::counting(sizes[s], 1000 + first));
      std::vector<std::uint8_t> mask(sizes[s]);
      for (std::size_t i = 0; i < mask.size(); ++i)
        mask[i] = is_counted(first + static_cast<int>(i));
      if (with_mask) test::write_mask(folder / (name + ".mask"), mask);
      first += static_cast<int>(sizes[s]);
    }
  }
  static std::uint8_t is_counted(std::int64_t token) { return token % 5 == 0 ? 0 : 1; }
  TokenDataset open() const { return TokenDataset({(folder / "train_*.bin").string()}); }

  test::TemporaryDirectory folder;
};

// What the batch must be, from the definition alone.
void check_batch(const TokenBatch& batch, const TokenLoaderOptions& options, std::int64_t first,
                 std::int64_t count, bool with_mask) {
  const std::int64_t T = options.length;
  const std::int64_t n = (kTokens - 1) / T;
  REQUIRE(batch.count == count);
  REQUIRE(batch.length == T);
  REQUIRE(batch.tokens.size() == static_cast<std::size_t>(count * T));
  REQUIRE(batch.targets.size() == batch.tokens.size());
  bool equal = true;
  for (std::int64_t row = 0; row < count; ++row) {
    const auto at = sequence_at(options.order, options.seed, n, first + row);
    equal = equal && batch.sequence_ids[static_cast<std::size_t>(row)] == at.index;
    for (std::int64_t t = 0; t < T; ++t) {
      const auto i = static_cast<std::size_t>(row * T + t);
      const std::int64_t token = at.index * T + t;
      const bool ignored = with_mask && !Corpus::is_counted(token + 1);
      equal = equal && batch.tokens[i] == token + 1000;
      equal = equal && batch.targets[i] == (ignored ? -1 : token + 1001);
    }
  }
  CHECK(equal);
}

}  // namespace

TEST_CASE("batches equal the definition from every cursor and for every batch size",
          "[data][threads]") {
  for (const bool with_mask : {false, true}) {
    const Corpus corpus(with_mask);
    const TokenDataset dataset = corpus.open();
    for (const auto order : {SequenceOrder::kSequential, SequenceOrder::kShuffled}) {
      for (const std::int64_t count : {1, 2, 7, 40}) {
        for (const std::int64_t cursor : {0, 1, 13, 33, 34, 100}) {
          const TokenLoaderOptions options{.order = order, .seed = 99, .length = 3};
          TokenLoader loader(dataset, options, cursor);
          CHECK(loader.sequences_per_epoch() == 34);
          for (std::int64_t step = 0; step < 4; ++step) {
            check_batch(loader.next(count), options, cursor + step * count, count, with_mask);
          }
          CHECK(loader.cursor() == cursor + 4 * count);
        }
      }
    }
  }
}

TEST_CASE("the batch size may change from call to call", "[data][threads]") {
  const Corpus corpus(true);
  const TokenDataset dataset = corpus.open();
  const TokenLoaderOptions options{.seed = 3, .length = 5};
  TokenLoader loader(dataset, options);
  std::int64_t cursor = 0;
  for (const std::int64_t count : {4, 4, 2, 4, 1, 9, 9}) {
    check_batch(loader.next(count), options, cursor, count, true);
    cursor += count;
  }
}

TEST_CASE("ranks share the sequences that one rank would read", "[data][threads]") {
  const Corpus corpus(false);
  const TokenDataset dataset = corpus.open();
  const TokenLoaderOptions alone{.seed = 5, .length = 4};
  TokenLoader one(dataset, alone);
  std::vector<std::int64_t> expected;
  for (int step = 0; step < 3; ++step) {
    const auto& ids = one.next(12).sequence_ids;
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  for (const std::int64_t ranks : {1, 2, 3, 4}) {
    std::vector<std::unique_ptr<TokenLoader>> loaders;
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      TokenLoaderOptions options = alone;
      options.rank = rank;
      options.ranks = ranks;
      loaders.push_back(std::make_unique<TokenLoader>(dataset, options));
    }
    std::vector<std::int64_t> ids;
    for (int step = 0; step < 3; ++step) {
      for (auto& loader : loaders) {
        const auto& part = loader->next(12 / ranks).sequence_ids;
        ids.insert(ids.end(), part.begin(), part.end());
        CHECK(loader->cursor() == 12 * (step + 1));
      }
    }
    CHECK(ids == expected);
  }
}

TEST_CASE("shares of a step that ranks do not divide are the sequences of one rank, once each",
          "[data][threads]") {
  const Corpus corpus(false);
  const TokenDataset dataset = corpus.open();
  const TokenLoaderOptions alone{.seed = 5, .length = 4};
  TokenLoader one(dataset, alone);
  std::vector<std::int64_t> expected;
  for (const std::int64_t sequences : {7, 11, 9}) {
    const auto& ids = one.next_of_step(sequences).sequence_ids;
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  for (const std::int64_t ranks : {2, 3, 5, 7}) {
    std::vector<std::unique_ptr<TokenLoader>> loaders;
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      TokenLoaderOptions options = alone;
      options.rank = rank;
      options.ranks = ranks;
      loaders.push_back(std::make_unique<TokenLoader>(dataset, options));
    }
    std::vector<std::int64_t> ids;
    std::int64_t consumed = 0;
    for (const std::int64_t sequences : {7, 11, 9}) {
      consumed += sequences;
      for (auto& loader : loaders) {
        const auto& part = loader->next_of_step(sequences).sequence_ids;
        CHECK(static_cast<std::int64_t>(part.size()) >= sequences / ranks);
        ids.insert(ids.end(), part.begin(), part.end());
        CHECK(loader->cursor() == consumed);
      }
    }
    CHECK(ids == expected);
    CHECK_THROWS_WITH(loaders[0]->next_of_step(ranks - 1), Contains("each takes at least one"));
  }
}

TEST_CASE("the targets of a step are counted before it is read", "[data]") {
  const Corpus corpus(true);
  const TokenDataset dataset = corpus.open();
  const TokenLoaderOptions options{.seed = 5, .length = 4};
  const TokenLoader loader(dataset, options);
  TokenBatch batch;
  load_batch(dataset, options, 20, 10, batch);
  const auto counted = std::count_if(batch.targets.begin(), batch.targets.end(),
                                     [](std::int32_t target) { return target != kIgnoreTarget; });
  CHECK(loader.count_targets(20, 10) == counted);
  CHECK(counted < 40);
  CHECK(loader.count_targets(20, 0) == 0);
  const Corpus unmasked(false);
  const TokenDataset plain = unmasked.open();
  CHECK(TokenLoader(plain, options).count_targets(1000, 10) == 40);
}

TEST_CASE("a corpus shorter than one sequence is refused with its numbers", "[data]") {
  const Corpus corpus(false);
  const TokenDataset dataset = corpus.open();
  CHECK_THROWS_WITH(TokenLoader(dataset, {.length = 103}),
                    Contains("103 tokens") && Contains("needs 104"));
  CHECK_THROWS_AS(TokenLoader(dataset, {.length = 103}), DataError);
  CHECK(TokenLoader(dataset, {.length = 102}).sequences_per_epoch() == 1);
}

TEST_CASE("impossible lengths, ranks, cursors and batches are usage errors", "[data]") {
  const Corpus corpus(false);
  const TokenDataset dataset = corpus.open();
  CHECK_THROWS_AS(TokenLoader(dataset, {.length = 0}), UsageError);
  CHECK_THROWS_AS(TokenLoader(dataset, {.length = 4, .rank = 2, .ranks = 2}), UsageError);
  CHECK_THROWS_AS(TokenLoader(dataset, {.length = 4, .rank = -1}), UsageError);
  CHECK_THROWS_AS(TokenLoader(dataset, {.length = 4}, -1), UsageError);
  TokenLoader loader(dataset, {.length = 4});
  CHECK_THROWS_AS(loader.next(0), UsageError);
  CHECK_THROWS_AS(loader.next(INT64_MAX), UsageError);
  CHECK(loader.next(1).count == 1);
}

TEST_CASE("what the thread meets reaches the consumer", "[data][threads]") {
  const Corpus corpus(false);
  const TokenDataset dataset = corpus.open();
  TokenLoader loader(dataset, {.order = SequenceOrder::kSequential, .length = 20});
  loader.next(1);
  std::filesystem::resize_file(corpus.folder / "train_000002.bin", 1030);
  CHECK_THROWS_WITH(
      [&] {
        for (int i = 0; i < 4; ++i) loader.next(1);
      }(),
      Contains("changed while it was in use"));
}

TEST_CASE("a loader may go away while its thread reads", "[data][threads]") {
  const Corpus corpus(false);
  const TokenDataset dataset = corpus.open();
  for (int i = 0; i < 50; ++i) {
    TokenLoader loader(dataset, {.length = 3});
    if (i % 2 == 0) loader.next(30);
  }
}

}  // namespace ovid::data
