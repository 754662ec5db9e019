#include "src/data/dataset.h"

#include <numeric>

#include "src/core/error.h"
#include "src/data/dataset_description.h"
#include "tests/catch.h"
#include "tests/data/shard_files.h"
#include "tests/test_files.h"

namespace ovid::data {
namespace {

using Catch::Matchers::Contains;
using test::counting;

// Three shards of 5, 0 and 7 tokens: 0, 1, ..., 11.
void write_three(const test::TemporaryDirectory& folder) {
  test::write_shard(folder / "train_000000.bin", counting(5, 0));
  test::write_shard(folder / "train_000001.bin", {});
  test::write_shard(folder / "train_000002.bin", counting(7, 5));
}

std::string pattern_in(const test::TemporaryDirectory& folder) {
  return (folder / "train_*.bin").string();
}

std::string fingerprint_of(const test::TemporaryDirectory& folder) {
  return TokenDataset({pattern_in(folder)}).fingerprint();
}

}  // namespace

TEST_CASE("every range of a data set equals the shards laid end to end", "[data]") {
  const test::TemporaryDirectory folder;
  write_three(folder);
  const TokenDataset dataset({pattern_in(folder)});
  REQUIRE(dataset.total_tokens() == 12);
  for (std::int64_t first = 0; first <= 12; ++first) {
    for (std::size_t count = 0; first + static_cast<std::int64_t>(count) <= 12; ++count) {
      std::vector<std::uint16_t> tokens(count);
      std::vector<std::uint8_t> mask(count);
      dataset.copy(first, tokens, mask);
      CHECK(tokens == counting(count, static_cast<int>(first)));
      CHECK(mask == std::vector<std::uint8_t>(count, 1));
    }
  }
  std::vector<std::uint16_t> tokens(2);
  CHECK_THROWS_AS(dataset.copy(11, tokens), DataError);
  CHECK_THROWS_AS(dataset.copy(-1, tokens), DataError);
  CHECK_THROWS_AS(dataset.copy(INT64_MAX, tokens), DataError);
}

TEST_CASE("masks are read across shards, and all shards or none have one", "[data]") {
  const test::TemporaryDirectory folder;
  test::write_shard(folder / "train_000000.bin", counting(3));
  test::write_shard(folder / "train_000001.bin", counting(2));
  test::write_mask(folder / "train_000000.mask", {0, 1, 0});
  CHECK_THROWS_WITH(TokenDataset({pattern_in(folder)}), Contains("has none"));
  test::write_mask(folder / "train_000001.mask", {1, 1});
  const TokenDataset dataset({(folder / "train_*").string()});  // the masks match too
  CHECK(dataset.has_mask());
  std::vector<std::uint16_t> tokens(4);
  std::vector<std::uint8_t> mask(4);
  dataset.copy(1, tokens, mask);
  CHECK(mask == std::vector<std::uint8_t>{1, 0, 1, 1});
  CHECK(dataset.count_unmasked(1, 4) == 3);
  CHECK(dataset.count_unmasked(0, 1) == 0);
  CHECK(dataset.count_unmasked(2, 0) == 0);
}

TEST_CASE("a pattern is sorted, a plain name is taken as it is, nothing found is an error",
          "[data]") {
  const test::TemporaryDirectory folder;
  write_three(folder);
  const std::vector<Path> found =
      expand_patterns({(folder / "train_000002.bin").string(), pattern_in(folder)});
  REQUIRE(found.size() == 4);
  CHECK(found[0].filename() == "train_000002.bin");
  CHECK(found[1].filename() == "train_000000.bin");
  CHECK(found[3].filename() == "train_000002.bin");
  CHECK_THROWS_WITH(expand_patterns({(folder / "valid_*.bin").string()}),
                    Contains("no token shard matches") && Contains("ovid-data text"));
  CHECK_THROWS_AS(expand_patterns({(folder / "absent.bin").string()}), DataError);
  CHECK_THROWS_AS(expand_patterns({}), DataError);
  replace_file(folder / "odd[1].bin", test::as_string(counting(4)));
  CHECK(TokenDataset({(folder / "odd[1].bin").string()}).total_tokens() == 4);
}

TEST_CASE("the fingerprint follows content and order, not names", "[data]") {
  const test::TemporaryDirectory folder;
  write_three(folder);
  const std::string original = fingerprint_of(folder);
  CHECK(original.size() == 32);
  CHECK(fingerprint_of(folder) == original);

  const test::TemporaryDirectory other;
  test::write_shard(other / "train_a.bin", counting(5, 0));
  test::write_shard(other / "train_b.bin", {});
  test::write_shard(other / "train_c.bin", counting(7, 5));
  CHECK(fingerprint_of(other) == original);

  auto changed = counting(7, 5);
  changed[3] ^= 1;
  test::write_shard(other / "train_c.bin", changed);
  CHECK(fingerprint_of(other) != original);
  test::write_shard(other / "train_c.bin", counting(7, 5));
  test::write_shard(other / "train_d.bin", counting(1));
  CHECK(fingerprint_of(other) != original);
  std::filesystem::remove(other / "train_d.bin");
  CHECK(fingerprint_of(other) == original);
  std::filesystem::rename(other / "train_a.bin", other / "train_d.bin");
  CHECK(fingerprint_of(other) != original);
}

TEST_CASE("one pass checks the vocabulary and gives the same fingerprint", "[data]") {
  const test::TemporaryDirectory folder;
  write_three(folder);
  auto tokens = counting(200'000);  // several blocks of the pass; wraps around at 65,536
  for (auto& token : tokens) token %= 5000;
  tokens[150'001] = 5003;
  test::write_shard(folder / "train_000003.bin", tokens);
  const TokenDataset dataset({pattern_in(folder)});
  CHECK(dataset.check_and_fingerprint(5004) == dataset.fingerprint());
  CHECK_THROWS_WITH(dataset.check_and_fingerprint(5003),
                    Contains("token 5003 at index 150001 of") && Contains("train_000003.bin"));
}

TEST_CASE("a shard that is cut in use is an error, not a crash", "[data]") {
  const test::TemporaryDirectory folder;
  test::write_shard(folder / "train_000000.bin", counting(60000));
  const TokenDataset dataset({pattern_in(folder)});
  std::filesystem::resize_file(folder / "train_000000.bin", 2048);
  std::vector<std::uint16_t> tokens(10);
  CHECK_THROWS_WITH(dataset.copy(50000, tokens), Contains("changed while it was in use"));
  CHECK_THROWS_AS(dataset.fingerprint(), DataError);
  CHECK_THROWS_AS(dataset.check_vocabulary(60000), DataError);
}

TEST_CASE("dataset.json beside a shard names its tokenizer", "[data]") {
  const test::TemporaryDirectory folder;
  const Path shard = folder / "train_000000.bin";
  const auto describe = [&](const std::string& text) {
    replace_file(folder / "dataset.json", text);
    return describe_dataset_of(shard);
  };
  CHECK_FALSE(describe_dataset_of(shard).has_value());
  const auto description = describe(
      R"({"format_version":1,"tokenizer":"tokenizer","vocabulary_size":300,"end_of_text":299})");
  REQUIRE(description.has_value());
  CHECK(description->tokenizer == (folder / "tokenizer").string());
  CHECK(description->vocabulary_size == 300);
  CHECK(description->end_of_text == 299);
  const std::string rest = R"("vocabulary_size":257,"end_of_text":256})";
  CHECK(describe(R"({"format_version":1,"tokenizer":"bytes",)" + rest)->tokenizer == "bytes");

  CHECK_THROWS_AS(describe("{"), DataError);
  CHECK_THROWS_AS(describe("[]"), DataError);
  CHECK_THROWS_AS(describe(R"({"format_version":1,)" + rest), DataError);
  CHECK_THROWS_AS(describe(R"({"format_version":1,"tokenizer":3,)" + rest), DataError);
  CHECK_THROWS_WITH(describe(R"({"format_version":2,"tokenizer":"bytes",)" + rest),
                    Contains("format_version = 2"));
  CHECK_THROWS_WITH(
      describe(
          R"({"format_version":1,"tokenizer":"bytes","vocabulary_size":65537,"end_of_text":1})"),
      Contains("65537 is outside"));
}

}  // namespace ovid::data
