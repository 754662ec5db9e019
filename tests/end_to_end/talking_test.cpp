#include <fmt/format.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

// What is done with a model that was fine-tuned: reviews to order, conversations.
namespace ovid::test {
namespace {

using Catch::Matchers::Contains;

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

std::string reviews() {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    const nlohmann::json row{{"overall", 1 + i % 5},
                             {"asin", fmt::format("P{}", i)},
                             {"summary", "as it is"},
                             {"reviewText", fmt::format("bought {} of them", i)}};
    text += row.dump() + "\n";
  }
  return text;
}

std::string dialogues() {
  std::string text;
  for (int i = 0; i < 12; ++i) {
    text += fmt::format("1 your persona: i am {}.\n2 hello {}\thi .\n3 tea ?\tyes {}\n", i, i, i);
  }
  return text;
}

// A model of a few steps on a data set whose control words are added tokens.
class TunedModel {
 public:
  TunedModel(const std::string& command, const std::string& text,
             const std::vector<std::string>& options) {
    replace_file(folder_ / "train.txt", text);
    std::vector<std::string> line{program("ovid-data"), command, "--input",  path("train.txt"),
                                  "--tokenizer",        "bytes", "--output", path("data"),
                                  "--control",          "tokens"};
    line.insert(line.end(), options.begin(), options.end());
    run(line);
    replace_file(folder_ / "config.yaml",
                 fmt::format(R"(run: {{name: tuned, directory: {0}, seed: 7}}
device: {{kind: cpu, threads: 1}}
model: {{layers: 2, heads: 2, width: 32, context_length: 96}}
data: {{train: ["{0}/data/train_*.bin"]}}
batch: {{sequences: 4, micro_sequences: 4, length: 96}}
schedule: {{warmup_steps: 1}}
training: {{steps: 3}}
samples: {{every_steps: 0}}
)",
                             folder_.path().string()));
    run({program("ovid"), "train", path("config.yaml")});
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  ProcessResult ovid(const std::string& command, const std::vector<std::string>& options,
                     const std::string& input = "") const {
    std::vector<std::string> line{program("ovid"), command, "--model",
                                  path("tuned/checkpoints/step-00000003")};
    line.insert(line.end(), options.begin(), options.end());
    return run_process(line, input);
  }

 private:
  static void run(const std::vector<std::string>& line) {
    const ProcessResult result = run_process(line);
    if (result.exit_code != 0) throw std::runtime_error(result.errors);
  }

  TemporaryDirectory folder_;
};

const TunedModel& of_reviews() {
  static const TunedModel model("amazon-reviews", reviews(),
                                {"--category", "Musical Instruments", "--test-fraction", "0"});
  return model;
}

const TunedModel& of_dialogues() {
  static const TunedModel model("persona-chat", dialogues(), {"--validation-fraction", "0.3"});
  return model;
}

}  // namespace

TEST_CASE("a review to order has the layout that the model was trained with", "[e2e]") {
  const std::vector<std::string> options{"--stars", "4",     "--max-new-tokens", "10", "--seed",
                                         "3",       "--json"};
  const ProcessResult result = of_reviews().ovid("generate", options);
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
  const auto row = json_lines(result.output).at(0);
  CHECK(row["prompt_tokens"] == std::vector<int>({256, 260, 262, '\n'}));
  CHECK(row["category"] == "Musical Instruments");
  CHECK(row["stars"] == 4);
  auto named = options;
  for (const char* more : {"--category", "musical instruments", "--headline", "So so"})
    named.emplace_back(more);
  const auto other = json_lines(of_reviews().ovid("generate", named).output).at(0);
  CHECK(other["prompt_tokens"] ==
        std::vector<int>({256, 260, 262, '\n', 'S', 'o', ' ', 's', 'o', '\n'}));
  CHECK(other["headline"] == "So so");
}

TEST_CASE("what the model does not know is refused, and what it knows is named", "[e2e]") {
  const auto refused = [](const std::vector<std::string>& options, const std::string& reason) {
    const ProcessResult result = of_reviews().ovid("generate", options);
    CHECK(result.exit_code == 2);
    CHECK(result.output.empty());
    CHECK_THAT(result.errors, Contains(reason));
  };
  refused({"--stars", "1", "--category", "Musical Instrument"},
          "did you mean Musical Instruments?");
  refused({"--stars", "1", "--category", "Fashion"}, "it knows: Musical Instruments");
  refused({"--stars", "6"}, "outside 1 to 5");
  refused({"--category", "Fashion", "--prompt", "a"}, "give --stars");
  refused({"--stars", "1", "--prompt", "a"}, "give one of");
  CHECK_THAT(of_dialogues().ovid("generate", {"--stars", "1"}).errors, Contains("ovid chat"));
}

TEST_CASE("samples without end are whole and those of any number, until a signal", "[e2e]") {
  const TunedModel& model = of_reviews();
  const std::vector<std::string> options{"--stars", "5",     "--max-new-tokens", "20", "--seed",
                                         "3",       "--json"};
  const std::string output = model.path("endless.jsonl");
  std::vector<std::string> line{program("ovid"), "generate",
                                "--model",       model.path("tuned/checkpoints/step-00000003"),
                                "--samples",     "0"};
  line.insert(line.end(), options.begin(), options.end());
  {
    Process endless(line, output);
    for (int i = 0; i < 600 && (!std::filesystem::exists(output) || size_of_file(output) < 3000);
         ++i) {
      CHECK_FALSE(endless.wait_for(0.1));
    }
    endless.signal(SIGINT);
    CHECK(endless.wait() == 0);
  }
  const auto rows = json_lines(read_file(output));  // throws where a line is not whole
  REQUIRE(rows.size() >= 3);
  auto finite = options;
  for (const char* more : {"--samples", "3", "--batch", "1"}) finite.emplace_back(more);
  const auto same = json_lines(model.ovid("generate", finite).output);
  for (std::size_t i = 0; i < 3; ++i) CHECK(rows[i] == same.at(i));
}

TEST_CASE("a conversation goes through pipes, a line for a line", "[e2e]") {
  const TunedModel& model = of_dialogues();
  replace_file(model.path("persona.txt"), "i ski.\n");
  const std::vector<std::string> options{"--persona", model.path("persona.txt"), "--seed",
                                         "4",         "--max-new-tokens",        "9"};
  const std::string input = "hello\n/retry\n/persona add i sing.\n/layout\ntea ?\n/nothing\n";
  auto with_json = options;
  with_json.emplace_back("--json");
  const ProcessResult json = model.ovid("chat", with_json, input);
  INFO(json.errors);
  REQUIRE(json.exit_code == 0);
  const auto rows = json_lines(json.output);
  REQUIRE(rows.size() == 6);
  CHECK(rows[0]["prompt_tokens"] ==
        std::vector<int>({256, 257, ' ', 'i', ' ', 's', 'k', 'i', '.', '\n', 258, ' ', 'h', 'e',
                          'l', 'l', 'o', '\n', 259}));
  CHECK(rows[1]["seed"] == 5);
  CHECK(rows[1]["reused_tokens"] == 18);
  CHECK(rows[2]["command"] == "/persona");
  CHECK(rows[3]["tokens"] == rows[0]["prompt_tokens"]);
  CHECK_THAT(rows[4]["message"].get<std::string>(), Contains("tea ?"));
  CHECK_THAT(rows[5]["error"].get<std::string>(), Contains("/nothing is no command"));
  CHECK(model.ovid("chat", with_json, input).output == json.output);

  const ProcessResult plain = model.ovid("chat", options, input);
  CHECK(plain.exit_code == 2);  // at the line that is no command
  CHECK(plain.output == rows[0]["reply"].get<std::string>() + "\n" +
                            rows[1]["reply"].get<std::string>() + "\n" +
                            rows[4]["reply"].get<std::string>() + "\n");
}

TEST_CASE("a transcript holds the conversation and replaces no file", "[e2e]") {
  const TunedModel& model = of_dialogues();
  const std::string transcript = model.path("talk.txt");
  const std::vector<std::string> options{"--transcript", transcript, "--seed", "4"};
  CHECK(model.ovid("chat", options, "hello\nwrong\n/undo\n/quit\nnever read").exit_code == 0);
  const std::string text = read_file(transcript);
  CHECK(text.starts_with("partner: hello\n"));
  CHECK_THAT(text, !Contains("wrong") && !Contains("never"));
  const ProcessResult again = model.ovid("chat", options, "hello\n");
  CHECK(again.exit_code == 2);
  CHECK_THAT(again.errors, Contains("is there already"));
  CHECK(read_file(transcript) == text);
}

}  // namespace ovid::test
