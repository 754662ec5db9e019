#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "tests/catch.h"
#include "tests/data_tools/program.h"
#include "tests/data_tools/workplace.h"
#include "tests/test_files.h"

// Work of `ovid-data text` that was cut off, and is gone on with.
namespace ovid::test {
namespace {

using Catch::Matchers::Contains;

// Words of one to nine letters, so that texts can be cut anywhere.
std::string random_words(std::mt19937& random, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) {
    for (std::size_t i = 0, length = 1 + random() % 9; i < length; ++i) {
      text += static_cast<char>('a' + random() % 26);
    }
    text += random() % 12 == 0 ? '\n' : ' ';
  }
  return text;
}

std::string random_json_lines(std::size_t bytes) {
  std::mt19937 random(4242);
  std::string lines;
  while (lines.size() < bytes) {
    std::string words = random_words(random, random() % 2000);
    for (char& c : words) c = c == '\n' ? ' ' : c;
    lines += fmt::format("{{\"text\":\"{}\"}}\n", words);
    if (random() % 10 == 0) lines += "{\"other\":1}\n";
  }
  return lines;
}

const std::vector<std::string> kJsonLines{
    "--input", "-", "--format", "jsonl", "--skip-missing", "--journal-bytes", "400000"};

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The output of a run that nothing disturbs.
std::map<std::string, std::string> unbroken(const std::vector<std::string>& options,
                                            const std::string& input) {
  const Workplace work;
  const ProgramResult result = work.run(options, input);
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  return contents_of(work.output);
}

}  // namespace

TEST_CASE("a killed run goes on to the bytes of an unbroken one", "[data_tools]") {
  const std::string input = random_json_lines(5 << 20);
  std::mt19937 random(99);
  const std::string words = random_words(random, 5 << 20);
  struct Case {
    std::vector<std::string> options;
    const std::string& input;
  };
  const std::vector<Case> cases{
      {kJsonLines + std::vector<std::string>{"--validation-fraction", "0"}, input},
      {kJsonLines +
           std::vector<std::string>{"--validation-fraction", "0.05", "--shard-tokens", "300000"},
       input},
      // Fewer documents than decide how to split: all of them wait until the end.
      {kJsonLines + std::vector<std::string>{"--validation-fraction", "0.0001"}, input},
      {{"--input", "-", "--journal-bytes", "400000"}, words}};
  // One thread does everything in order: much is on record whatever the machine's load is.
  const std::vector<std::string> one_thread{"--threads", "1"};
  for (const Case& c : cases) {
    CAPTURE(c.options);
    const auto expected = unbroken(c.options, c.input);
    const Workplace work;
    for (const double share : {0.3, 0.6, 0.9}) {
      const auto sent = static_cast<std::size_t>(static_cast<double>(c.input.size()) * share);
      const ProgramResult killed = interrupt_ovid_data(work.command(c.options + one_thread),
                                                       c.input.substr(0, sent), SIGKILL);
      REQUIRE(killed.exit_code == 128 + SIGKILL);
      CHECK_FALSE(std::filesystem::exists(work.output));
    }
    CHECK(std::filesystem::exists(work.folder / ".tmp-output/journal.json"));
    const ProgramResult result = work.run(c.options, c.input);
    INFO(result.messages);
    REQUIRE(result.exit_code == 0);
    CHECK_THAT(result.messages, Contains("going on behind"));
    CHECK((contents_of(work.output) == expected));
    CHECK(entries_of(work.folder.path()) == 2);
  }
}

TEST_CASE("a run that a signal stops keeps its work and says so by its exit code", "[data_tools]") {
  const std::string input = random_json_lines(3 << 20);
  for (const int signal : {SIGTERM, SIGINT}) {
    const Workplace work;
    const ProgramResult stopped =
        interrupt_ovid_data(work.command(kJsonLines), input.substr(0, 2 << 20), signal);
    CHECK(stopped.exit_code == 75);
    CHECK_THAT(stopped.messages, Contains("the same command goes on"));
    REQUIRE(work.run(kJsonLines, input).exit_code == 0);
    CHECK((contents_of(work.output) == unbroken(kJsonLines, input)));
  }
}

TEST_CASE("unfinished work is not gone on with after a change, but begun anew where asked",
          "[data_tools]") {
  std::mt19937 random(5);
  const Workplace work;
  work.write("a.txt", random_words(random, 3 << 20));
  // The run waits for standard input behind the file, and is stopped there.
  const std::vector<std::string> options{"--input", work.corpus.string(), "-", "--journal-bytes",
                                         "400000"};
  REQUIRE(interrupt_ovid_data(work.command(options), "b", SIGTERM).exit_code == 75);
  const auto refuses = [&](const std::vector<std::string>& changed, const std::string& difference) {
    const ProgramResult result = work.run(changed, "b");
    CAPTURE(result.messages);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.messages, Contains(difference) && Contains("--restart"));
    CHECK(std::filesystem::exists(work.folder / ".tmp-output/journal.json"));
  };
  refuses(options + std::vector<std::string>{"--seed", "7"}, "--seed was 1337, now 7");
  refuses(options + std::vector<std::string>{"--validation-fraction", "0"},
          "--validation-fraction was 0.01, now 0.0");
  const std::string text = read_file(work.corpus / "a.txt");
  work.write("a.txt", text + "more");
  refuses(options, fmt::format("a.txt has changed since: {} bytes then, {} now", text.size(),
                               text.size() + 4));
  work.write("0.txt", "new");
  refuses(options, "there were 2 input files, now 3");
  const auto anew = options + std::vector<std::string>{"--restart"};
  const ProgramResult result = work.run(anew, "b");
  REQUIRE(result.exit_code == 0);
  CHECK(result.messages.find("going on behind") == std::string::npos);
  CHECK(work.description()["documents"] == 3);
}

TEST_CASE("after a data error the work goes on with mended data", "[data_tools]") {
  // More before the bad line than waits for two threads, so that some of that file was taken.
  const std::string good = random_json_lines(9 << 20);
  const std::size_t middle = good.find('\n', 8 << 20) + 1;
  const std::string other_files = good.substr(0, good.find('\n', 1 << 20) + 1);
  const std::string bad = good.substr(0, middle) + "{\"text\": \"no end\n" + good.substr(middle);
  const auto options = [](const Workplace& work, const std::vector<std::string>& more) {
    return more + std::vector<std::string>{"--input",
                                           work.corpus.string(),
                                           "--skip-missing",
                                           "--journal-bytes",
                                           "400000",
                                           "--threads",
                                           "2"};
  };
  const auto fill = [&](const Workplace& work, const std::string& second) {
    for (const char* name : {"a.jsonl", "c.jsonl"}) work.write(name, other_files);
    work.write("b.jsonl", second);
  };
  const auto result_of_unbroken = [&](const std::string& second,
                                      const std::vector<std::string>& flags) {
    const Workplace work;
    fill(work, second);
    REQUIRE(work.run(options(work, flags)).exit_code == 0);
    return contents_of(work.output);
  };
  const Workplace work;
  fill(work, bad);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const ProgramResult stopped = work.run(options(work, {}));
    INFO(stopped.messages);
    CHECK(stopped.exit_code == 3);
    CHECK_THAT(stopped.messages, Contains("b.jsonl") && Contains("the same command goes on"));
  }
  const auto goes_on = [&](const std::vector<std::string>& flags) {
    const ProgramResult result = work.run(options(work, flags));
    INFO(result.messages);
    CHECK_THAT(result.messages, Contains("going on behind"));
    REQUIRE(result.exit_code == 0);
  };
  SECTION("the file is mended") {
    work.write("b.jsonl", good);
    goes_on({});
    CHECK((contents_of(work.output) == result_of_unbroken(good, {})));
  }
  SECTION("bad lines are to be skipped") {
    goes_on({"--bad-lines", "skip"});
    CHECK((contents_of(work.output) == result_of_unbroken(bad, {"--bad-lines", "skip"})));
  }
  SECTION("what was taken must not change with it") {
    std::string other = good;
    other[other.find("\"text\":\"") + 9] = 'Q';
    work.write("b.jsonl", other);
    const ProgramResult changed = work.run(options(work, {}));
    CHECK(changed.exit_code == 2);
    CHECK_THAT(changed.messages, Contains("not what it was") && Contains("--restart"));
    work.write("a.jsonl", other);
    const ProgramResult before = work.run(options(work, {}));
    CHECK(before.exit_code == 2);
    CHECK_THAT(before.messages, Contains("a.jsonl has changed since"));
  }
}

TEST_CASE("a pipe must give the same beginning again", "[data_tools]") {
  const std::string input = random_json_lines(3 << 20);
  const Workplace work;
  REQUIRE(
      interrupt_ovid_data(work.command(kJsonLines), input.substr(0, 2 << 20), SIGTERM).exit_code ==
      75);
  std::string other = input;
  other[other.find("\"text\":\"") + 9] = 'Q';
  const ProgramResult changed = work.run(kJsonLines, other);
  CHECK(changed.exit_code == 2);
  CHECK_THAT(changed.messages, Contains("not what it was") && Contains("--restart"));
  const ProgramResult cut = work.run(kJsonLines, input.substr(0, input.find('\n') + 1));
  CHECK(cut.exit_code == 2);
  CHECK_THAT(cut.messages, Contains("it has changed"));
  REQUIRE(work.run(kJsonLines, input).exit_code == 0);
  CHECK((contents_of(work.output) == unbroken(kJsonLines, input)));
}

TEST_CASE("a damaged record is an error with its cure", "[data_tools]") {
  const std::string input = random_json_lines(2 << 20);
  // So small a part that all documents wait.
  const auto options = kJsonLines + std::vector<std::string>{"--validation-fraction", "0.0001"};
  const Workplace interrupted;
  REQUIRE(interrupt_ovid_data(interrupted.command(options), input.substr(0, 1 << 20), SIGTERM)
              .exit_code == 75);
  const auto refuses = [&](const std::string& file, const std::string& content) {
    const Workplace work;
    std::filesystem::copy(interrupted.folder / ".tmp-output", work.folder / ".tmp-output",
                          std::filesystem::copy_options::recursive);
    replace_file(work.folder / ".tmp-output" / file, content);
    const ProgramResult result = work.run(options, input);
    CAPTURE(file, content, result.messages);
    CHECK(result.exit_code == 3);
    CHECK_THAT(result.messages, Contains("--restart"));
  };
  refuses("journal.json", "");
  refuses("journal.json", "[1]");
  refuses("journal.json", "{\"format_version\":1,\"input\":\"a\"}");
  refuses("journal.json", "{\"format_version\":2}");
  refuses("request.json", "{\"format_version\":1}");
  refuses("waiting.tokens", "");
  refuses("waiting.lengths", "");
}

TEST_CASE("work that a full disk cut off goes on where there is room", "[data_tools]") {
  if (::getuid() != 0) {
    fmt::print(stderr, "SKIPPED: only root can mount the small disk that this test fills\n");
    return;
  }
  std::mt19937 random(6);
  const Workplace work;
  for (int i = 0; i < 30; ++i) work.write(fmt::format("{}.txt", i), random_words(random, 200000));
  const std::vector<std::string> options{"--input",
                                         work.corpus.string(),
                                         "--journal-bytes",
                                         "300000",
                                         "--shard-tokens",
                                         "1000000",
                                         "--validation-fraction",
                                         "0.1"};
  const auto expected = unbroken(options, "");
  make_directories(work.folder / "disk");
  std::string command = (binary_directory() / "ovid-data").string();
  for (const std::string& argument : work.command(options)) command += " '" + argument + "'";
  const std::string disk = (work.folder / "disk").string();
  command.replace(command.find(work.output.string()), work.output.string().size(), disk + "/out");
  const std::string script = fmt::format(
      "mount -t tmpfs -o size=8m none {0} || exit 77; {1}; code=$?; [ $code = 6 ] || exit $code; "
      "mount -o remount,size=64m {0} || exit 78; {1} && cp -r {0}/out {2}",
      disk, command, work.output.string());
  const ProgramResult result = run_program({"unshare", "-m", "sh", "-c", script});
  if (result.exit_code == 77 || result.messages.find("unshare: ") != std::string::npos) {
    fmt::print(stderr, "SKIPPED: this system lets nobody mount a small disk: {}\n",
               result.messages);
    return;
  }
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.messages, Contains("No space left on device") && Contains("going on behind"));
  CHECK((contents_of(work.output) == expected));
}

TEST_CASE("two processes do not write one data set at the same time", "[data_tools]") {
  const Workplace work;
  make_directories(work.folder / ".tmp-output");
  const auto lock = FileLock::try_lock(work.folder / ".tmp-output/lock", "a test");
  REQUIRE(lock.has_value());
  const ProgramResult result = work.run({"--input", "-"}, "text");
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.messages, Contains("another ovid-data writes"));
  CHECK(std::filesystem::exists(work.folder / ".tmp-output/lock"));
}

}  // namespace ovid::test
