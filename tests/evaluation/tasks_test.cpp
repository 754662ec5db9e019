#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/evaluation/held_out_data.h"
#include "src/evaluation/task.h"
#include "tests/catch.h"
#include "tests/evaluation/tiny_model.h"
#include "tests/test_files.h"

namespace ovid::evaluation {
namespace {

using nlohmann::json;
using test::TemporaryDirectory;

const model::ModelConfig kBytes{
    .layers = 1, .heads = 2, .width = 8, .context_length = 128, .vocabulary_size = 257};

void write_reviews(const TemporaryDirectory& folder, int count) {
  replace_file(folder / "dataset.json", R"({"kind": "amazon-reviews"})");
  std::string lines;
  for (int i = 0; i < count; ++i) {
    const bool bad = i % 2 == 0;
    lines += json{{"stars", bad ? 1 + i / 2 % 2 : 5},
                  {"category", i % 3 == 0 ? "Books" : "Shoes"},
                  {"headline", bad ? "bad" : "great"},
                  {"text", fmt::format("{} {}", bad ? "broke soon" : "love it", i)}}
                 .dump() +
             "\n";
  }
  replace_file(folder / "validation_reviews.jsonl", lines);
}

void write_turns(const TemporaryDirectory& folder) {
  replace_file(folder / "dataset.json", R"({"kind": "persona-chat"})");
  std::string lines;
  for (int i = 0; i < 5; ++i) {
    lines += json{{"dialogue", i / 2},
                  {"turn", i % 2},
                  {"context", "<|persona|> i cook .\n<|partner|> hi\n<|self|>"},
                  {"candidates", {"hello", "i cook pasta .", "bye"}},
                  {"gold", i % 3}}
                 .dump() +
             "\n";
  }
  replace_file(folder / "candidates_test.jsonl", lines);
}

TaskReport run_task(const char* name, const Path& data, const TaskSettings& settings,
                    int threads = 1) {
  const test::TinyModel model(kBytes, threads);
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load("bytes");
  return find_task(name).run({.model = model.generation(),
                              .tokenizer = tokenizer,
                              .control = {},
                              .model_directory = "model",
                              .data = data,
                              .settings = settings});
}

void check_refused_review(const std::string& line) {
  const TemporaryDirectory folder;
  replace_file(folder / "test_reviews.jsonl", line + "\n");
  CAPTURE(line);
  CHECK_THROWS_AS(read_held_out_reviews(folder.path(), "test"), DataError);
}

void check_refused_turn(const std::string& line) {
  const TemporaryDirectory folder;
  replace_file(folder / "candidates_test.jsonl", line + "\n");
  CAPTURE(line);
  CHECK_THROWS_AS(read_dialogue_turns(folder.path(), "test"), DataError);
}

}  // namespace

TEST_CASE("the task amazon-reviews repeats by its seed on any number of threads", "[evaluation]") {
  const TemporaryDirectory folder;
  write_reviews(folder, 48);
  const TaskSettings settings{.samples = 11, .max_new_tokens = 12, .seed = 9};
  const TaskReport report = run_task("amazon-reviews", folder.path(), settings);
  CHECK(run_task("amazon-reviews", folder.path(), settings, 2).json == report.json);
  const json found = json::parse(report.json);
  CHECK(found["perplexity"]["all"]["reviews"] == 48);
  CHECK(found["perplexity"]["categories"]["Books"]["reviews"] == 16);
  CHECK(found["perplexity"]["stars"]["3"]["reviews"] == 0);
  const json& control = found["control"];
  CHECK(control["count"] == 11);
  CHECK(control["negative"]["count"] == 5);
  CHECK(control["positive"]["count"] == 6);
  CHECK(control["right"] ==
        control["negative"]["right"].get<int>() + control["positive"]["right"].get<int>());
  CHECK(control["judge_on_people"]["balanced"] == 1.0);
  std::vector<int> stars;
  for (const json& written : control["written"]) {
    stars.push_back(written["stars"]);
    const bool right = written["stars"] == 5 ? written["log_odds"] > 0 : written["log_odds"] < 0;
    CHECK(right == (written["log_odds"] != 0 && right));
  }
  CHECK(std::count(stars.begin(), stars.end(), 1) == 3);
  CHECK(std::count(stars.begin(), stars.end(), 2) == 2);
  TaskSettings other = settings;
  other.seed = 10;
  CHECK(json::parse(run_task("amazon-reviews", folder.path(), other).json)["control"]["written"] !=
        control["written"]);
}

TEST_CASE("without control words reviews are scored and written behind none", "[evaluation]") {
  const TemporaryDirectory folder;
  write_reviews(folder, 48);
  const TaskReport report = run_task("amazon-reviews", folder.path(),
                                     {.samples = 4, .max_new_tokens = 5, .without_prefix = true});
  const json all = json::parse(report.json)["perplexity"]["all"];
  CHECK_FALSE(all.contains("own_words"));
  CHECK(all["no_words"]["perplexity"] > 1);
}

TEST_CASE("held-out reviews too few for a judge are said to be so", "[evaluation]") {
  const TemporaryDirectory folder;
  write_reviews(folder, 8);
  const TaskReport report = run_task("amazon-reviews", folder.path(), {});
  CHECK(json::parse(report.json)["control"].is_null());
  CHECK(as_text(report).find("No control accuracy") != std::string::npos);
  CHECK_THROWS_AS(run_task("amazon-reviews", folder.path(), {.part = "test"}), DataError);
}

TEST_CASE("the task persona-chat repeats, and ranks and answers every turn", "[evaluation]") {
  const TemporaryDirectory folder;
  write_turns(folder);
  const TaskSettings settings{.part = "test", .temperature = 1.0, .max_new_tokens = 10};
  const TaskReport report = run_task("persona-chat", folder.path(), settings);
  CHECK(run_task("persona-chat", folder.path(), settings, 2).json == report.json);
  const json found = json::parse(report.json);
  CHECK(found["ranking"]["with_persona"]["turns"] == 5);
  CHECK(found["ranking"]["with_persona"]["dialogues"] == 3);
  CHECK(found["ranking"]["without_persona"]["loss"] != found["ranking"]["with_persona"]["loss"]);
  CHECK(found["replies"]["count"] == 5);
  CHECK(found["replies"]["written"].size() == 5);
  const json few = json::parse(
      run_task("persona-chat", folder.path(), {.part = "test", .limit = 3, .samples = 0}).json);
  CHECK(few["ranking"]["with_persona"]["turns"] == 3);
  CHECK_FALSE(few.contains("replies"));
  CHECK_THROWS_AS(run_task("persona-chat", folder.path(), {}), DataError);
  CHECK_THROWS_AS(run_task("persona-chat", folder.path(), {.part = "test", .max_new_tokens = 128}),
                  UsageError);
}

TEST_CASE("reports are harmless in every format", "[evaluation]") {
  const TaskReport report{.task = "t",
                          .facts = {{"data", "\x1b[2J"}},
                          .tables = {{"Title", {"a", "b"}, "lr", {{"<script>|x", "1"}}}},
                          .notes = {"A [note](http://x)."},
                          .samples = {{"5 stars", "# <b>\nline"}},
                          .json = "{}"};
  CHECK(as_file(report, "x.json") == "{}\n");
  for (const char* name : {"x.txt", "x.md", "x.html"}) {
    const std::string text = as_file(report, name);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find("Title") != std::string::npos);
  }
  CHECK(as_html(report).find("<script>") == std::string::npos);
  CHECK(as_markdown(report).find("\\<script\\>\\|x") != std::string::npos);
  CHECK(as_markdown(report).find("> \\# \\<b\\>  \n> line\n") != std::string::npos);
  CHECK_THROWS_AS(as_file(report, "x.pdf"), UsageError);
}

TEST_CASE("tasks and settings that there are not are refused", "[evaluation]") {
  CHECK_THROWS_AS(find_task("lamdba"), UsageError);
  CHECK_THROWS_AS(check_settings({.part = "train"}), UsageError);
  CHECK_THROWS_AS(check_settings({.limit = -1}), UsageError);
  CHECK_THROWS_AS(check_settings({.temperature = -0.5}), UsageError);
  CHECK_THROWS_AS(check_settings({.top_p = 0}), UsageError);
  CHECK_THROWS_AS(check_settings({.max_new_tokens = 0}), UsageError);
}

TEST_CASE("damaged held-out data are refused by file and line", "[evaluation]") {
  check_refused_review("not JSON");
  check_refused_review("[]");
  check_refused_review(R"({"stars": 6, "category": "", "headline": "", "text": "x"})");
  check_refused_review(R"({"stars": 5.0, "category": "", "headline": "", "text": "x"})");
  check_refused_review(R"({"stars": 5, "category": "", "headline": ""})");
  check_refused_review(
      "{\"stars\": 5, \"category\": \"\", \"headline\": \"\", \"text\": \"\xff\"}");
  check_refused_turn(R"({"dialogue": 0, "context": "", "candidates": ["a"], "gold": 0})");
  check_refused_turn(R"({"dialogue": 0, "context": "", "candidates": ["a", "b"], "gold": 2})");
  check_refused_turn(R"({"dialogue": 0, "context": "", "candidates": ["a", "b"], "gold": -1})");
  check_refused_turn(R"({"dialogue": 0, "context": "", "candidates": ["a", 1], "gold": 0})");
  check_refused_turn(
      R"({"dialogue": 0, "context": "", "candidates": ["a", "b"], "gold": 18446744073709551615})");
  const TemporaryDirectory folder;
  CHECK_THROWS_AS(check_dataset_kind(folder.path(), "persona-chat"), Error);
  for (const char* text : {"", "[]", "{", R"({"kind": 3})", R"({"kind": "amazon-reviews"})"}) {
    replace_file(folder / "dataset.json", text);
    CHECK_THROWS_AS(check_dataset_kind(folder.path(), "persona-chat"), DataError);
  }
}

}  // namespace ovid::evaluation
