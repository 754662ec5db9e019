#include "tests/catch.h"
#include "tests/data_tools/openwebtext/web_workplace.h"

// What `ovid-data openwebtext` keeps, drops and tells.
namespace ovid::test {
namespace {

using Catch::Matchers::Contains;

// Two subsets of twelve texts each, with one of everything that a stage drops.
std::vector<std::vector<std::string>> planted_subsets() {
  std::vector<std::vector<std::string>> subsets(2);
  for (unsigned i = 0; i < 24; ++i) subsets[i / 12].push_back(english(i));
  subsets[1].push_back(english(3));                           // equal
  subsets[1].push_back("  " + english(4) + "\n\n\n");         // equal but for spaces
  subsets[1].push_back(with_changed_words(english(5), 110));  // nearly equal
  subsets[1].push_back("Too few words.");
  subsets[1].push_back("");
  std::string german;
  for (int i = 0; i < 10; ++i) {
    german +=
        "Der alte Mann ging am Morgen durch die kleine Strasse und sprach mit niemandem, weil "
        "er nicht wusste, was er sagen sollte.\n";
  }
  subsets[1].push_back(german);
  return subsets;
}

}  // namespace

TEST_CASE("the nesting of the release is read, and each stage drops and tells what it must",
          "[data_tools]") {
  const WebPlace work;
  work.pack_release(planted_subsets(), "owt.tar.xz");
  const ProgramResult result =
      work.run({"--input", work.path("owt.tar.xz"), "--validation-fraction", "0", "--json"});
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK(nlohmann::json::parse(result.output) == work.passport());
  CHECK(work.stage("read").at("documents_in") == 30);
  CHECK(work.stage("normalise").at("dropped") == nlohmann::json{{"empty", 1}});
  CHECK(work.stage("language").at("dropped") == nlohmann::json{{"not_english", 1}});
  CHECK(work.stage("quality").at("dropped") == nlohmann::json{{"too_few_words", 1}});
  CHECK(work.stage("exact_duplicates").at("dropped") == nlohmann::json{{"same_words", 2}});
  CHECK(work.stage("near_duplicates").at("dropped") == nlohmann::json{{"similar_words", 1}});
  const nlohmann::json near = work.stage("near_duplicates").at("samples").at(0);
  CHECK_THAT(near.at("kept").get<std::string>(), Contains("0000005-text.txt"));
  CHECK(near.at("figure") >= 0.8);

  // What stays is in the shards, in its order and normalised.
  std::vector<std::string> kept;
  for (unsigned i = 0; i < 24; ++i) {
    std::string text = english(i);
    text.pop_back();  // the last line end
    kept.push_back(text);
  }
  CHECK((tokens_in(work.output / "train_000000.bin") == documents(kept)));
  CHECK(work.description().at("documents") == 24);

  // Each stage takes in what the one before let out.
  const nlohmann::json stages = work.passport().at("stages");
  for (std::size_t i = 1; i < stages.size(); ++i) {
    CHECK(stages[i].at("documents_in") == stages[i - 1].at("documents_out"));
    CHECK(stages[i].at("bytes_in") == stages[i - 1].at("bytes_out"));
  }
  CHECK(entries_of(work.folder.path()) == 2);
  CHECK(entries_of(work.output) == 5);
}

TEST_CASE("the result is the same for every number of threads and way of packing", "[data_tools]") {
  const WebPlace work;
  const std::vector<std::vector<std::string>> subsets = planted_subsets();
  work.pack_release(subsets, "owt.tar.xz");
  std::map<std::string, std::string> first;
  for (const char* threads : {"1", "2", "7"}) {
    const WebPlace other;
    REQUIRE(run_ovid_data(other.command({"--input", work.path("owt.tar.xz"), "--threads", threads,
                                         "--validation-fraction", "0.1"}))
                .exit_code == 0);
    if (first.empty()) first = contents_of(other.output);
    CHECK((contents_of(other.output) == first));
  }
  // The same texts as JSON lines, with an address that tells nothing.
  std::string lines;
  for (const auto& subset : subsets) {
    for (const std::string& text : subset) {
      lines +=
          nlohmann::json{{"text", text}, {"meta", {{"url", "http://a.example/b"}}}}.dump() + "\n";
    }
  }
  work.write("mirror.jsonl", lines);
  REQUIRE(work.shell("zstd -q mirror.jsonl && gzip -k mirror.jsonl && xz mirror.jsonl") == 0);
  for (const char* name : {"mirror.jsonl.zst", "mirror.jsonl.gz", "mirror.jsonl.xz"}) {
    const WebPlace other;
    REQUIRE(
        run_ovid_data(other.command({"--input", work.path(name), "--validation-fraction", "0.1"}))
            .exit_code == 0);
    CHECK(read_file(other.output / "train_000000.bin") == first.at("train_000000.bin"));
  }
}

TEST_CASE("overlap with evaluation sets is told, and removed where asked", "[data_tools]") {
  const WebPlace work;
  for (unsigned i = 0; i < 8; ++i) work.write(fmt::format("{}.txt", i), english(i));
  // Half of text 2 is a test question.
  const std::string leaked = english(2).substr(0, english(2).size() / 2);
  const Path set = work.folder / "questions.jsonl";
  replace_file(set, nlohmann::json{{"question", leaked}, {"answer", english(900, 40)}}.dump());
  std::vector<std::string> options{"--input",         work.corpus.string(),    "--evaluation",
                                   set.string(),      "--validation-fraction", "0",
                                   "--keep-wikipedia"};
  REQUIRE(work.run(options).exit_code == 0);
  const nlohmann::json told = work.passport().at("evaluation_overlap").at("sets").at(0);
  CHECK(told.at("found") > 0);
  CHECK(told.at("found") < told.at("ngrams"));
  CHECK(work.stage("overlap").at("changes").at("documents_with_overlap") == 1);
  CHECK(work.stage("overlap").at("dropped").empty());

  options.insert(options.end(), {"--remove-overlap", "0.3", "--overwrite"});
  REQUIRE(work.run(options).exit_code == 0);
  CHECK(work.stage("overlap").at("dropped") == nlohmann::json{{"evaluation_ngrams", 1}});
  CHECK_THAT(work.stage("overlap").at("samples").at(0).at("document").get<std::string>(),
             Contains("2.txt"));
}

TEST_CASE("Wikipedia's pages go by their address", "[data_tools]") {
  const WebPlace work;
  std::string lines;
  for (unsigned i = 0; i < 4; ++i) {
    lines += nlohmann::json{{"content", english(i)},
                            {"warc_headers",
                             {{"WARC-Target-URI", i == 1 ? "https://en.wikipedia.org/wiki/Ovid"
                                                         : "https://example.org/page"}}}}
                 .dump() +
             "\n";
  }
  work.write("warc.jsonl", lines);
  REQUIRE(work.run({"--input", work.corpus.string(), "--validation-fraction", "0"}).exit_code == 0);
  CHECK(work.stage("wikipedia").at("dropped") == nlohmann::json{{"wikipedia", 1}});
  CHECK_THAT(work.stage("wikipedia").at("samples").at(0).at("document").get<std::string>(),
             Contains("warc.jsonl:2"));
}

TEST_CASE("the passport's page shows hostile text as text and needs nothing else", "[data_tools]") {
  const WebPlace work;
  work.write("a.txt", english(1));
  work.write("b.txt", "<script>alert(1)</script> & \"quoted\"");
  REQUIRE(work.run({"--input", work.corpus.string(), "--validation-fraction", "0"}).exit_code == 0);
  const std::string page = read_file(work.output / "passport.html");
  CHECK_THAT(page, Contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quoted&quot;"));
  CHECK_THAT(page, !Contains("<script"));
  CHECK_THAT(page, !Contains("http://") && !Contains("https://") && !Contains("src="));
}

TEST_CASE("openwebtext-mini is read whole", "[data_tools]") {
  const auto corpus = shared_data("text/openwebtext-mini.tar.xz");
  if (!corpus) return;
  const WebPlace work;
  const ProgramResult result = work.run({"--input", corpus->string()});
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK(work.stage("read").at("documents_out") == 1000);
  // The film reviews have one text twice.
  CHECK(work.stage("exact_duplicates").at("dropped") == nlohmann::json{{"same_words", 1}});
  CHECK(work.stage("overlap").at("documents_out") == 999);
}

}  // namespace ovid::test
