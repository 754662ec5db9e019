#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

namespace ovid::test {
namespace {

using Catch::Matchers::Contains;

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

const TinyRun& trained() {
  static const TinyRun run(30);
  static const ProcessResult result = run.train();
  REQUIRE(result.exit_code == 0);
  return run;
}

ProcessResult generate(const std::vector<std::string>& options) {
  std::vector<std::string> command{program("ovid"), "generate", "--model",
                                   trained().checkpoint(30)};
  command.insert(command.end(), options.begin(), options.end());
  return run_process(command);
}

}  // namespace

TEST_CASE("generate prints JSON lines by the contract, and repeats them by seed", "[e2e]") {
  const std::vector<std::string> options{
      "--prompt", "the bird", "--samples", "3", "--max-new-tokens", "12", "--seed", "42", "--json"};
  const ProcessResult result = generate(options);
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
  const auto rows = json_lines(result.output);
  REQUIRE(rows.size() == 3);
  for (int i = 0; i < 3; ++i) {
    const auto& row = rows[static_cast<std::size_t>(i)];
    CHECK(row["sample"] == i);
    CHECK(row["seed"] == 42);
    CHECK(row["prompt_tokens"].size() == 8);
    CHECK(row["tokens"].size() <= 12);
    CHECK(row["text"].is_string());
    CHECK((row["finish_reason"] == "length" || row["finish_reason"] == "stop"));
  }
  CHECK(generate(options).output == result.output);
  CHECK(rows[0]["tokens"] != rows[1]["tokens"]);
  const auto one = json_lines(
      generate({"--prompt", "the bird", "--max-new-tokens", "12", "--seed", "42", "--json"})
          .output);
  CHECK(one[0] == rows[0]);
}

TEST_CASE("streamed text is the text of the JSON, and the seed is told", "[e2e]") {
  const ProcessResult text =
      generate({"--prompt", "the bird", "--max-new-tokens", "40", "--seed", "3"});
  const auto json = json_lines(
      generate({"--prompt", "the bird", "--max-new-tokens", "40", "--seed", "3", "--json"}).output);
  CHECK(text.output == "the bird" + json[0]["text"].get<std::string>() + "\n");
  CHECK_THAT(text.errors, Contains("seed 3"));
  CHECK_THAT(generate({"--prompt", "", "--max-new-tokens", "2"}).errors, Contains("--seed"));
}

TEST_CASE("prompt ids and greedy decoding need no seed to repeat", "[e2e]") {
  const std::vector<std::string> options{"--prompt-ids", "116,104,101", "--temperature", "0",
                                         "--json"};
  auto a = json_lines(generate(options).output)[0], b = json_lines(generate(options).output)[0];
  CHECK(a["tokens"] == b["tokens"]);
  CHECK(a["tokens"].size() == 64);
}

TEST_CASE("generate refuses what makes no sense", "[e2e]") {
  CHECK(generate({}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--prompt-ids", "1"}).exit_code == 2);
  CHECK(generate({"--prompt-ids", "1,x"}).exit_code == 2);
  CHECK(generate({"--prompt-ids", "99999"}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--temperature", "-1"}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--top-p", "0"}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--unknown"}).exit_code == 2);
  CHECK(
      run_process({program("ovid"), "generate", "--model", "absent", "--prompt", "a"}).exit_code ==
      4);
}

TEST_CASE("eval counts whole windows and agrees with the run's own validation", "[e2e]") {
  const TinyRun& run = trained();
  const std::string shard = run.path("data/validation_000000.bin");
  const ProcessResult result = run_process(
      {program("ovid"), "eval", "--model", run.checkpoint(30), "--data", shard, "--json"});
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
  const auto row = nlohmann::json::parse(result.output);
  const std::int64_t tokens = static_cast<std::int64_t>(size_of_file(shard) - 1024) / 2;
  CHECK(row["tokens"] == (tokens - 1) / 32 * 32);
  CHECK(row["perplexity"].get<double>() == Approx(std::exp(row["loss"].get<double>())));
  CHECK(row["loss"].get<double>() < 5.0);  // a uniform guess costs log 257 = 5.55
  const auto shorter =
      nlohmann::json::parse(run_process({program("ovid"), "eval", "--model", run.checkpoint(30),
                                         "--data", shard, "--length", "8", "--json"})
                                .output);
  CHECK(shorter["tokens"] == (tokens - 1) / 8 * 8);
  CHECK(shorter["loss"] != row["loss"]);
  CHECK(run_process({program("ovid"), "eval", "--model", run.checkpoint(30), "--data", shard,
                     "--length", "64"})
            .exit_code == 2);
  CHECK(
      run_process({program("ovid"), "eval", "--model", run.checkpoint(30), "--data", "absent.bin"})
          .exit_code == 3);
}

TEST_CASE("help, version and config commands answer on standard output", "[e2e]") {
  CHECK(run_process({program("ovid"), "--help"}).exit_code == 0);
  CHECK_THAT(run_process({program("ovid"), "train", "--help"}).output, Contains("Examples:"));
  CHECK_THAT(run_process({program("ovid"), "--version"}).output, Contains("ovid 0."));
  CHECK(run_process({program("ovid")}).exit_code == 2);
  CHECK_THAT(run_process({program("ovid"), "config", "explain", "optimizer.beta2"}).output,
             Contains("beta2"));
  CHECK(run_process({program("ovid"), "config", "explain", "optimizer.beta3"}).exit_code == 2);
  CHECK(run_process({program("ovid"), "config", "show", trained().path("config.yaml")}).exit_code ==
        0);
}

}  // namespace ovid::test
