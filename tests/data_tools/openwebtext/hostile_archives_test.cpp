#include "tests/catch.h"
#include "tests/data_tools/openwebtext/web_workplace.h"

// Archives and records that are broken or mean harm.
namespace ovid::test {
namespace {

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("members that lead outside, links and devices are left out, told and harmless",
          "[data_tools]") {
  const WebPlace work;
  for (unsigned i = 0; i < 4; ++i) work.write(fmt::format("texts/{}.txt", i), english(i));
  REQUIRE(work.shell("cd texts && tar -cf ../evil.tar 0.txt"
                     " && tar -P --transform 's,^,../../up-,' -rf ../evil.tar 1.txt"
                     " && tar -P --transform 's,^,/tmp/ovid-absolute-,' -rf ../evil.tar 2.txt"
                     " && ln -s /etc/passwd soft.txt && ln 0.txt hard.txt && mkfifo pipe.txt"
                     " && tar -rf ../evil.tar soft.txt 3.txt pipe.txt"
                     " && tar -C /dev -rf ../evil.tar null"
                     " && tar -cf ../links.tar 0.txt hard.txt") == 0);
  REQUIRE(work.shell("rm -r texts && xz evil.tar links.tar && tar -cf evil-outer.tar evil.tar.xz "
                     "links.tar.xz && rm *.xz") == 0);
  const ProgramResult result =
      work.run({"--input", work.path("evil-outer.tar"), "--validation-fraction", "0"});
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK(work.stage("read").at("dropped") == nlohmann::json{{"not_a_file", 4}, {"unsafe_name", 2}});
  CHECK(work.stage("read").at("documents_out") == 3);  // 0, 3 and 0 again
  CHECK_THAT(result.messages, Contains("evil-outer.tar: evil.tar.xz: ../../up-1.txt: unsafe_name"));
  CHECK_THAT(result.messages, Contains("soft.txt: not_a_file: a symbolic link"));
  CHECK_THAT(result.messages, Contains("null: not_a_file: a device"));
  CHECK_FALSE(std::filesystem::exists("/tmp/ovid-absolute-2.txt"));
  CHECK(entries_of(work.folder.path()) == 2);

  // More than the limit end the command, and nothing but the kept work is left.
  const WebPlace strict;
  const ProgramResult refused =
      strict.run({"--input", work.path("evil-outer.tar"), "--max-bad-documents", "5"});
  CHECK(refused.exit_code == 3);
  CHECK_THAT(refused.messages, Contains("6 bad documents, and --max-bad-documents is 5"));
  CHECK_FALSE(std::filesystem::exists(strict.output));
}

TEST_CASE("a damaged archive inside is named, and the rest is read where allowed", "[data_tools]") {
  const WebPlace work;
  std::vector<std::vector<std::string>> subsets(3);
  for (unsigned i = 0; i < 30; ++i) subsets[i / 10].push_back(english(i));
  work.pack_release(subsets, "owt.tar");
  // The second of the three loses its end.
  REQUIRE(work.shell("tar -xJf owt.tar && cd openwebtext && truncate -s -600 "
                     "urlsf_subset01_data.xz && cd .. && tar -cf owt.tar openwebtext") == 0);
  const std::vector<std::string> options{"--input", work.path("owt.tar"), "--validation-fraction",
                                         "0"};
  const ProgramResult refused = work.run(options);
  CHECK(refused.exit_code == 3);
  CHECK_THAT(refused.messages, Contains("openwebtext/urlsf_subset01_data.xz: damaged_archive"));
  CHECK_THAT(refused.messages, Contains("--max-damaged-archives is 0"));
  // The work is kept, and the limit may be raised.
  const ProgramResult result = work.run({"--input", work.path("owt.tar"), "--validation-fraction",
                                         "0", "--max-damaged-archives", "1"});
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.messages, Contains("going on behind"));
  CHECK(work.passport().at("left_out").at("damaged_archives") == 1);
  CHECK(work.stage("read").at("documents_out") >= 20);
  CHECK_THAT(read_file(work.output / "passport.html"), Contains("urlsf_subset01_data.xz"));
}

TEST_CASE("a truncated download is an error that names it", "[data_tools]") {
  const WebPlace work;
  std::vector<std::vector<std::string>> subsets(3);
  for (unsigned i = 0; i < 30; ++i) subsets[i / 10].push_back(english(i));
  work.pack_release(subsets, "owt.tar.xz");
  REQUIRE(work.shell("truncate -s -4000 owt.tar.xz") == 0);
  const ProgramResult result = work.run({"--input", work.path("owt.tar.xz")});
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.messages, Contains("owt.tar.xz: damaged_archive"));
}

TEST_CASE("a bomb inside an archive is stopped", "[data_tools]") {
  const WebPlace work;
  work.write("a.txt", english(1));
  REQUIRE(work.shell("head -c 300000000 /dev/zero > zeros.txt && tar -cf bomb.tar zeros.txt a.txt "
                     "&& xz -0 bomb.tar && rm zeros.txt a.txt && tar -cf outer.tar bomb.tar.xz && "
                     "rm bomb.tar.xz") == 0);
  const ProgramResult result = work.run({"--input", work.path("outer.tar")});
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.messages, Contains("bomb.tar.xz expands more than 200 times"));
}

TEST_CASE("broken records are counted by line, and binary files are no texts", "[data_tools]") {
  const WebPlace work;
  std::string lines = "{\"text\": \"cut\n";
  lines += nlohmann::json{{"text", english(1)}}.dump() + "\n\n";
  lines += "[1, 2]\n{\"title\": \"no text\"}\n{\"text\": 5}\n";
  lines += nlohmann::json{{"text", english(2)}}.dump() + "\n";
  work.write("records.jsonl", lines);
  work.write("array.json", nlohmann::json::array(
                               {{{"text", english(3)}, {"n", 1}}, {{"text", english(4)}, {"n", 2}}})
                               .dump());
  work.write("data.txt", "PAR1 and more");
  work.write("large.txt", english(5, 4000));
  const ProgramResult result = work.run({"--input", work.corpus.string(), "--validation-fraction",
                                         "0", "--max-document-bytes", "10000"});
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK(work.stage("read").at("dropped") ==
        nlohmann::json{{"bad_record", 4}, {"binary", 1}, {"too_large", 1}});
  CHECK(work.stage("read").at("documents_out") == 4);
  CHECK_THAT(result.messages, Contains("records.jsonl:1: bad_record: not valid JSON"));
  CHECK_THAT(result.messages, Contains("records.jsonl:6: bad_record: no text"));
  CHECK_THAT(result.messages, Contains("a Parquet file: turn it into JSON lines first"));
}

}  // namespace ovid::test
