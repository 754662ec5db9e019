#include <csignal>

#include "tests/catch.h"
#include "tests/data_tools/openwebtext/web_workplace.h"

// Work of `ovid-data openwebtext` that was cut off, and is gone on with.
namespace ovid::test {
namespace {

using Catch::Matchers::Contains;

// Texts with equal and nearly equal ones far apart, as JSON lines.
std::string lines_with_duplicates() {
  std::string lines;
  for (unsigned i = 0; i < 600; ++i) {
    std::string text = english(i % 5 == 4 ? i - 4 : i, 2000);
    if (i % 5 == 3) text = with_changed_words(english(i - 3, 2000), 190);
    if (i % 50 == 49) text = "short";
    lines += nlohmann::json{{"text", text}}.dump() + "\n";
    if (i % 70 == 69) lines += "broken\n";
  }
  return lines;
}

}  // namespace

TEST_CASE("killed at any point, the work goes on to the bytes of an unbroken run", "[data_tools]") {
  const WebPlace work;
  std::vector<std::vector<std::string>> subsets(3);
  for (unsigned i = 0; i < 60; ++i) subsets[i / 20].push_back(english(1000 + i % 50, 2000));
  work.pack_release(subsets, "owt.tar.xz");
  const Path set = work.folder / "test.txt";
  replace_file(set, english(7, 2000) + english(1003, 2000));
  // An archive, then lines that come from a pipe.
  const std::vector<std::string> options{"--input",    work.path("owt.tar.xz"),
                                         "-",          "--format",
                                         "auto",       "--journal-bytes",
                                         "200000",     "--evaluation",
                                         set.string(), "--validation-fraction",
                                         "0.05",       "--shard-tokens",
                                         "100000",     "--threads",
                                         "2"};
  std::vector<std::string> json_options = options;
  json_options[4] = "jsonl";
  const std::string input = lines_with_duplicates();
  // Of the pipe every line is a record; the archive's texts are read as lines too, and are broken
  // records: both kinds of items stand in the journal.
  json_options.insert(json_options.end(), {"--max-bad-documents", "100000"});
  const WebPlace whole;
  const ProgramResult unbroken = run_ovid_data(whole.command(json_options), input);
  INFO(unbroken.messages);
  REQUIRE(unbroken.exit_code == 0);
  CHECK(whole.stage("near_duplicates").at("documents_out") <
        whole.stage("near_duplicates").at("documents_in"));

  const WebPlace cut;
  for (const double share : {0.2, 0.5, 0.8}) {
    const auto sent = static_cast<std::size_t>(static_cast<double>(input.size()) * share);
    const ProgramResult killed =
        interrupt_ovid_data(cut.command(json_options), input.substr(0, sent), SIGKILL);
    REQUIRE(killed.exit_code == 128 + SIGKILL);
    CHECK_FALSE(std::filesystem::exists(cut.output));
  }
  const ProgramResult result = cut.run(json_options, input);
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.messages, Contains("going on behind"));
  CHECK((contents_of(cut.output) == contents_of(whole.output)));
}

TEST_CASE("a signal keeps the work within an archive, and other settings are refused then",
          "[data_tools]") {
  const WebPlace work;
  std::vector<std::vector<std::string>> subsets(4);
  for (unsigned i = 0; i < 80; ++i) subsets[i / 20].push_back(english(i % 70, 8000));
  work.pack_release(subsets, "owt.tar.xz");
  const std::vector<std::string> options{
      "--input", work.path("owt.tar.xz"), "-", "--journal-bytes", "150000", "--threads", "1"};
  const WebPlace whole;
  REQUIRE(run_ovid_data(whole.command(options), english(999)).exit_code == 0);

  const WebPlace stopped;
  const ProgramResult first =
      interrupt_ovid_data(stopped.command(options), "The first words.", SIGTERM);
  CHECK(first.exit_code == 75);
  CHECK_THAT(first.messages, Contains("the same command goes on"));
  std::vector<std::string> other = options;
  other.insert(other.end(), {"--quality", "gopher"});
  const ProgramResult refused = stopped.run(other, english(999));
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.messages, Contains("--quality was \"length\", now \"gopher\""));
  const ProgramResult result = stopped.run(options, english(999));
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK((contents_of(stopped.output) == contents_of(whole.output)));
}

}  // namespace ovid::test
