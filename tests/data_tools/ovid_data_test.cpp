#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "src/tokenizer/tokenizer.h"
#include "tests/catch.h"
#include "tests/data_tools/program.h"
#include "tests/data_tools/workplace.h"
#include "tests/test_files.h"

namespace ovid::test {
namespace {

using Catch::Matchers::Contains;
using nlohmann::json;

}  // namespace

TEST_CASE("files become one document each, in sorted order, after <|endoftext|>", "[data_tools]") {
  const Workplace work;
  work.write("b.txt", "second");
  work.write("a.txt", "first");
  work.write("c/d.txt", "third");
  work.write(".hidden", "no");
  work.write("empty.txt", "");
  const ProgramResult result =
      work.run({"--input", work.corpus.string(), "--validation-fraction", "0"});
  REQUIRE(result.exit_code == 0);
  CHECK(result.output.empty());
  CHECK(tokens_in(work.output / "train_000000.bin") == documents({"first", "second", "third"}));
  const json description = work.description();
  CHECK(description["documents"] == 3);
  CHECK(description["empty_documents"] == 1);
  CHECK(description["train"]["tokens"] == 19);
  CHECK(description["train"]["bytes"] == 16);
  CHECK(description["tokenizer"] == "tokenizer");
  CHECK(description["end_of_text"] == 256);
  CHECK(tokenizer::Tokenizer::load((work.output / "tokenizer").string()).vocabulary_size() == 257);
  CHECK(entries_of(work.folder.path()) == 2);
}

TEST_CASE("few documents are split by position, the last part of each validates", "[data_tools]") {
  const Workplace work;
  work.write("a.txt", "0123456789");
  work.write("b.txt", "abcdefghij");
  REQUIRE(work.run({"--input", work.corpus.string(), "--validation-fraction", "0.2"}).exit_code ==
          0);
  CHECK(tokens_in(work.output / "train_000000.bin") == documents({"01234567", "abcdefgh"}));
  CHECK(tokens_in(work.output / "validation_000000.bin") == documents({"89", "ij"}));
  CHECK(work.description()["settings"]["split"] == "position");
}

TEST_CASE("many documents are split by document, alike in every run", "[data_tools]") {
  const Workplace work;
  std::string lines;
  for (int i = 0; i < 100; ++i)
    lines += fmt::format("{{\"id\": {}, \"body\": \"{:03}\"}}\n\n", i, i);
  work.write("reviews.jsonl", lines);
  const std::vector<std::string> options{
      "--input", work.corpus.string(), "--field", "body",  "--validation-fraction",
      "0.1",     "--shard-tokens",     "100",     "--json"};
  const ProgramResult result = work.run(options);
  REQUIRE(result.exit_code == 0);
  const json description = json::parse(result.output);
  CHECK(description == work.description());
  CHECK(description["settings"]["split"] == "document");
  CHECK(description["train"]["documents"] == 90);
  CHECK(description["validation"]["documents"] == 10);
  CHECK(description["validation"]["tokens"] == 40);
  CHECK(description["train"]["shards"].size() == 4);
  std::vector<std::uint16_t> train;
  for (const json& shard : description["train"]["shards"]) {
    const auto part = tokens_in(work.output / shard["file"].get<std::string>());
    train.insert(train.end(), part.begin(), part.end());
  }
  CHECK(train.size() == 360);

  const std::string validation = read_file(work.output / "validation_000000.bin");
  std::filesystem::remove_all(work.output);
  REQUIRE(work.run(options).exit_code == 0);
  CHECK(read_file(work.output / "validation_000000.bin") == validation);
}

TEST_CASE("standard input is one document, or JSON lines where they are asked for",
          "[data_tools]") {
  const Workplace work;
  REQUIRE(work.run({"--input", "-", "--validation-fraction", "0"}, "a\nb").exit_code == 0);
  CHECK(tokens_in(work.output / "train_000000.bin") == documents({"a\nb"}));
  REQUIRE(
      work.run({"--input", "-", "--validation-fraction", "0", "--format", "jsonl", "--overwrite"},
               "{\"text\":\"a\"}\n{\"text\":\"b\"}")
          .exit_code == 0);
  CHECK(tokens_in(work.output / "train_000000.bin") == documents({"a", "b"}));
}

TEST_CASE("a data set is not overwritten unless that is asked for", "[data_tools]") {
  const Workplace work;
  work.write("a.txt", "new");
  make_directories(work.output);
  replace_file(work.output / "notes.txt", "mine");
  replace_file(work.output / "train_000007.bin", "old");
  const std::vector<std::string> options{"--input", work.corpus.string(), "--validation-fraction",
                                         "0"};
  const ProgramResult refused = work.run(options);
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.messages, Contains("holds train_000007.bin already"));
  CHECK(entries_of(work.output) == 2);
  auto overwriting = options;
  overwriting.push_back("--overwrite");
  REQUIRE(work.run(overwriting).exit_code == 0);
  CHECK(read_file(work.output / "notes.txt") == "mine");
  CHECK_FALSE(std::filesystem::exists(work.output / "train_000007.bin"));
  CHECK(tokens_in(work.output / "train_000000.bin") == documents({"new"}));
  CHECK(entries_of(work.output) == 4);
}

TEST_CASE("bytes that are not UTF-8 are replaced and counted, refused, or kept", "[data_tools]") {
  const Workplace work;
  work.write("a.txt", "a\xff\xe2\x80z");
  const auto run = [&](const std::string& choice) {
    return work.run({"--input", work.corpus.string(), "--validation-fraction", "0", "--overwrite",
                     "--invalid-utf8", choice});
  };
  const ProgramResult replaced = run("replace");
  REQUIRE(replaced.exit_code == 0);
  CHECK(tokens_in(work.output / "train_000000.bin") == documents({"a\xef\xbf\xbd\xef\xbf\xbdz"}));
  CHECK(work.description()["invalid_utf8_replaced"] == 2);
  CHECK_THAT(replaced.messages, Contains("2 places were not UTF-8"));
  REQUIRE(run("bytes").exit_code == 0);
  CHECK(tokens_in(work.output / "train_000000.bin") == documents({"a\xff\xe2\x80z"}));
  const ProgramResult refused = run("error");
  CHECK(refused.exit_code == 3);
  CHECK_THAT(refused.messages, Contains("a.txt is not UTF-8 at byte 1"));
}

TEST_CASE("bad inputs end with their exit code, a message, and nothing written", "[data_tools]") {
  const Workplace work;
  const auto refuses = [&](const std::string& name, const std::string& content,
                           const std::string& reason, int exit_code = 3,
                           std::vector<std::string> more = {}) {
    if (!name.empty()) work.write(name, content);
    more.insert(more.end(), {"--input", work.corpus.string()});
    const ProgramResult result = work.run(more);
    CAPTURE(name, result.messages);
    CHECK(result.exit_code == exit_code);
    CHECK_THAT(result.messages, Contains("error: ") && Contains(reason));
    CHECK(result.output.empty());
    CHECK(entries_of(work.folder.path()) == 1);  // the corpus alone
    if (!name.empty()) std::filesystem::remove(work.corpus / name);
  };
  refuses("", "", "hold no text");
  refuses("a.txt", "", "hold no text");
  refuses("a.txt", "a", "too little text");
  refuses("a.jsonl", "{\"text\": \"a\"}\n{\"tex\": 1, \"b\": 2}\n",
          "a.jsonl:2: no field \"text\" (there are: tex, b)");
  refuses("a.jsonl", "{\"text\": 3}", "a.jsonl:1: the field \"text\" is not a string");
  refuses("a.jsonl", "{\"text\": \"a\"", "a.jsonl:1: not valid JSON");
  refuses("a.jsonl", "[1]", "a.jsonl:1: not a JSON object");
  refuses("a.jsonl", std::string(100000, '['), "a.jsonl:1: not valid JSON");
  refuses("a.jsonl", "{\"text\": \"\\ud800\"}", "a.jsonl:1: not valid JSON");
  refuses("a.txt", "\x1f\x8b\x08", "gzip-compressed");
  refuses("a.gz", "plain text", "neither compressed nor an archive");
  refuses("a.xz",
          std::string("\xfd"
                      "7zXZ\0\0\4",
                      8),
          "cannot unpack");
  refuses("a.parquet", "PAR1....", "Parquet");
  refuses("a.txt", "long enough to split", "--validation-fraction 0.9 is outside 0 to 0.5", 2,
          {"--validation-fraction", "0.9"});
  refuses("a.txt", "abc", "a shard of 0 tokens", 2, {"--shard-tokens", "0"});
  refuses("a.txt", "abc", "absent", 3, {"--input", (work.folder / "absent").string()});
  refuses("a.txt", "abc", "--wrong", 2, {"--wrong"});
  CHECK(run_ovid_data({}).exit_code == 2);
  CHECK(run_ovid_data({"text"}).exit_code == 2);
  CHECK(run_ovid_data({"nonsense"}).exit_code == 2);
  const ProgramResult no_tokenizer = run_ovid_data(
      {"text", "--input", "-", "--output", work.output.string(), "--tokenizer", "/absent"}, "text");
  CHECK(no_tokenizer.exit_code == 3);
}

TEST_CASE("hostile archives are refused: too deep, a bomb, cut", "[data_tools]") {
  const Workplace work;
  const auto refuses = [&](const std::string& script, const std::string& reason) {
    const std::string in_corpus =
        fmt::format("cd {} && rm -f * && {}", work.corpus.string(), script);
    REQUIRE(run_program({"sh", "-c", in_corpus}).exit_code == 0);
    const ProgramResult result = work.run({"--input", work.corpus.string()});
    CAPTURE(script, result.messages);
    CHECK(result.exit_code == 3);
    CHECK_THAT(result.messages, Contains(reason));
    CHECK(entries_of(work.folder.path()) == 1);
  };
  refuses(
      "echo unicorn > 0.txt && tar cf 1.tar 0.txt && rm 0.txt && "
      "for i in 1 2 3 4; do tar cf $((i + 1)).tar $i.tar && rm $i.tar; done",
      "more than 4 deep");
  refuses("yes unicorn | head -c 100000000 | gzip > a.gz", "expands more than 200 times");
  // Each member and the archive pass alone; together they do not.
  refuses(
      "yes unicorn | head -c 50000000 | gzip > 0.gz && for i in 1 2 3 4; do cp 0.gz $i.gz; done && "
      "tar cf a.tar *.gz && rm *.gz && xz a.tar",
      "a.tar.xz expands more than 200 times");
  refuses("seq 100000 | gzip | head -c 5000 > a.gz", "cannot unpack");
  refuses("seq 100000 > a.txt && tar cf a.tar a.txt && rm a.txt && truncate -s 5000 a.tar",
          "cannot unpack");
}

TEST_CASE("help shows examples, and the version is printed", "[data_tools]") {
  const ProgramResult help = run_ovid_data({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.output.find("Examples:") < help.output.find("Options:"));
  CHECK(run_ovid_data({"text", "--help"}).exit_code == 0);
  const ProgramResult version = run_ovid_data({"--version"});
  CHECK(version.exit_code == 0);
  CHECK_THAT(version.output, Contains("ovid-data "));
}

TEST_CASE("encode and decode answer line by line", "[data_tools]") {
  const ProgramResult encoded = run_ovid_data(
      {"encode", "--tokenizer", "bytes"},
      "{\"text\": \"a\\u00e9\"}\n\n{\"base64\": \"/2E=\"}\r\n{\"text\":\"<|endoftext|>\"}");
  REQUIRE(encoded.exit_code == 0);
  CHECK_THAT(encoded.output, Catch::Matchers::StartsWith(
                                 "{\"ids\":[97,195,169]}\n{\"ids\":[255,97]}\n{\"ids\":[60,"));
  CHECK(run_ovid_data({"encode", "--tokenizer", "bytes", "--allow-special"},
                      "{\"text\":\"a<|endoftext|>\"}")
            .output == "{\"ids\":[97,256]}\n");
  const ProgramResult decoded =
      run_ovid_data({"decode", "--tokenizer", "bytes"},
                    "{\"ids\":[97,195,169]}\n{\"ids\":[255,97]}\n{\"ids\":[]}\n");
  REQUIRE(decoded.exit_code == 0);
  CHECK(decoded.output ==
        "{\"text\":\"aé\"}\n{\"text\":\"\xef\xbf\xbd"
        "a\",\"base64\":\"/2E=\"}\n{\"text\":\"\"}\n");
}

TEST_CASE("a bad request is an error that names its line, after the answers before it",
          "[data_tools]") {
  const auto refuses = [](const std::string& command, const std::string& good,
                          const std::string& bad, const std::string& reason) {
    const ProgramResult result =
        run_ovid_data({command, "--tokenizer", "bytes"}, good + "\n" + bad);
    CAPTURE(bad, result.messages);
    CHECK(result.exit_code == 3);
    CHECK_THAT(result.messages, Contains("error: standard input:2: ") && Contains(reason));
    CHECK(std::count(result.output.begin(), result.output.end(), '\n') == 1);
  };
  const std::string text = "{\"text\":\"a\"}";
  refuses("encode", text, "nonsense", "not valid JSON");
  refuses("encode", text, "{\"ids\":[1]}", "needs \"text\" or \"base64\"");
  refuses("encode", text, "{\"text\":\"a\",\"base64\":\"\"}", "one of them");
  refuses("encode", text, "{\"base64\":\"a\"}", "not base64");
  refuses("encode", text, "{\"text\":1}", "not a string");
  refuses("encode", text, "{\"text\":\"\xff\"}", "not valid JSON");
  const std::string ids = "{\"ids\":[97]}";
  refuses("decode", ids, text, "needs \"ids\"");
  for (const char* id : {"-1", "257", "4294967296", "1.5", "\"a\"", "99999999999999999999"}) {
    refuses("decode", ids, fmt::format("{{\"ids\":[{}]}}", id), "");
  }
}

TEST_CASE("train-tokenizer writes a vocabulary that encode reads", "[data_tools]") {
  const Workplace work;
  work.write("a.txt", "low lower lowest low low");
  const auto train = [&](const std::string& size) {
    return run_ovid_data({"train-tokenizer", "--input", work.corpus.string(), "--vocabulary-size",
                          size, "--output", work.output.string()});
  };
  CHECK(train("256").exit_code == 2);
  CHECK(train("65537").exit_code == 2);
  CHECK(entries_of(work.folder.path()) == 1);
  REQUIRE(train("260").exit_code == 0);
  for (const char* name : {"vocab.json", "merges.txt", "tokenizer.json"}) {
    CHECK(std::filesystem::exists(work.output / name));
  }
  CHECK(run_ovid_data({"encode", "--tokenizer", work.output.string()}, "{\"text\":\" low\"}")
            .output == "{\"ids\":[258]}\n");
  CHECK(train("260").exit_code == 2);
}

TEST_CASE("inspect shows header, counts and documents", "[data_tools]") {
  const Workplace work;
  work.write("a.txt", "first\x1b[2J");
  work.write("b.txt", "second");
  REQUIRE(work.run({"--input", work.corpus.string(), "--validation-fraction", "0"}).exit_code == 0);
  const std::string shard = (work.output / "train_000000.bin").string();
  const ProgramResult text = run_ovid_data({"inspect", shard});
  REQUIRE(text.exit_code == 0);
  CHECK_THAT(text.output, Contains("tokens:          17") && Contains("second"));
  CHECK(text.output.find('\x1b') == std::string::npos);  // a text must not steer the terminal
  const json object = json::parse(run_ovid_data({"inspect", shard, "--json"}).output);
  CHECK(object["tokens"] == 17);
  CHECK(object["end_of_texts"] == 2);
  CHECK(object["largest_token"] == 256);
  REQUIRE(object["first_documents"].size() == 2);
  CHECK(object["first_documents"][1]["text"] == "second");

  std::filesystem::resize_file(shard, 1030);
  const ProgramResult cut = run_ovid_data({"inspect", shard});
  CHECK(cut.exit_code == 3);
  CHECK_THAT(cut.messages, Contains("promises 17 tokens"));
  CHECK(run_ovid_data({"inspect", "/absent.bin"}).exit_code == 3);
}

TEST_CASE("a command that is interrupted before it has done anything leaves nothing behind",
          "[data_tools]") {
  const Workplace work;
  const ProgramResult result = interrupt_ovid_data(
      {"text", "--input", "-", "--output", work.output.string(), "--tokenizer", "bytes"},
      "some text", SIGINT);
  CHECK(result.exit_code == 130);
  CHECK(entries_of(work.folder.path()) == 1);
}

TEST_CASE("a full disk is a resource error, and nothing is left on it", "[data_tools]") {
  if (::getuid() != 0) {
    fmt::print(stderr, "SKIPPED: only root can mount the small disk that this test fills\n");
    return;
  }
  const Workplace work;
  work.write("a.txt", std::string(2 << 20, 'x'));
  make_directories(work.folder / "disk");
  const std::string script = fmt::format(
      "mount -t tmpfs -o size=1m none {0} || exit 77; "
      "{1} text --input {2} --output {0}/out --tokenizer bytes; code=$?; ls -A {0}; exit $code",
      (work.folder / "disk").string(), (binary_directory() / "ovid-data").string(),
      work.corpus.string());
  const ProgramResult result = run_program({"unshare", "-m", "sh", "-c", script});
  if (result.exit_code == 77 || result.messages.find("unshare: ") != std::string::npos) {
    fmt::print(stderr, "SKIPPED: this system lets nobody mount a small disk: {}\n",
               result.messages);
    return;
  }
  CHECK(result.exit_code == 6);
  CHECK_THAT(result.messages, Contains("No space left on device"));
  CHECK(result.output.empty());
}

}  // namespace ovid::test
