#include <fmt/format.h>

#include <random>

#include "tests/catch.h"
#include "tests/data_tools/program.h"
#include "tests/data_tools/workplace.h"

// What `ovid-data text` reads: archives, compressed files, JSON lines, on any number of threads.
namespace ovid::test {
namespace {

using Catch::Matchers::Contains;

std::vector<std::string> with(const Workplace& work, std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--input", work.corpus.string()});
  return more;
}

const std::vector<std::string> kNoSplit{"--validation-fraction", "0"};

// The text command over the corpus, in a process that gets no more addresses than that.
std::vector<std::string> limited(const Workplace& work, int kib) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  std::string command = "'";  // a sanitizer reserves terabytes of addresses
  static_cast<void>(kib);
#else
  std::string command = fmt::format("ulimit -v {}; '", kib);
#endif
  command += (binary_directory() / "ovid-data").string() + "'";
  for (const std::string& argument : work.command(with(work, {"--threads", "2"}))) {
    command += " '" + argument + "'";
  }
  return {"sh", "-c", command};
}

}  // namespace

TEST_CASE("the output is the same on every number of threads", "[data_tools]") {
  const Workplace work;
  std::mt19937 random(31);
  for (int i = 0; i < 40; ++i) {
    std::string text;
    const std::size_t bytes = random() % (i % 10 == 0 ? 3000000 : 20000);
    while (text.size() < bytes) text += fmt::format("{} unicorns ", random() % 100000);
    if (i % 7 == 3) text += "\xff";
    if (i % 4 == 1) {
      text = fmt::format("{{\"text\":\"{}\"}}\n{{\"text\":\"\"}}\n", text.substr(0, 5000));
      work.write(fmt::format("{}.jsonl", i), text + text);
    } else {
      work.write(fmt::format("{}.txt", i), text);
    }
  }
  REQUIRE(work.shell("gzip 1*.txt && xz 2*.txt && zstd -q --rm 30.txt && bzip2 5*.jsonl && "
                     "mkdir in && mv 1*.gz 5* in && tar cJf in.tar.xz in && rm -r in && "
                     "zip -q z.zip 6.txt && rm 6.txt") == 0);
  std::map<std::string, std::string> expected;
  for (const char* threads : {"1", "2", "5", "0"}) {
    const ProgramResult result =
        work.run(with(work, {"--threads", threads, "--overwrite", "--validation-fraction", "0.1"}));
    INFO(result.messages);
    REQUIRE(result.exit_code == 0);
    if (expected.empty()) expected = contents_of(work.output);
    CHECK((contents_of(work.output) == expected));
  }
  const nlohmann::json description = work.description();
  CHECK(description["empty_documents"] == 20);
  CHECK(description["invalid_utf8_replaced"] > 0);
  CHECK(work.run(with(work, {"--threads", "-1"})).exit_code == 2);
  CHECK(work.run(with(work, {"--threads", "1000000"})).exit_code == 2);
}

TEST_CASE("of failures in files that are read at the same time the first file's is reported",
          "[data_tools]") {
  const Workplace work;
  work.write("0.txt", std::string(100000, 'a'));
  for (int i = 1; i < 8; ++i) work.write(fmt::format("{}.gz", i), "no gzip");
  for (const char* threads : {"1", "4"}) {
    const ProgramResult result = work.run(with(work, {"--threads", threads}));
    CHECK(result.exit_code == 3);
    CHECK_THAT(result.messages, Contains("1.gz is neither"));
    CHECK(entries_of(work.folder.path()) == 1);
  }
}

TEST_CASE("archives of every kind and nested ones give a document for each text", "[data_tools]") {
  const Workplace work;
  REQUIRE(
      work.shell("echo one > 1.txt && echo two > 2.txt && echo '{\"text\":\"three\"}' > 3.jsonl "
                 "&& tar cf a.tar 1.txt 2.txt && xz a.tar && tar cf b.tar a.tar.xz 3.jsonl && "
                 "zstd -q --rm b.tar && zip -q c.zip b.tar.zst && bzip2 1.txt && gzip 2.txt && "
                 "mv c.zip 0.zip && rm a.tar.xz 3.jsonl b.tar.zst") == 0);
  REQUIRE(work.run(with(work, kNoSplit)).exit_code == 0);
  CHECK(tokens_in(work.output / "train_000000.bin") ==
        documents({"one\n", "two\n", "three", "one\n", "two\n"}));
}

TEST_CASE("a cut archive is an error that names archive and member", "[data_tools]") {
  const auto refuses = [](const std::string& script, const std::string& reason) {
    const Workplace work;
    REQUIRE(work.shell("seq 200000 > long.txt; echo short > short.txt; " + script) == 0);
    const ProgramResult result = work.run(with(work));
    CAPTURE(script, result.messages);
    CHECK(result.exit_code == 3);
    CHECK_THAT(result.messages, Contains("cannot unpack") && Contains(reason));
    CHECK(entries_of(work.folder.path()) == 1);
  };
  refuses("tar cf a.tar short.txt long.txt; rm *.txt; truncate -s 9000 a.tar", "a.tar (long.txt)");
  refuses("tar cJf a.tar.xz short.txt long.txt; rm *.txt; truncate -s 5000 a.tar.xz",
          "a.tar.xz (long.txt)");
  refuses("zip -q a.zip short.txt long.txt; rm *.txt; truncate -s 9000 a.zip", "a.zip (long.txt)");
  refuses(
      "tar cf in.tar long.txt; xz in.tar; truncate -s 5000 in.tar.xz; tar cf out.tar in.tar.xz; "
      "rm *.txt in.tar.xz",
      "out.tar: in.tar.xz (long.txt)");
  refuses("gzip long.txt; truncate -s 5000 long.txt.gz", "long.txt.gz");
  refuses("zstd -q --rm long.txt; truncate -s 5000 long.txt.zst", "long.txt.zst");
  refuses("rm *.txt; : > a.tar", "a.tar: it has no bytes");
  refuses("bzip2 long.txt; truncate -s 5000 long.txt.bz2", "long.txt.bz2");
}

TEST_CASE("a zip archive with a wrong checksum is an error", "[data_tools]") {
  for (const char* name : {"a.txt", "a.jsonl"}) {
    const Workplace work;
    work.write(name, "{\"text\": \"abcdefgh\"}\n");
    REQUIRE(work.shell(fmt::format("zip -q -0 a.zip {0} && rm {0}", name)) == 0);
    std::string bytes = read_file(work.corpus / "a.zip");
    bytes[bytes.find("abcdefgh")] = 'X';
    work.write("a.zip", bytes);
    const ProgramResult result = work.run(with(work));
    CAPTURE(result.messages);
    CHECK(result.exit_code == 3);
    CHECK_THAT(result.messages,
               Contains("cannot unpack") && Contains(fmt::format("a.zip ({})", name)));
    CHECK(entries_of(work.folder.path()) == 1);
  }
}

TEST_CASE("a file that asks for a large window is refused before it gets one", "[data_tools]") {
  const auto refuses = [](const std::string& name, const std::string& bytes,
                          const std::string& reason) {
    const Workplace work;
    work.write(name, bytes);
    const ProgramResult result = run_program(limited(work, 400'000));
    CAPTURE(name, result.messages);
    CHECK(result.exit_code == 3);
    CHECK_THAT(result.messages, Contains(name) && Contains(reason) && Contains("unpack it"));
    CHECK(entries_of(work.folder.path()) == 1);
  };
  const Path seeds = source_directory() / "tests/fuzz/seeds/archive";
  refuses("a.xz", read_file(seeds / "xz_huge_window"), "MiB is the limit");
  // One in a later stream of the file, and one in an archive.
  refuses("b.txt.xz", read_file(seeds / "xz") + read_file(seeds / "xz_huge_window"),
          "MiB is the limit");
  refuses("c.zip", read_file(seeds / "zip_lzma"), "4 GiB");
  // A frame with a window of 2 GiB and one block of five bytes (RFC 8878).
  refuses("d.zst", std::string("\x28\xB5\x2F\xFD\x00\xA8", 6) + std::string("\x29\x00\x00hello", 8),
          "128 MiB");
}

TEST_CASE("the window of xz -9 is taken", "[data_tools]") {
  const Workplace work;
  REQUIRE(work.shell("printf one > a.txt && xz -9 a.txt && printf two > b.txt && xz -0 b.txt && "
                     "cat b.txt.xz >> a.txt.xz && rm b.txt.xz && : > c.txt && xz c.txt") == 0);
  REQUIRE(work.run(with(work, {"--validation-fraction", "0"})).exit_code == 0);
  CHECK(tokens_in(work.output / "train_000000.bin") == documents({"onetwo"}));
}

TEST_CASE("a bomb is refused in little memory", "[data_tools]") {
  const Workplace work;
  REQUIRE(work.shell("head -c 150000000 /dev/zero | tr '\\0' 'a' | zstd -q > in.zst && "
                     "tar cf a.tar in.zst && rm in.zst") == 0);
  const ProgramResult result = run_program(limited(work, 400'000));
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.messages, Contains("in.zst expands more than 200 times"));
  CHECK(entries_of(work.folder.path()) == 1);
}

TEST_CASE("weird names of files and members are read, and do not steer the terminal",
          "[data_tools]") {
  const Workplace work;
  const std::string name = "a b\n\x1b[2J'\"\xff";
  work.write(name + ".txt", "plain");
  work.write("x/" + name + ".txt", "packed");
  work.write("x/" + std::string(200, 'n') + ".txt", "long");
  work.write("x/-rf.txt", "dash");
  work.write("x/.hidden.txt", "no");
  work.write("empty.txt", "");
  work.write("empty.jsonl", "");
  REQUIRE(work.shell("tar cf x.tar --sort=name x && rm -r x && mkdir nothing && : > e.txt && "
                     "gzip e.txt && tar cf y.tar nothing") == 0);
  const ProgramResult result = work.run(with(work, kNoSplit));
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK(tokens_in(work.output / "train_000000.bin") ==
        documents({"plain", "dash", "packed", "long"}));
  CHECK(work.description()["empty_documents"] == 2);  // empty.txt, e.txt.gz

  work.write("z.jsonl", "{}");
  REQUIRE(work.shell("mv z.jsonl \"$(printf 'z\\033[2J.jsonl')\" && tar cf z.tar z*.jsonl && rm "
                     "z*.jsonl") == 0);
  const ProgramResult refused = work.run(with(work, {"--overwrite"}));
  CHECK(refused.exit_code == 3);
  CHECK_THAT(refused.messages, Contains("z?[2J.jsonl:1: no field"));
  CHECK(refused.messages.find('\x1b') == std::string::npos);
}

TEST_CASE("bad lines of JSON are passed over where that is asked for, up to a number",
          "[data_tools]") {
  const Workplace work;
  work.write("a.jsonl", "{\"text\":\"one\"}\n{\"text\":\n[1]\n{\"text\":3}\n{\"text\":\"two\"}\n");
  work.write("b.jsonl", "{\"other\":\"x\"}\n{\"text\":\"three\"}");
  const ProgramResult by_default = work.run(with(work, kNoSplit));
  CHECK(by_default.exit_code == 3);
  CHECK_THAT(by_default.messages, Contains("a.jsonl:2: not valid JSON"));
  auto skipping = with(work, {"--validation-fraction", "0", "--bad-lines", "skip"});
  const ProgramResult skipped = work.run(skipping);
  REQUIRE(skipped.exit_code == 0);
  CHECK(tokens_in(work.output / "train_000000.bin") == documents({"one", "two", "three"}));
  CHECK(work.description()["bad_lines"] == 4);
  CHECK_THAT(skipped.messages, Contains("4 lines were no JSON with a text"));
  skipping.insert(skipping.end(), {"--overwrite", "--most-bad-lines", "3"});
  const ProgramResult too_many = work.run(skipping);
  CHECK(too_many.exit_code == 3);
  CHECK_THAT(too_many.messages, Contains("4 bad lines") && Contains("a.jsonl:2: not valid JSON"));
}

}  // namespace ovid::test
