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

ProcessResult generate(const std::vector<std::string>& options, const std::string& input = "") {
  std::vector<std::string> command{program("ovid"), "generate", "--model",
                                   trained().checkpoint(30)};
  command.insert(command.end(), options.begin(), options.end());
  return run_process(command, input);
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

TEST_CASE("a stop text ends a sample before it, in JSON and in streamed text", "[e2e]") {
  const std::vector<std::string> options{"--prompt", "the bird", "--max-new-tokens", "60",
                                         "--seed",   "3",        "--samples",        "3"};
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.end(), options.begin(), options.end());
    return generate(more);
  };
  const auto whole = json_lines(run({"--json"}).output);
  const std::string text = whole[0]["text"];
  REQUIRE(text.size() > 30);
  const std::string stop = text.substr(20, 3);  // three tokens of this model: one for each byte
  const auto cut = json_lines(run({"--json", "--stop", stop, "--stop", "never there"}).output);
  std::string shown;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string all = whole[i]["text"];
    const std::size_t at = all.find(stop);
    CHECK(cut[i]["text"] == all.substr(0, at));
    const std::string otherwise = whole[i]["finish_reason"];
    CHECK(cut[i]["finish_reason"] == (at == std::string::npos ? otherwise : "stop"));
    if (at != std::string::npos) CHECK(cut[i]["tokens"].size() < whole[i]["tokens"].size());
    shown += "--- sample " + std::to_string(i + 1) + " ---\nthe bird" +
             cut[i]["text"].get<std::string>() + "\n";
  }
  CHECK(cut[0]["finish_reason"] == "stop");
  CHECK(run({"--stop", stop}).output == shown);
}

TEST_CASE("prompts come from a file or standard input, and each is continued as alone", "[e2e]") {
  const TemporaryDirectory folder;
  const std::vector<std::string> texts{"the bird", "", "a \"stone\"", "the bird"};
  std::string lines, json;
  for (const std::string& text : texts) {
    lines += text + "\r\n";
    json += nlohmann::json{{"prompt", text}, {"id", 7}}.dump() + "\n\n";
  }
  replace_file(folder / "prompts.txt", lines);
  replace_file(folder / "prompts.jsonl", json);
  const std::vector<std::string> settings{"--seed",           "5",  "--samples", "2",
                                          "--max-new-tokens", "12", "--json"};
  const auto run = [&](std::vector<std::string> options, const std::string& input = "") {
    options.insert(options.end(), settings.begin(), settings.end());
    const ProcessResult result = generate(options, input);
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
    return result.output;
  };
  const std::string output = run({"--prompts", (folder / "prompts.txt").string()});
  const auto rows = json_lines(output);
  REQUIRE(rows.size() == 8);
  for (std::size_t p = 0; p < texts.size(); ++p) {
    const auto alone = json_lines(run({"--prompt", texts[p]}));
    for (std::size_t i = 0; i < 2; ++i) {
      auto row = rows[2 * p + i];
      CHECK(row["prompt"] == p);
      row.erase("prompt");
      CHECK(row == alone[i]);
    }
  }
  CHECK(run({"--prompts", (folder / "prompts.jsonl").string()}) == output);
  CHECK(run({"--prompts", "-", "--batch", "3"}, lines) == output);
  CHECK(run({"--prompts", "-", "--jsonl", "--threads", "1", "--batch", "1"}, json) == output);
}

TEST_CASE("prompts that cannot be read are refused with their line", "[e2e]") {
  const auto refused = [](const std::string& input, const std::string& reason) {
    const ProcessResult result = generate({"--prompts", "-", "--jsonl"}, input);
    CHECK(result.exit_code == 3);
    CHECK_THAT(result.errors, Contains(reason));
    CHECK(result.output.empty());
  };
  refused("{\"prompt\":\"a\"}\n{\"prompt\":\n", "line 2 of standard input is not JSON");
  refused("{\"prompt\":\"a\"}\n\n{\"text\":\"b\"}\n", "line 3 of standard input has no string");
  refused("[1]", "line 1");
  refused("{\"prompt\":[1]}", "line 1");
  refused("{\"prompt\":\"\xff\"}", "line 1");
  refused("", "holds no prompt");
  CHECK(generate({"--prompts", "-"}, "").exit_code == 3);
  CHECK(generate({"--prompts", "absent.txt"}).exit_code == 3);
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
  CHECK(generate({"--prompt", "a", "--prompts", "b.txt"}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--jsonl"}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--stop", ""}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--stop", "\xff"}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--min-p", "1.5"}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--repetition-penalty", "0"}).exit_code == 2);
  CHECK(generate({"--prompt", "a", "--batch", "-1"}).exit_code == 2);
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
