// Holds the tokenizer against ids that tiktoken and GPT-2's published algorithm gave (shared test
// data).
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "src/core/file.h"
#include "src/tokenizer/stream_decoder.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/utf8.h"
#include "tests/catch.h"
#include "tests/test_files.h"
#include "tests/tokenizer/archive_files.h"

namespace ovid::tokenizer {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<TokenId>;

// GPT-2's vocabulary as each of the file kinds. Empty where the test data is absent.
class Gpt2Files {
 public:
  Gpt2Files() {
    const auto tiktoken = test::shared_data("tokenizer/gpt2.tiktoken");
    if (!tiktoken) return;
    const Path folder = tiktoken->parent_path();
    std::filesystem::copy_file(folder / "encoder.json", renamed_ / "vocab.json");
    std::filesystem::copy_file(folder / "vocab.bpe", renamed_ / "merges.txt");
    places_ = {folder.string(), renamed_.path().string(), tiktoken->string()};
  }
  const std::vector<std::string>& places() const { return places_; }

 private:
  test::TemporaryDirectory renamed_;
  std::vector<std::string> places_;
};

std::string from_base64(const std::string& text) {
  static const std::string digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = (bits << 6) | static_cast<std::uint32_t>(digits.find(c));
    held += 6;
    if (held >= 8) bytes += static_cast<char>((bits >> (held -= 8)) & 0xFF);
  }
  return bytes;
}

// `sha256sum` of the ids of each name, as little-endian uint16.
class IdHashes {
 public:
  void add(const std::string& name, const Ids& ids) {
    std::string bytes;
    for (const TokenId id : ids) {
      bytes += static_cast<char>(id & 0xFF);
      bytes += static_cast<char>(id >> 8);
    }
    replace_file(folder_ / fmt::format("{:06}", names_.size()), bytes);
    names_.push_back(name);
  }
  std::map<std::string, std::string> by_name() const {
    const std::string command = fmt::format("cd '{}' && sha256sum *", folder_.path().string());
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    REQUIRE(pipe != nullptr);
    std::map<std::string, std::string> hashes;
    char hash[65] = {};
    unsigned number = 0;
    while (std::fscanf(pipe.get(), "%64s %u", hash, &number) == 2) hashes[names_.at(number)] = hash;
    return hashes;
  }

 private:
  test::TemporaryDirectory folder_;
  std::vector<std::string> names_;
};

void check_valid_text(const Tokenizer& tokenizer, EncodeCache& cache, const Json& row) {
  const std::string text = row.at("text");
  const Ids expected = row.at("ids");
  INFO("vector " << row.at("id"));
  REQUIRE(tokenizer.encode(text) == expected);
  REQUIRE(tokenizer.decode(expected) == text);
  for (int pass = 0; pass < 2; ++pass) {  // filling the cache, and from the cache
    Ids ids;
    tokenizer.encode_append(text, SpecialTokens::kAsText, cache, ids);
    REQUIRE(ids == expected);
  }
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const TokenId id : expected) {
    streamed += stream.push(id);
    REQUIRE_FALSE(find_invalid_utf8(streamed).has_value());
  }
  REQUIRE(streamed == text);
  REQUIRE(stream.finish().empty());
  if (row.contains("ids_special")) {
    const Ids special = row.at("ids_special");
    REQUIRE(tokenizer.encode(text, SpecialTokens::kRecognise) == special);
    REQUIRE(tokenizer.decode(special) == text);
  }
}

void check_invalid_text(const Tokenizer& tokenizer, const Json& row) {
  const std::string bytes = from_base64(row.at("b64"));
  const ReplacedText replaced = replace_invalid_utf8(bytes);
  INFO("vector " << row.at("id"));
  REQUIRE(replaced.text == row.at("text_replaced").get<std::string>());
  REQUIRE(replaced.replacements > 0);
  REQUIRE(find_invalid_utf8(bytes).has_value());
  REQUIRE(tokenizer.encode(replaced.text) == row.at("ids_replaced").get<Ids>());
  const Ids byte_preserving = row.at("ids_bytes");
  REQUIRE(tokenizer.encode(bytes) == byte_preserving);
  REQUIRE(tokenizer.decode(byte_preserving) == bytes);
}

// Encodes `bytes` and compares with an entry of token_counts.json; the hash is compared later.
void check_counts(const Tokenizer& tokenizer, EncodeCache& cache, const std::string& name,
                  std::string_view bytes, const Json& entry, IdHashes& hashes) {
  INFO(name);
  const ReplacedText text = replace_invalid_utf8(bytes);
  REQUIRE(text.text.size() == entry.at("bytes").get<std::size_t>());
  Ids ids;
  tokenizer.encode_append(text.text, SpecialTokens::kAsText, cache, ids);
  REQUIRE(ids.size() == entry.at("tokens").get<std::size_t>());
  REQUIRE(Ids(ids.begin(), ids.begin() + 8) == entry.at("first8").get<Ids>());
  hashes.add(name, ids);
}

}  // namespace

TEST_CASE("2,000 vectors give GPT-2's ids, from each kind of file", "[tokenizer]") {
  const Gpt2Files files;
  const auto vectors = test::shared_data("tokenizer/vectors.jsonl.gz");
  if (files.places().empty() || !vectors) return;
  const std::string text = test::read_gzip(*vectors);
  for (const std::string& place : files.places()) {
    const Tokenizer tokenizer = Tokenizer::load(place);
    CHECK(tokenizer.vocabulary_size() == 50257);
    CHECK(tokenizer.end_of_text() == 50256);
    EncodeCache cache;
    std::istringstream lines(text);
    int rows = 0;
    for (std::string line; std::getline(lines, line); ++rows) {
      const Json row = Json::parse(line);
      if (row.contains("b64")) {
        check_invalid_text(tokenizer, row);
      } else {
        check_valid_text(tokenizer, cache, row);
      }
    }
    CHECK(rows == 2000);
  }
}

TEST_CASE("GPT-2's vocabulary has one fingerprint, whatever files it came from", "[tokenizer]") {
  const Gpt2Files files;
  if (files.places().empty()) return;
  const Tokenizer first = Tokenizer::load(files.places()[0]);
  for (const std::string& place : files.places()) {
    const Tokenizer other = Tokenizer::load(place);
    CHECK(other.fingerprint() == first.fingerprint());
    CHECK(other.vocabulary().merges == first.vocabulary().merges);
  }
  const test::TemporaryDirectory saved;
  first.save(saved.path());
  CHECK(Tokenizer::load(saved.path().string()).fingerprint() == first.fingerprint());
  CHECK(Tokenizer::load("bytes").fingerprint() != first.fingerprint());
}

TEST_CASE("whole files give GPT-2's token counts and ids", "[tokenizer]") {
  const auto tiktoken = test::shared_data("tokenizer/gpt2.tiktoken");
  const auto counts = test::shared_data("tokenizer/token_counts.json");
  if (!tiktoken || !counts) return;
  const Tokenizer tokenizer = Tokenizer::load(tiktoken->string());
  const Json expected = Json::parse(read_file(*counts));
  EncodeCache cache;
  IdHashes hashes;
  for (const auto& [name, entry] : expected.at("files").items()) {
    const auto path = test::shared_data(name);
    if (!path) continue;
    const std::string bytes =
        path->extension() == ".gz" ? test::read_gzip(*path) : read_file(*path);
    check_counts(tokenizer, cache, name, bytes, entry, hashes);
  }
  for (const auto& [name, hash] : hashes.by_name()) {
    INFO(name);
    CHECK(hash == expected.at("files").at(name).at("sha256_u16le").get<std::string>());
  }
}

TEST_CASE("tinyshakespeare cut at 90 % gives nanoGPT's known token counts", "[tokenizer]") {
  const auto tiktoken = test::shared_data("tokenizer/gpt2.tiktoken");
  const auto path = test::shared_data("text/tinyshakespeare.txt.gz");
  if (!tiktoken || !path) return;
  const Tokenizer tokenizer = Tokenizer::load(tiktoken->string());
  const std::string text = test::read_gzip(*path);
  const std::size_t cut = text.size() * 9 / 10;
  CHECK(tokenizer.encode(text.substr(0, cut)).size() == 301'966);
  CHECK(tokenizer.encode(text.substr(cut)).size() == 36'059);
}

TEST_CASE("86 novels give GPT-2's token counts and ids", "[tokenizer]") {
  const auto tiktoken = test::shared_data("tokenizer/gpt2.tiktoken");
  const auto counts = test::shared_data("tokenizer/token_counts.json");
  const auto archive = test::shared_data("text/novels-en.tar.xz");
  if (!tiktoken || !counts || !archive) return;
  const Tokenizer tokenizer = Tokenizer::load(tiktoken->string());
  const Json expected = Json::parse(read_file(*counts)).at("novels").at("members");
  EncodeCache cache;
  IdHashes hashes;
  test::for_each_member(*archive, [&](const std::string& name, std::string_view bytes) {
    check_counts(tokenizer, cache, name, bytes, expected.at(name), hashes);
  });
  const auto found = hashes.by_name();
  CHECK(found.size() == 86);
  for (const auto& [name, hash] : found) {
    INFO(name);
    CHECK(hash == expected.at(name).at("sha256_u16le").get<std::string>());
  }
}

}  // namespace ovid::tokenizer
