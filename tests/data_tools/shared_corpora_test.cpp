#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/data_tools/program.h"
#include "tests/test_files.h"

// ovid-data on real corpora, against counts and ids that other programs found.
namespace ovid::test {
namespace {

using nlohmann::json;

struct BuiltCorpus {
  TemporaryDirectory folder;
  json description;

  void build(const Path& input, const Path& tokenizer, const std::string& fraction) {
    const ProgramResult result = run_ovid_data(
        {"text", "--input", input.string(), "--output", (folder / "data").string(), "--tokenizer",
         tokenizer.string(), "--validation-fraction", fraction, "--json"});
    INFO(result.messages);
    REQUIRE(result.exit_code == 0);
    description = json::parse(result.output);
  }
};

}  // namespace

TEST_CASE("tinyshakespeare split 90 to 10 has the known counts of tokens", "[data_tools]") {
  const auto text = shared_data("text/tinyshakespeare.txt.gz");
  const auto tokenizer = shared_data("tokenizer/gpt2.tiktoken");
  if (!text || !tokenizer) return;
  BuiltCorpus corpus;
  corpus.build(*text, *tokenizer, "0.1");
  // nanoGPT's README: 301,966 and 36,059; here <|endoftext|> comes before each part.
  CHECK(corpus.description["train"]["tokens"] == 1 + 301966);
  CHECK(corpus.description["validation"]["tokens"] == 1 + 36059);
}

TEST_CASE("an archive of archives gives one document for each text inside", "[data_tools]") {
  const auto archive = shared_data("text/openwebtext-mini.tar.xz");
  if (!archive) return;
  BuiltCorpus corpus;
  corpus.build(*archive, "bytes", "0.01");
  CHECK(corpus.description["documents"] == 1000);
  CHECK(corpus.description["validation"]["documents"] == 10);
}

TEST_CASE("compressed JSON lines give one document a line", "[data_tools]") {
  const auto lines = shared_data("eval/lambada_test.jsonl.gz");
  if (!lines) return;
  BuiltCorpus corpus;
  corpus.build(*lines, "bytes", "0");
  CHECK(corpus.description["documents"] == 5153);
}

TEST_CASE("encode and decode agree with tiktoken on every test vector", "[data_tools]") {
  const auto vectors = shared_data("tokenizer/vectors.jsonl.gz");
  const auto tokenizer = shared_data("tokenizer/gpt2.tiktoken");
  if (!vectors || !tokenizer) return;
  const ProgramResult unpacked = run_program({"gzip", "-dc", vectors->string()});
  REQUIRE(unpacked.exit_code == 0);
  std::string requests;
  std::string ids;
  std::size_t begin = 0;
  for (std::size_t end; (end = unpacked.output.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const json vector = json::parse(unpacked.output.substr(begin, end - begin));
    if (vector.contains("b64")) continue;
    requests += json{{"text", vector["text"]}}.dump() + "\n";
    ids += json{{"ids", vector["ids"]}}.dump() + "\n";
  }
  const ProgramResult encoded =
      run_ovid_data({"encode", "--tokenizer", tokenizer->string()}, requests);
  REQUIRE(encoded.exit_code == 0);
  CHECK(ids.size() > 100000);
  CHECK((encoded.output == ids));
  const ProgramResult decoded = run_ovid_data({"decode", "--tokenizer", tokenizer->string()}, ids);
  REQUIRE(decoded.exit_code == 0);
  CHECK((decoded.output == requests));
}

}  // namespace ovid::test
