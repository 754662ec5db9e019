#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <sstream>

#include "src/data/dataset_description.h"
#include "src/tokenizer/tokenizer.h"
#include "tests/catch.h"
#include "tests/data_tools/program.h"
#include "tests/data_tools/workplace.h"

// `ovid-data amazon-reviews` and `ovid-data persona-chat`, from files to shards.
namespace ovid::test {
namespace {

using Catch::Matchers::Contains;
using Strings = std::vector<std::string>;

ProgramResult run(const Workplace& work, const std::string& command, Strings more = {}) {
  Strings arguments{
      command,       "--input", work.corpus.string(), "--output", work.output.string(),
      "--tokenizer", "bytes",   "--overwrite"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  ProgramResult result = run_ovid_data(arguments);
  UNSCOPED_INFO(result.messages);
  return result;
}

const Strings kAllForTraining{"--validation-fraction", "0", "--test-fraction", "0"};

Strings operator+(Strings a, const Strings& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::string spelled(const Path& shard) {
  static const auto tokenizer = tokenizer::Tokenizer::load("bytes");
  const auto tokens = tokens_in(shard);
  return tokenizer.decode(std::vector<tokenizer::TokenId>(tokens.begin(), tokens.end()));
}

std::string json_review(int stars, const std::string& product, const std::string& text) {
  return fmt::format(R"({{"overall": {}.0, "asin": "{}", "summary": "Head", "reviewText": "{}"}})",
                     stars, product, text);
}

std::vector<nlohmann::json> json_lines(const Path& path) {
  std::vector<nlohmann::json> rows;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

}  // namespace

TEST_CASE("each layout of the review releases gives the same documents", "[data_tools]") {
  const std::string expected =
      "<|endoftext|><|stars:5|> <|category:Fashion|>\nHead\nIt's \"good\""
      "<|endoftext|><|stars:1|> <|category:Fashion|>\nHead\nBad";
  const std::string one =
      R"({"overall": 5.0, "asin": "A", "summary": "Head", "reviewText": "It's \"good\""})";
  const std::string two = json_review(1, "B", "Bad");
  const std::string python =
      "{'overall': 5.0, 'asin': 'A', 'summary': u'Head', 'reviewText': 'It\\'s \"good\"'}\n"
      "{'overall': 1.0, 'asin': 'B', 'summary': 'Head', 'reviewText': \"Bad\", 'vote': None}\n";
  const std::string table =
      "marketplace\tproduct_id\tstar_rating\treview_headline\treview_body\r\n"
      "US\tA\t5\tHead\tIt's &#34;good\"\r\nUS\tB\t1\tHead\tBad\r\n";
  const std::map<std::string, std::string> layouts{{"lines.json", one + "\n" + two + "\n"},
                                                   {"mark.json", "\xEF\xBB\xBF" + one + "\n" + two},
                                                   {"array.json", "[" + one + ",\n " + two + "]\n"},
                                                   {"python.json", python},
                                                   {"table.tsv", table}};
  for (const auto& [name, text] : layouts) {
    CAPTURE(name);
    const Workplace work;
    work.write(name, text);
    REQUIRE(work.shell("gzip " + name) == 0);
    const Strings options = kAllForTraining + Strings{"--category", "Fashion"};
    REQUIRE(run(work, "amazon-reviews", options).exit_code == 0);
    CHECK(spelled(work.output / "train_000000.bin") == expected);
    CHECK(work.description()["stages"]["read"]["stars"]["5"] == 1);
  }
}

TEST_CASE("no text and no product is in two parts of the reviews", "[data_tools]") {
  const Workplace work;
  std::string lines;
  for (int i = 0; i < 600; ++i) {
    // Every text is written by three products, in other cases.
    lines += json_review(1 + i % 5, fmt::format("P{}", i % 97),
                         fmt::format("{} {}", i % 2 == 0 ? "Text" : "TEXT!", i % 200)) +
             "\n";
  }
  lines += json_review(5, "P1", "") + "\n";
  work.write("reviews.json", lines);
  REQUIRE(run(work, "amazon-reviews",
              {"--category", "c", "--validation-fraction", "0.2", "--test-fraction", "0.2"})
              .exit_code == 0);
  const nlohmann::json d = work.description();
  CHECK(d["dropped"]["empty"] == 1);
  CHECK(d["dropped"]["repeated_text"] == 400);
  CHECK(d["stages"]["distinct"]["reviews"] == 200);
  std::map<std::string, std::set<std::string>> parts_of_text;
  std::uint64_t total = 0;
  for (const std::string part : {"train", "validation", "test"}) {
    total += d[part]["reviews"].get<std::uint64_t>();
    std::string text = spelled(work.output / (part + "_000000.bin"));
    for (std::size_t at; (at = text.rfind("\nHead\n")) != std::string::npos;) {
      std::string body = text.substr(at + 6);
      body = body.substr(body.find(' '), body.find('<') - body.find(' '));
      CHECK(parts_of_text[body].insert(part).second);
      text.resize(at);
    }
  }
  CHECK(total == 200);
  CHECK(parts_of_text.size() == 200);
  for (const auto& [text, parts] : parts_of_text) CHECK(parts.size() == 1);
  CHECK(json_lines(work.output / "test_reviews.jsonl").size() == d["test"]["reviews"]);
}

TEST_CASE("control words as added tokens are told to training and to other programs",
          "[data_tools]") {
  const Workplace work;
  work.write("a.json", json_review(4, "A", "Text") + "\n");
  work.write("b.json", json_review(2, "B", "Other") + "\n");
  REQUIRE(run(work, "amazon-reviews",
              kAllForTraining +
                  Strings{"--control", "tokens", "--category", "b.json=Books", "--category", "Art"})
              .exit_code == 0);
  const Path shard = work.output / "train_000000.bin";
  const auto tokens = tokens_in(shard);
  CHECK(std::vector<int>(tokens.begin(), tokens.begin() + 4) ==
        std::vector<int>{256, 260, 262, 10});
  CHECK(data::describe_dataset_of(shard)->vocabulary_size == 264);
  const auto file = nlohmann::json::parse(read_file(work.output / "tokenizer" / "tokenizer.json"));
  CHECK(file["added_tokens"].size() == 8);
  CHECK(file["added_tokens"][7]["content"] == "<|category:Books|>");
  CHECK(file["added_tokens"][7]["id"] == 263);
  const ProgramResult inspected = run_ovid_data({"inspect", shard.string()});
  CHECK(inspected.exit_code == 0);
  CHECK_THAT(inspected.output, Contains("<|stars:4|><|category:Art|>"));
}

TEST_CASE("balanced training reviews have equal counts of stars", "[data_tools]") {
  const Workplace work;
  std::string lines;
  for (int i = 0; i < 100; ++i)
    lines += json_review(i < 9 ? 1 : 5, "A", fmt::format("{}", i)) + "\n";
  work.write("reviews.json", lines);
  REQUIRE(run(work, "amazon-reviews",
              kAllForTraining + Strings{"--category", "c", "--balance", "stars"})
              .exit_code == 0);
  CHECK(work.description()["train"]["stars"] ==
        nlohmann::json({{"1", 9}, {"2", 0}, {"3", 0}, {"4", 0}, {"5", 9}}));
  CHECK(work.description()["dropped"]["balance"] == 82);
}

TEST_CASE("broken reviews are counted with file and line up to the limit", "[data_tools]") {
  const Workplace work;
  const std::string good = json_review(5, "A", "Text");
  work.write("reviews.json", good + "\n{\"overall\": 5\n" + json_review(6, "A", "x") + "\n" +
                                 R"({"overall": 5.0, "reviewText": "x"})" + "\n" +
                                 R"({"overall": 5.0, "asin": "A", "reviewText": 7})" +
                                 "\n{'overall': __import__('os')}\n" + std::string(5000, '[') +
                                 "\n\n" + json_review(5, "A", "caf\xe9") + "\n");
  const Strings category = kAllForTraining + Strings{"--category", "c"};
  const ProgramResult refused =
      run(work, "amazon-reviews", category + Strings{"--max-bad-lines", "5"});
  CHECK(refused.exit_code == 3);
  CHECK_THAT(refused.messages, Contains("reviews.json:2: ") &&
                                   Contains("reviews.json:3: 6 stars") &&
                                   Contains("--max-bad-lines is 5"));
  CHECK_FALSE(std::filesystem::exists(work.output));
  REQUIRE(run(work, "amazon-reviews", category + Strings{"--max-bad-lines", "6"}).exit_code == 0);
  CHECK(work.description()["dropped"]["bad_lines"] == 6);
  CHECK(work.description()["invalid_utf8_replaced"] == 1);
  CHECK(work.description()["train"]["reviews"] == 2);
}

TEST_CASE("files that hold no reviews are refused and nothing is left", "[data_tools]") {
  const std::map<std::string, std::string> bad{
      {"table.tsv", "a\tb\tc\n1\t2\t3\n"},
      {"array.json", "[" + json_review(5, "A", "Text") + ", {\"overall\""},
      {"empty.json", ""},
      {"binary.json", std::string("\x01\x02\x00\xff", 4)},
      {"cut.json.gz", "\x1f\x8b\x08"},
      {"deep.json", "[" + std::string(100000, '[')}};
  for (const auto& [name, text] : bad) {
    CAPTURE(name);
    const Workplace work;
    work.write(name, text);
    CHECK(run(work, "amazon-reviews", {"--category", "c"}).exit_code == 3);
    CHECK(entries_of(work.folder.path()) == 1);
  }
  const Workplace work;
  work.write("reviews.json", json_review(5, "A", "Text"));
  CHECK(run(work, "amazon-reviews").exit_code == 2);  // no category
  CHECK(run(work, "amazon-reviews", {"--category", "a|b"}).exit_code == 2);
  CHECK(run(work, "amazon-reviews", {"--category", "c", "--test-fraction", "2"}).exit_code == 2);
}

TEST_CASE("reviews go on after a kill to the bytes of an unbroken run", "[data_tools]") {
  std::string lines;
  for (int i = 0; i < 12000; ++i) {
    const std::string text = fmt::format("number {} and so on, and on, and on", i % 9000);
    lines +=
        i % 500 == 7 ? "broken\n" : json_review(1 + i % 5, fmt::format("P{}", i % 53), text) + "\n";
  }
  const Strings options = {"amazon-reviews", "--input",         "-",      "--tokenizer",
                           "bytes",          "--category",      "c",      "--balance",
                           "stars",          "--control",       "tokens", "--shard-tokens",
                           "60000",          "--journal-bytes", "100000"};
  const auto to = [&](const Workplace& work, const Strings& more) {
    return options + Strings{"--output", work.output.string()} + more;
  };
  const Workplace unbroken;
  REQUIRE(run_ovid_data(to(unbroken, {"--threads", "3"}), lines).exit_code == 0);
  const Workplace work;
  for (const double share : {0.4, 0.8}) {
    const auto sent = static_cast<std::size_t>(static_cast<double>(lines.size()) * share);
    const ProgramResult killed =
        interrupt_ovid_data(to(work, {"--threads", "1"}), lines.substr(0, sent), SIGKILL);
    CHECK(killed.exit_code == 128 + SIGKILL);
    CHECK_FALSE(std::filesystem::exists(work.output));
  }
  CHECK(std::filesystem::exists(work.folder / ".tmp-output/journal.json"));
  // What a kill in the middle of a replacement leaves must not get into the data set.
  replace_file(work.folder / ".tmp-output/journal.json.tmp-1", "{");
  const ProgramResult other = run_ovid_data(to(work, {"--seed", "7"}), lines);
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.messages, Contains("--seed was 1337, now 7") && Contains("--restart"));
  std::string changed = lines;
  changed[changed.find("number 1") + 7] = '7';
  CHECK_THAT(run_ovid_data(to(work, {}), changed).messages, Contains("not what it was"));
  const ProgramResult stopped =
      interrupt_ovid_data(to(work, {}), lines.substr(0, lines.size() - 1000), SIGTERM);
  CHECK(stopped.exit_code == 75);
  CHECK_THAT(stopped.messages, Contains("the same command goes on"));
  const ProgramResult result = run_ovid_data(to(work, {}), lines);
  INFO(result.messages);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.messages, Contains("going on behind"));
  CHECK((contents_of(work.output) == contents_of(unbroken.output)));
  CHECK(entries_of(work.folder.path()) == 2);
}

TEST_CASE("reviews go on from the middle of the writing", "[data_tools]") {
  std::string lines;
  for (int i = 0; i < 12000; ++i)
    lines += json_review(1 + i % 5, fmt::format("P{}", i % 53), fmt::format("number {}", i)) + "\n";
  const Workplace work, unbroken;
  for (const Workplace* place : {&work, &unbroken}) place->write("reviews.json", lines);
  const Strings options{
      "--category", "c",    "--journal-bytes", "20000", "--validation-fraction", "0.2",
      "--balance",  "stars"};
  REQUIRE(run(unbroken, "amazon-reviews", options).exit_code == 0);
  // No file may be larger than 512 KiB: shards of these reviews are, the waiting reviews are not.
  std::string command =
      "ulimit -f 1024; exec '" + (binary_directory() / "ovid-data").string() + "'";
  const Strings arguments =
      Strings{"amazon-reviews", "--input", work.corpus.string(), "--output", work.output.string(),
              "--tokenizer",    "bytes",   "--overwrite"} +
      options;
  for (const std::string& argument : arguments) command += " '" + argument + "'";
  const ProgramResult cut = run_program({"sh", "-c", command});
  INFO(cut.messages);
  CHECK(cut.exit_code != 0);
  const auto record = nlohmann::json::parse(read_file(work.folder / ".tmp-output/journal.json"));
  CHECK(record.at("writing").at("reviews").get<int>() > 0);
  const ProgramResult result = run(work, "amazon-reviews", options);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.messages, Contains("going on behind 12000 reviews"));
  CHECK((contents_of(work.output) == contents_of(unbroken.output)));
}

TEST_CASE("dialogues that were cut off go on to the bytes of an unbroken run", "[data_tools]") {
  // Candidates, repeated dialogues and both kinds of documents; shards that are full in between.
  std::string lines;
  for (int i = 0; i < 20000; ++i) {
    lines += fmt::format("1 your persona: i like {}.\n2 a {}\tb {}\t\tc|b {}\n3 more\tyes\n", i % 5,
                         i % 15000, i % 15000, i % 15000);
  }
  const auto to = [](const Workplace& work, const Strings& more) {
    return Strings{"persona-chat",
                   "--input",
                   "-",
                   "--output",
                   work.output.string(),
                   "--tokenizer",
                   "bytes",
                   "--split",
                   "dialogue",
                   "--validation-fraction",
                   "0.2",
                   "--shard-tokens",
                   "150000",
                   "--journal-bytes",
                   "30000"} +
           more;
  };
  for (const Strings& layout : {Strings{}, Strings{"--history", "2"}}) {
    CAPTURE(layout);
    const Workplace unbroken, work;
    REQUIRE(run_ovid_data(to(unbroken, layout), lines).exit_code == 0);
    for (const double share : {0.3, 0.6, 0.9}) {
      const auto sent = static_cast<std::size_t>(static_cast<double>(lines.size()) * share);
      const ProgramResult killed = interrupt_ovid_data(to(work, layout + Strings{"--threads", "1"}),
                                                       lines.substr(0, sent), SIGKILL);
      CHECK(killed.exit_code == 128 + SIGKILL);
      CHECK_FALSE(std::filesystem::exists(work.output));
    }
    const ProgramResult stopped =
        interrupt_ovid_data(to(work, layout), lines.substr(0, lines.size() - 1000), SIGTERM);
    CHECK(stopped.exit_code == 75);
    const ProgramResult result = run_ovid_data(to(work, layout), lines);
    INFO(result.messages);
    REQUIRE(result.exit_code == 0);
    CHECK_THAT(result.messages, Contains("going on behind"));
    CHECK((contents_of(work.output) == contents_of(unbroken.output)));
    CHECK(work.description()["dropped"]["repeated"] == 5000);
    CHECK(entries_of(work.folder.path()) == 2);
  }
}

TEST_CASE("cut-off dialogues do not go on with other inputs or settings", "[data_tools]") {
  const Workplace work;
  std::string lines;
  for (int i = 0; i < 9000; ++i) lines += fmt::format("1 your persona: x\n2 a {}\tb\n", i);
  const Strings command{"persona-chat",       "--input",         "-",     "--output",
                        work.output.string(), "--tokenizer",     "bytes", "--split",
                        "dialogue",           "--journal-bytes", "5000"};
  REQUIRE(interrupt_ovid_data(command, lines, SIGTERM).exit_code == 75);
  const ProgramResult other = run_ovid_data(command, "1 your persona: y\n2 other\tone\n" + lines);
  CHECK(other.exit_code == 3);
  CHECK_THAT(other.messages, Contains("are not those that were read before"));
  const ProgramResult shorter = run_ovid_data(command, lines.substr(0, 100));
  CHECK(shorter.exit_code == 3);
  CHECK_THAT(shorter.messages, Contains("--restart"));
  const ProgramResult changed = run_ovid_data(command + Strings{"--history", "3"}, lines);
  CHECK(changed.exit_code == 2);
  CHECK_THAT(changed.messages, Contains("--history was -1, now 3"));
  REQUIRE(run_ovid_data(command + Strings{"--restart"}, lines).exit_code == 0);
  CHECK(work.description()["dialogues"] == 9000);
}

TEST_CASE("the number of threads does not change a data set", "[data_tools]") {
  const Workplace work;
  std::string reviews, dialogues;
  for (int i = 0; i < 4000; ++i) {
    reviews += i % 97 == 5 ? "{}\n"
                           : json_review(1 + i % 5, fmt::format("P{}", i % 31),
                                         fmt::format("text {} &amp; \xFF more", i % 3000)) +
                                 "\n";
    dialogues += fmt::format("1 your persona: x\n2 a {}\tb {}\t\tc|b {}\n", i, i, i);
  }
  for (const std::string command : {"amazon-reviews", "persona-chat"}) {
    CAPTURE(command);
    const bool is_reviews = command == "amazon-reviews";
    const Strings options =
        is_reviews ? Strings{"--category", "c"} : Strings{"--split", "dialogue"};
    work.write("a.txt", is_reviews ? reviews : dialogues);
    REQUIRE(run(work, command, options + Strings{"--threads", "1"}).exit_code == 0);
    const auto by_one = contents_of(work.output);
    REQUIRE(run(work, command, options + Strings{"--threads", "3"}).exit_code == 0);
    CHECK((contents_of(work.output) == by_one));
  }
  CHECK(run(work, "persona-chat", {"--threads", "1025"}).exit_code == 2);
}

TEST_CASE("both layouts of a dialogue give the same shards and candidates", "[data_tools]") {
  const std::string text =
      "1 your persona: i like tea.\n2 partner's persona: i am new.\n"
      "3 hello\thi .\t\tbye|hi .\n4 tea ?\tyes\t\tno|maybe|yes\n";
  const std::string json = R"([{"personality": ["i like tea."], "utterances": [
      {"candidates": ["bye", "hi ."], "history": ["hello"]},
      {"candidates": ["no", "maybe", "yes"], "history": ["hello", "hi .", "tea ?"]}]}])";
  const std::string other = "1 your persona: x\n2 a\tb\n";
  const std::string other_json =
      R"([{"personality": ["x"], "utterances": [{"candidates": ["b"], "history": ["a"]}]}])";
  std::map<std::string, std::string> expected;
  for (const bool as_json : {false, true}) {
    const Workplace work;
    if (as_json) {
      work.write("all.json", "{\"train\": " + other_json + ", \"valid\": " + json + "}");
    } else {
      work.write("train_self_original.txt", other + other);  // repeated, and counted
      work.write("valid_self_original.txt", text);
    }
    REQUIRE(run(work, "persona-chat").exit_code == 0);
    CHECK(work.description()["dropped"]["repeated"] == (as_json ? 0 : 1));
    CHECK(work.description()["validation"]["counted_tokens"] == 11);
    auto contents = contents_of(work.output);
    contents.erase("dataset.json");
    if (expected.empty()) expected = contents;
    CHECK((contents == expected));
    const auto rows = json_lines(work.output / "candidates_validation.jsonl");
    REQUIRE(rows.size() == 2);
    CHECK(rows[1]["candidates"] == nlohmann::json({"no", "maybe", "yes"}));
    CHECK(rows[1]["gold"] == 2);
    CHECK(rows[1]["context"] ==
          "<|persona|> i like tea.\n<|partner|> hello\n<|self|> hi .\n<|partner|> tea ?\n<|self|>");
  }
}

TEST_CASE("a mask shard counts the replies alone, and inspect shows them", "[data_tools]") {
  const Workplace work;
  work.write("train.txt", "1 your persona: x\n2 a\tb\n3 c\tdd\n");
  REQUIRE(run(work, "persona-chat", {"--history", "1"}).exit_code == 0);
  const Path shard = work.output / "train_000000.bin";
  const std::string mask = read_file(work.output / "train_000000.mask");
  const std::string text = spelled(shard);
  CHECK(mask.size() == 1024 + tokens_in(shard).size());
  CHECK(std::count(mask.begin() + 1024, mask.end(), '\1') == 3 + 4);  // " b\n" and " dd\n"
  CHECK(work.description()["train"]["documents"] == 2);
  const ProgramResult inspected = run_ovid_data({"inspect", shard.string(), "--json"});
  const auto object = nlohmann::json::parse(inspected.output);
  CHECK(object["unmasked_tokens"] == 7);
  CHECK(object["first_documents"][1]["counted_text"] == " dd\n");
}

TEST_CASE("a dialogue with a broken line is left out whole", "[data_tools]") {
  const Workplace work;
  work.write("train.txt",
             "1 your persona: x\n2 a\tb\n3 no tab\n4 c\td\n1 your persona: y\n2 e\tf\n4 g\th\n"
             "1 i\tj\nx\n1 your persona: only\n1 k\tl\n");
  const ProgramResult refused = run(work, "persona-chat", {"--max-bad-lines", "2"});
  CHECK(refused.exit_code == 3);
  CHECK_THAT(refused.messages, Contains("train.txt:3: no tab"));
  REQUIRE(run(work, "persona-chat").exit_code == 0);
  const nlohmann::json d = work.description();
  CHECK(d["train"]["dialogues"] == 1);
  CHECK(d["dropped"]["bad_lines"] == 3);
  CHECK(d["dropped"]["without_reply"] == 1);
  CHECK(spelled(work.output / "train_000000.bin") == "<|endoftext|><|partner|> k\n<|self|> l\n");
  work.write("train.txt", "hello\n");
  CHECK(run(work, "persona-chat").exit_code == 3);
  CHECK(run(work, "persona-chat", {"--history", "0"}).exit_code == 2);
}

TEST_CASE("the reviews and dialogues of the shared data are read whole", "[data_tools]") {
  const auto fashion = shared_data("finetune/amazon/AMAZON_FASHION_5.json.gz");
  const auto table = shared_data("finetune/amazon/amazon_us_reviews_sample.tsv");
  const auto chat = shared_data("finetune/personachat/personachat_self_original.small.json.gz");
  if (!fashion || !table || !chat) return;
  const Workplace work;
  REQUIRE(run_ovid_data({"amazon-reviews", "--input", fashion->string(), table->string(),
                         "--category", "Fashion", "--output", work.output.string(), "--tokenizer",
                         "bytes", "--max-bad-lines", "0"})
              .exit_code == 0);
  const nlohmann::json read = work.description()["stages"]["read"];
  CHECK(
      read["stars"] ==
      nlohmann::json(
          {{"1", 117 + 87}, {"2", 93 + 37}, {"3", 337 + 66}, {"4", 471 + 121}, {"5", 2158 + 563}}));
  CHECK(read["categories"].size() == 44);
  CHECK(work.description()["dropped"]["empty"] == 16);
  REQUIRE(
      run_ovid_data({"persona-chat", "--input", chat->string(), "--output", work.output.string(),
                     "--tokenizer", "bytes", "--overwrite", "--max-bad-lines", "0"})
          .exit_code == 0);
  CHECK(work.description()["train"]["dialogues"] == 700);
  CHECK(work.description()["validation"]["dialogues"] == 100);
  CHECK_FALSE(std::filesystem::exists(work.output / "test_reviews.jsonl"));
}

TEST_CASE("control words as text have the tokens of a prompt that is typed in", "[data_tools]") {
  const auto encoder = shared_data("tokenizer/encoder.json");
  if (!encoder) return;
  const auto tokenizer = tokenizer::Tokenizer::load(encoder->parent_path().string());
  const auto check_documents = [&](const Path& shard) {
    const auto tokens = tokens_in(shard);
    std::vector<tokenizer::TokenId> ids(tokens.begin(), tokens.end());
    CHECK(tokenizer.encode(tokenizer.decode(ids), tokenizer::SpecialTokens::kRecognise) == ids);
  };
  const Workplace work;
  const Strings gpt2 = kAllForTraining + Strings{"--tokenizer", encoder->parent_path().string()};
  work.write("train.txt", "1 your persona: i like 7 teas.\n2 hello\t1 tea\n3 so ?\t( yes )\n");
  const auto run_with = [&](const std::string& command, const Strings& more) {
    return run_ovid_data(Strings{command, "--input", work.corpus.string(), "--output",
                                 work.output.string(), "--overwrite"} +
                         gpt2 + more);
  };
  REQUIRE(run_with("persona-chat", {}).exit_code == 0);
  check_documents(work.output / "train_000000.bin");
  std::filesystem::remove(work.corpus / "train.txt");
  work.write("reviews.json", json_review(5, "A", "Good.") + "\n" + json_review(1, "B", "\\u00e9"));
  REQUIRE(run_with("amazon-reviews", {"--category", "Home & Kitchen"}).exit_code == 0);
  check_documents(work.output / "train_000000.bin");
}

}  // namespace ovid::test
