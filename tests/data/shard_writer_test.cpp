#include "src/data/shard_writer.h"

#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/data/token_shard.h"
#include "tests/catch.h"
#include "tests/data/shard_files.h"
#include "tests/test_files.h"

namespace ovid::data {
namespace {

std::size_t entries_of(const test::TemporaryDirectory& folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder.path())) ++count;
  return count;
}

}  // namespace

TEST_CASE("a full shard is followed by the next, and together they hold the tokens", "[data]") {
  const test::TemporaryDirectory folder;
  const std::vector<std::uint16_t> tokens = test::counting(25, 100);
  ShardWriter writer({.directory = folder.path(), .prefix = "train", .max_tokens = 10});
  const std::span all(tokens);
  writer.append(all.first(3));
  writer.append({});
  writer.append(all.subspan(3, 7));
  writer.append(all.subspan(10));
  CHECK(writer.total_tokens() == 25);
  const std::vector<WrittenShard> written = writer.finish();
  REQUIRE(written.size() == 3);
  CHECK(written[2].path.filename() == "train_000002.bin");
  std::vector<std::uint16_t> back;
  for (const WrittenShard& shard : written) {
    const TokenShard read = TokenShard::open(shard.path);
    CHECK(read.tokens().size() == static_cast<std::size_t>(shard.tokens));
    CHECK(size_of_file(shard.path) == shard.bytes);
    CHECK(checksum_of(std::as_bytes(read.tokens())) == shard.checksum);
    back.insert(back.end(), read.tokens().begin(), read.tokens().end());
  }
  CHECK(back == tokens);
  CHECK(entries_of(folder) == 3);
}

TEST_CASE("a written shard is byte for byte the llm.c format", "[data]") {
  const test::TemporaryDirectory folder;
  ShardWriter writer({.directory = folder.path(), .prefix = "v"});
  writer.append(test::counting(70000));
  writer.finish();
  const std::vector<std::uint16_t> tokens = test::counting(70000);
  CHECK(read_file(folder / "v_000000.bin") ==
        test::shard_header(20240520, 1, 70000) + test::as_string(tokens));
}

TEST_CASE("masks roll over with their shards", "[data]") {
  const test::TemporaryDirectory folder;
  ShardWriter writer({.directory = folder.path(), .prefix = "train", .max_tokens = 2});
  const std::vector<std::uint8_t> mask{1, 0, 0};
  writer.append(test::counting(3), mask);
  CHECK_THROWS_AS(writer.append(test::counting(1)), UsageError);
  CHECK_THROWS_AS(writer.append(test::counting(2), mask), UsageError);
  CHECK_THROWS_AS(writer.append(test::counting(1), std::vector<std::uint8_t>{2}), UsageError);
  const std::vector<WrittenShard> written = writer.finish();
  REQUIRE(written.size() == 2);
  CHECK(written[1].has_mask);
  const TokenShard first = TokenShard::open(written[0].path);
  CHECK(first.mask()->front() == 1);
  CHECK(first.mask()->back() == 0);
  CHECK(TokenShard::open(written[1].path).mask()->front() == 0);
}

TEST_CASE("an unfinished writer leaves only whole shards behind", "[data]") {
  const test::TemporaryDirectory folder;
  {
    ShardWriter writer({.directory = folder.path(), .prefix = "train", .max_tokens = 10});
    writer.append(test::counting(15));
  }
  CHECK(entries_of(folder) == 1);
  CHECK(TokenShard::open(folder / "train_000000.bin").tokens().size() == 10);
}

TEST_CASE("shard sizes that the header cannot count are refused", "[data]") {
  CHECK_THROWS_AS(ShardWriter({.directory = ".", .prefix = "a", .max_tokens = 0}), UsageError);
  CHECK_THROWS_AS(ShardWriter({.directory = ".", .prefix = "a", .max_tokens = 1ll << 31}),
                  UsageError);
}

}  // namespace ovid::data
