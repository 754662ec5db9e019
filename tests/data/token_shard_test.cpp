#include "src/data/token_shard.h"

#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/data/shard_files.h"
#include "tests/test_files.h"

namespace ovid::data {
namespace {

using Catch::Matchers::Contains;
using test::as_string;
using test::counting;
using test::shard_header;

struct Folder {
  test::TemporaryDirectory directory;
  Path shard = directory / "train_000000.bin";
  Path mask = directory / "train_000000.mask";

  TokenShard open_file(const std::string& content) {
    replace_file(shard, content);
    return TokenShard::open(shard);
  }
};

}  // namespace

TEST_CASE("a shard with a header gives its tokens", "[data]") {
  Folder folder;
  const TokenShard shard =
      folder.open_file(shard_header(20240520, 1, 3) + as_string({7, 50256, 65535}));
  CHECK(shard.has_header());
  REQUIRE(shard.tokens().size() == 3);
  CHECK(shard.tokens()[2] == 65535);
  CHECK_FALSE(shard.mask().has_value());
}

TEST_CASE("a headerless .bin file of even size gives its tokens", "[data]") {
  Folder folder;
  const TokenShard shard = folder.open_file(as_string(counting(1000, 5)));
  CHECK_FALSE(shard.has_header());
  REQUIRE(shard.tokens().size() == 1000);
  CHECK(shard.tokens()[0] == 5);
}

TEST_CASE("a file that is not a whole shard is refused with what is wrong", "[data]") {
  Folder folder;
  const std::string good = shard_header(20240520, 1, 3) + as_string({1, 2, 3});
  const auto refuses = [&](const std::string& content, const std::string& reason) {
    CHECK_THROWS_WITH(folder.open_file(content), Contains(reason) && Contains("train_000000.bin"));
    CHECK_THROWS_AS(folder.open_file(content), DataError);
  };
  refuses(good.substr(0, good.size() - 2), "promises 3 tokens in 1030 bytes");
  refuses(good + "ab", "is 1032 bytes");
  refuses(good.substr(0, 1000), "less than its header");
  refuses(good.substr(0, 4), "less than its header");
  refuses(shard_header(20240520, 2, 3) + as_string({1, 2, 3}), "version 2");
  refuses(shard_header(20240520, 1, -1), "-1 tokens");
  refuses(shard_header(20240520, 1, 2147483647) + as_string({1}), "promises 2147483647");
  refuses(shard_header(123, 1, 3) + as_string({1, 2, 3}), "magic is 123 instead of 20240520");
  refuses(shard_header(20240521, 1, 3) + as_string({1, 2, 3}), "a loss mask");
  refuses(shard_header(20240801, 7, 3), "Llama 3");
  refuses("", "empty");
  refuses(as_string({1, 2, 3}) + "x", "no whole number of uint16");
  refuses(std::string(512, 'a'), "plain text");
}

TEST_CASE("a headerless file must be named .bin", "[data]") {
  const test::TemporaryDirectory folder;
  replace_file(folder / "tokens.dat", as_string(counting(10)));
  CHECK_THROWS_WITH(TokenShard::open(folder / "tokens.dat"), Contains("end in .bin"));
}

TEST_CASE("a mask beside a shard is read, and refused where it does not fit", "[data]") {
  Folder folder;
  test::write_shard(folder.shard, {1, 2, 3});
  test::write_mask(folder.mask, {0, 1, 1});
  const TokenShard shard = TokenShard::open(folder.shard);
  REQUIRE(shard.mask().has_value());
  CHECK((*shard.mask())[0] == 0);
  CHECK((*shard.mask())[2] == 1);

  test::write_mask(folder.mask, {0, 1});
  CHECK_THROWS_WITH(TokenShard::open(folder.shard), Contains("masks 2 tokens"));
  replace_file(folder.mask, shard_header(20240521, 1, 3) + "ab");
  CHECK_THROWS_WITH(TokenShard::open(folder.shard), Contains("promises 3 tokens in 1027 bytes"));
  replace_file(folder.mask, shard_header(20240520, 1, 3) + "abc");
  CHECK_THROWS_WITH(TokenShard::open(folder.shard), Contains("not a loss mask"));
}

TEST_CASE("the first token outside the vocabulary is named", "[data]") {
  Folder folder;
  std::vector<std::uint16_t> tokens(10000, 50256);
  tokens[12] = 50300;
  test::write_shard(folder.shard, tokens);
  const TokenShard shard = TokenShard::open(folder.shard);
  CHECK_NOTHROW(check_vocabulary(shard, 50301));
  CHECK_NOTHROW(check_vocabulary(shard, 65536));
  CHECK_THROWS_WITH(check_vocabulary(shard, 50257),
                    Contains("token 50300 at index 12") && Contains("vocabulary of 50257"));
  tokens[12] = 0;
  tokens[9999] = 50257;  // behind the last whole block
  test::write_shard(folder.shard, tokens);
  CHECK_THROWS_WITH(check_vocabulary(TokenShard::open(folder.shard), 50257),
                    Contains("at index 9999"));
}

TEST_CASE("a shard that changes while it is in use is noticed", "[data]") {
  Folder folder;
  test::write_shard(folder.shard, counting(5000));
  const TokenShard shard = TokenShard::open(folder.shard);
  CHECK_NOTHROW(shard.check_unchanged());
  std::filesystem::last_write_time(
      folder.shard, std::filesystem::last_write_time(folder.shard) + std::chrono::seconds(1));
  CHECK_THROWS_WITH(shard.check_unchanged(), Contains("rewritten"));
  std::filesystem::resize_file(folder.shard, 1026);
  CHECK_THROWS_WITH(shard.check_unchanged(), Contains("from 11024 to 1026 bytes"));
}

}  // namespace ovid::data
