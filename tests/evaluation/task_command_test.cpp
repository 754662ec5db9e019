#include <nlohmann/json.hpp>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

namespace ovid::test {
namespace {

using Catch::Matchers::Contains;
using nlohmann::json;

// A trained model of bytes and, beside it, a folder of held-out reviews.
const TinyRun& trained() {
  static const TinyRun run(2);
  static const ProcessResult result = run.train({"model.context_length=96"});
  REQUIRE(result.exit_code == 0);
  make_directories(run.path("reviews"));
  replace_file(run.path("reviews/dataset.json"), R"({"kind": "amazon-reviews"})");
  std::string lines;
  for (int i = 0; i < 40; ++i) {
    lines += json{{"stars", i % 2 == 0 ? 1 : 5},
                  {"category", "Books"},
                  {"headline", i % 2 == 0 ? "bad" : "good"},
                  {"text", "number " + std::to_string(i)}}
                 .dump() +
             "\n";
  }
  replace_file(run.path("reviews/validation_reviews.jsonl"), lines);
  return run;
}

ProcessResult evaluate(const std::vector<std::string>& options) {
  std::vector<std::string> command{program("ovid"),         "eval",   "--model",
                                   trained().checkpoint(2), "--data", trained().path("reviews")};
  command.insert(command.end(), options.begin(), options.end());
  return run_process(command);
}

}  // namespace

TEST_CASE("a task's report comes to the terminal, as JSON and into files", "[e2e]") {
  const std::vector<std::string> few{"--task", "amazon-reviews",   "--samples",
                                     "4",      "--max-new-tokens", "8"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), few.begin(), few.end());
    return evaluate(more);
  };
  const std::string page = trained().path("report.html"), text = trained().path("report.json");
  const ProcessResult result = with({"--json", "--output", page, "--output", text});
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
  CHECK(json::parse(result.output)["perplexity"]["all"]["reviews"] == 40);
  CHECK(read_file(text) == result.output);
  CHECK_THAT(read_file(page), Contains("Control accuracy"));
  CHECK(with({"--json", "--threads", "2"}).output == result.output);
  const ProcessResult table = with({});
  CHECK_THAT(table.output, Contains("bits a byte") && Contains("human, both alike"));
}

TEST_CASE("a task that cannot be run says why, before the work", "[e2e]") {
  const auto refused = [](const std::vector<std::string>& options, int exit_code,
                          const char* reason) {
    const ProcessResult result = evaluate(options);
    CHECK(result.exit_code == exit_code);
    CHECK_THAT(result.errors, Contains(reason));
    CHECK(result.output.empty());
  };
  refused({"--task", "lamdba"}, 2, "amazon-reviews, persona-chat");
  refused({"--part", "test"}, 2, "--task");
  refused({"--task", "amazon-reviews", "--length", "8"}, 2, "--length");
  refused({"--task", "amazon-reviews", "--output", "report.pdf"}, 2, ".html");
  refused({"--task", "amazon-reviews", "--part", "test"}, 3, "--part");
  refused({"--task", "persona-chat"}, 3, "amazon-reviews");
}

}  // namespace ovid::test
