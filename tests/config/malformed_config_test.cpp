#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "src/config/config.h"
#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/config/malformed_configs.h"
#include "tests/test_files.h"

namespace ovid::config {
namespace {

ConfigError error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    load_text(text, "run.yaml", overrides);
  } catch (const ConfigError& e) {
    return e;
  }
  FAIL("loaded: " << text.substr(0, 200));
  throw std::logic_error("unreachable");
}

// What `error` says, as a list of the table would.
std::string told(const ConfigError& error) {
  std::string out;
  for (const Problem& p : error.problems) {
    out += fmt::format("{}:{}:{} error: {}\n  label: {}\n  help: {}\n", p.source, p.line, p.column,
                       p.message, p.label, p.help);
  }
  return out;
}

// What loading the case throws. Files are written where it is made of several.
std::optional<ConfigError> error_of_case(const MalformedConfig& c) {
  const std::string& text = c.files.front().second;
  try {
    if (text.find("include:") == std::string::npos) {
      load_text(text, "run.yaml", c.overrides);
    } else {
      const test::TemporaryDirectory folder;
      for (const auto& [name, file_text] : c.files) {
        make_directories((folder.path() / name).parent_path());
        OutputFile file(folder.path() / name, WriteMode::kTruncate);
        file.write(file_text);
        file.close();
      }
      load(folder / "run.yaml", c.overrides);
    }
  } catch (const ConfigError& e) {
    return e;
  }
  return std::nullopt;
}

void check_case(const MalformedConfig& c) {
  const std::optional<ConfigError> thrown = error_of_case(c);
  INFO("case in line " << c.line << " of malformed_configs.txt:\n" << c.files.front().second);
  CHECK(thrown.has_value());
  if (!thrown) return;
  INFO(told(*thrown));
  CHECK(thrown->exit_code() == ExitCode::kUsage);
  CHECK(std::string(thrown->what()).find('\x1b') == std::string::npos);
  CHECK(thrown->problems.size() == c.problems.size());
  if (thrown->problems.size() != c.problems.size()) return;
  for (std::size_t i = 0; i < c.problems.size(); ++i) {
    const ExpectedProblem& expected = c.problems[i];
    const Problem& problem = thrown->problems[i];
    if (expected.line > 0) CHECK_THAT(problem.source, Catch::EndsWith(expected.source));
    CHECK(problem.line == expected.line);
    CHECK(problem.column == expected.column);
    CHECK_THAT(problem.message, Catch::Contains(expected.message));
    CHECK_THAT(problem.label, Catch::Contains(expected.label));
    CHECK_THAT(problem.help, Catch::Contains(expected.help));
  }
}

}  // namespace

TEST_CASE("each malformed config of the table is refused with the messages of the table",
          "[config]") {
  const std::vector<MalformedConfig> cases =
      read_malformed_configs(test::source_directory() / "tests/config/malformed_configs.txt");
  CHECK(cases.size() >= 200);
  for (const MalformedConfig& c : cases) check_case(c);
}

TEST_CASE("deep nesting and unclosed brackets are refused before they can do harm", "[config]") {
  const std::string brackets(10'000, '[');
  const ConfigError deep = error_of("data: " + brackets + std::string(10'000, ']'));
  CHECK(deep.problems.front().column == 14);
  CHECK_THAT(deep.what(), Catch::Contains("nested deeper than 8 levels"));
  CHECK_THAT(error_of("data: " + brackets).what(), Catch::Contains("nested deeper than 8 levels"));
  std::string dashes;
  for (int i = 0; i < 10'000; ++i) dashes += "- ";
  CHECK_THAT(error_of("data:\n  " + dashes).what(), Catch::Contains("nested deeper than 8"));
  const std::string long_name(201, 'n');
  CHECK_THAT(error_of("data: {train: [a]}\nrun: {name: " + long_name + "}").what(),
             Catch::Contains("at most 200 bytes"));
}

TEST_CASE("an empty file, a comment alone and a file without end are refused", "[config]") {
  for (const std::string text : {"", "\n\n", "# nothing\n", "---\n", "null", "~"}) {
    CHECK_THAT(error_of(text).what(), Catch::Contains("the config is empty"));
  }
  CHECK_THAT(error_of(std::string((1 << 20) + 1, ' ')).what(),
             Catch::Contains("larger than 1048576 bytes"));
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "a" + std::to_string(i) + ": 1\n";
  CHECK_THAT(error_of(many).what(), Catch::Contains("more than 10000 values"));
  CHECK_THAT(error_of(std::string(1 << 20, '{')).what(),
             Catch::Contains("more than 20000 brackets and commas"));
  const ConfigError long_line = error_of("# a\nrun: {name: " + std::string(1'000'000, 'x') + "}");
  CHECK_THAT(long_line.what(), Catch::Contains("the line is longer than 65536 bytes"));
  CHECK(std::string(long_line.what()).size() < 500);
}

TEST_CASE("all mistakes of a config are told at once, in the order of their places", "[config]") {
  const ConfigError error =
      error_of("optimizer:\n  learning_rat: 1\n  beta1: 2\nbatch: {length: 9999}\nlr: 1\n",
               {"training.steps=0", "run.name=x"});
  REQUIRE(error.problems.size() == 6);
  CHECK(error.problems[0].message == "`data.train` is missing");
  CHECK(error.problems[1].line == 2);
  CHECK(error.problems[2].line == 3);
  CHECK(error.problems[3].line == 4);
  CHECK(error.problems[4].line == 5);
  CHECK(error.problems[5].source == "command line");
}

TEST_CASE("an error shows the line with carets under the place", "[config]") {
  CHECK(std::string(error_of("data: {train: [a]}\noptimizer:\n  learning_rat: 6e-4\n").what()) ==
        "unknown key `learning_rat` in `optimizer`\n"
        " --> run.yaml:3:3\n"
        "  |\n"
        "3 |   learning_rat: 6e-4\n"
        "  |   ^^^^^^^^^^^^ did you mean `learning_rate`?\n"
        "  = help: `ovid config explain optimizer` lists all keys in `optimizer`");
  CHECK(std::string(error_of("data: {train: [a]}\nrun: {name: \"\xc3\xa9\", seed: x}\n").what()) ==
        "`run.seed` cannot be `x`\n"
        " --> run.yaml:2:24\n"
        "  |\n"
        "2 | run: {name: \"\xc3\xa9\", seed: x}\n"
        "  |                        ^ integer, 0 to 9007199254740991");
  const std::string far =
      "run: {name: a" + std::string(5000, ' ') + ", seed: x}\ndata: {train: [a]}";
  CHECK(std::string(error_of(far).what()).size() < 500);
}

TEST_CASE("an error of the command line names the override", "[config]") {
  const std::string good = "data: {train: [a.bin]}";
  CHECK(std::string(error_of(good, {"optimizer.learning_rat=1"}).what()) ==
        "unknown key `optimizer.learning_rat`\n"
        "  --> command line: optimizer.learning_rat=1\n"
        "                    ^^^^^^^^^^^^^^^^^^^^^^ did you mean `learning_rate`?\n"
        "  = help: `ovid config explain` lists all keys");
  const auto message = [&](const std::string& text) {
    return error_of(good, {text}).problems.front().message;
  };
  CHECK_THAT(message("training.steps=012"), Catch::Contains("cannot be `012`"));
  CHECK(error_of(good, {"training.steps=012"}).problems.front().column == 16);
  CHECK_THAT(message("steps"), Catch::Contains("form `section.key=value`"));
  CHECK_THAT(message("=1"), Catch::Contains("form `section.key=value`"));
  CHECK_THAT(message(""), Catch::Contains("form `section.key=value`"));
  CHECK_THAT(message("model={layers: 2}"), Catch::Contains("`model` is a section"));
  CHECK_THAT(message("samples.prompt=a: b"), Catch::Contains("cannot be a map"));
  CHECK_THAT(message("data.train=*.bin"), Catch::Contains("alias"));
  CHECK_THAT(message("data.train=[a"), Catch::Contains("never closed"));
  CHECK_THAT(message("run.name=a\nb"), Catch::Contains("no line end"));
  CHECK_THAT(message("run.name=\x1b[31m"), Catch::Contains("control character"));
  CHECK_THAT(message("batch.micro_sequences=7"), Catch::Contains("not divisible"));
  CHECK_THAT(message("data.train=[]"), Catch::Contains("empty"));
  // A later override does not hide an earlier one that is wrong.
  CHECK(error_of(good, {"training.steps=x", "training.steps=5"}).problems.size() == 1);
}

TEST_CASE("a config file that is absent or a folder is a usage error", "[config]") {
  CHECK_THROWS_AS(load("/nonexistent/run.yaml"), ConfigError);
  CHECK_THROWS_AS(load("/"), ConfigError);
  CHECK_THROWS_AS(load("/dev/zero"), ConfigError);
}

}  // namespace ovid::config
