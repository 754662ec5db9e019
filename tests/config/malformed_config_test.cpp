#include <fmt/format.h>

#include <string>
#include <vector>

#include "src/config/config.h"
#include "tests/catch.h"

namespace ovid::config {
namespace {

// A config with exactly one mistake. "data: {train: [a.bin]}" is put behind it where it has no data
// of its own.
struct Malformed {
  std::string text;
  std::size_t line;
  std::size_t column;
  std::string message;  // part of it
  std::string label;    // part of what stands beside the carets; empty: nothing is asked
};

std::vector<Malformed> unknown_keys() {
  return {
      {"optimizer:\n  learning_rat: 6e-4", 2, 3, "unknown key `learning_rat` in `optimizer`",
       "did you mean `learning_rate`?"},
      {"optimizer: {lerning_rate: 1e-3}", 1, 13, "`lerning_rate`", "did you mean `learning_rate`?"},
      {"optimizer: {btea1: 0.9}", 1, 13, "`btea1`", "did you mean `beta1`?"},
      {"optimizer: {dropout: 0.1}", 1, 13, "`dropout`", "`dropout` lives in `model`"},
      {"training: {every_steps: 5}", 1, 12, "`every_steps`",
       "lives in `validation`, `checkpoint`, `samples`"},
      {"learning_rate: 1e-3", 1, 1, "`learning_rate`", "`learning_rate` lives in `optimizer`"},
      {"optimzer: {}", 1, 1, "`optimzer`", "did you mean `optimizer`?"},
      {"optimizer: {lr: 1}", 1, 13, "`lr`", "did you mean `optimizer.learning_rate`?"},
      {"n_layer: 12", 1, 1, "`n_layer`", "did you mean `model.layers`?"},
      {"model: {n_embd: 12}", 1, 9, "`n_embd`", "did you mean `model.width`?"},
      {"model: {precision: float32}", 1, 9, "`precision`", "stands at the top level"},
      {"model: {optimizer: {}}", 1, 9, "`optimizer`", "is a section of the top level"},
      {"batch: {zzzzzz: 1}", 1, 9, "unknown key `zzzzzz` in `batch`", ""},
      {"optimizer.learning_rate: 1e-3", 1, 1, "`optimizer.learning_rate`",
       "write `learning_rate` below `optimizer:`"},
      {"<<: {run: 1}", 1, 1, "unknown key `<<`", ""},
      {"\"\\e[31m\": 1", 1, 1, "unknown key `?[31m`", ""},
      {"\xc3\xa9t\xc3\xa9: {b: 1}", 1, 1, "unknown key `\xc3\xa9t\xc3\xa9`", ""},
      {"batch: {\xc3\xa9: 1, stuff: 1}", 1, 9, "`\xc3\xa9`", ""},
  };
}

std::vector<Malformed> wrong_types() {
  return {
      {"training: {steps: 012}", 1, 19, "`training.steps` cannot be `012`", "write 12"},
      {"training: {steps: -007}", 1, 19, "`-007`", "write -7"},
      {"optimizer: {learning_rate: 00.1}", 1, 28, "`00.1`", "write 0.1"},
      {"training: {steps: 1_000}", 1, 19, "`1_000`", "write 1000"},
      {"optimizer: {learning_rate: 1_0e-4}", 1, 28, "`1_0e-4`", "write 10e-4"},
      {"training: {steps: 0x10}", 1, 19, "`0x10`", "decimal"},
      {"training: {steps: 0o17}", 1, 19, "`0o17`", "decimal"},
      {"training: {steps: 1e3}", 1, 19, "`1e3`", "write 1000"},
      {"training: {steps: 1.5}", 1, 19, "`1.5`", "integer, 1 to"},
      {"training: {steps: \"100\"}", 1, 19, "the text `100`", "remove the quotes"},
      {"training: {steps: 1:30}", 1, 19, "`1:30`", "integer"},
      {"training: {steps: many}", 1, 19, "`many`", "integer"},
      {"training: {steps: true}", 1, 19, "`true`", "integer"},
      {"training: {steps: [5]}", 1, 12, "cannot be a list", "integer"},
      {"training: {steps: {a: 5}}", 1, 12, "cannot be a map", "integer"},
      {"training: {steps: }", 1, 12, "has no value", "integer"},
      {"training: {steps: null}", 1, 12, "has no value", "integer"},
      {"optimizer: {learning_rate: .nan}", 1, 28, "`.nan`", "a finite number"},
      {"optimizer: {learning_rate: nan}", 1, 28, "`nan`", "a finite number"},
      {"optimizer: {learning_rate: -.inf}", 1, 28, "`-.inf`", "a finite number"},
      {"optimizer: {gradient_clip: .inf}", 1, 28, "`.inf`", "a finite number"},
      {"optimizer: {gradient_clip: 1e999}", 1, 28, "`1e999` does not fit", "0 or more"},
      {"optimizer: {learning_rate: 6,0e-4}", 1, 30, "unknown key `0e-4`", ""},
      {"optimizer: {learning_rate: fast}", 1, 28, "`fast`", "number"},
      {"model: {tied_head: yes}", 1, 20, "`yes`", "write true"},
      {"model: {tied_head: False}", 1, 20, "`False`", "write false"},
      {"model: {tied_head: 1}", 1, 20, "`1`", "write true"},
      {"model: {tied_head: \"true\"}", 1, 20, "the text `true`", "write true"},
      {"precision: float23", 1, 12, "`float23`", "did you mean `float32`?"},
      {"precision: fp8", 1, 12, "`fp8`", "one of float32, bfloat16"},
      {"schedule: {kind: cosin}", 1, 18, "`cosin`", "did you mean `cosine`?"},
      {"model: {preset: gpt2-124M}", 1, 17, "`gpt2-124M`", "did you mean `gpt2-124m`?"},
      {"device: {kind: [cpu]}", 1, 10, "cannot be a list", "auto | cpu | cuda"},
      {"schedule: cosine", 1, 1, "`schedule` is a section, and here it is a value",
       "keys below it"},
      {"schedule: [cosine]", 1, 1, "`schedule` is a section, and here it is a list", ""},
      {"samples: {prompt: }", 1, 11, "`samples.prompt` has no value", "write \"\""},
      {"data: {train: {a: b}}", 1, 8, "`data.train` cannot be a map", "list of paths"},
      {"data: {train: [[a]]}", 1, 16, "an entry of `data.train` cannot be a list", "a path"},
      {"data: {train: [a, ~]}", 1, 8, "an entry of `data.train` cannot be nothing", "a path"},
      {"data: {train: [\"\"]}", 1, 16, "empty path", ""},
      {"initialize_from: ~/model", 1, 18, "`~` means no home folder here", "write the whole path"},
      {"run: {directory: \"a\\nb\"}", 1, 18, "control characters", ""},
  };
}

std::vector<Malformed> out_of_range() {
  return {
      {"training: {steps: 0}", 1, 19, "`training.steps` = `0` is out of range", "must be 1 to"},
      {"training: {steps: -5}", 1, 19, "`-5`", "must be 1 to"},
      {"training: {steps: 99999999999999999999}", 1, 19, "out of range", "must be 1 to"},
      {"run: {seed: -1}", 1, 13, "`-1`", "must be 0 to 9007199254740991"},
      {"optimizer: {beta1: 1}", 1, 20, "`1` is out of range", "at least 0 and below 1"},
      {"optimizer: {epsilon: 0}", 1, 22, "`0` is out of range", "above 0"},
      {"optimizer: {learning_rate: -1e-3}", 1, 28, "`-1e-3`", "must be 0 to"},
      {"model: {dropout: 1.0}", 1, 18, "`1.0`", "below 1"},
      {"model: {vocabulary_size: 65537}", 1, 26, "`65537`", "must be 1 to 65536"},
      {"distributed: {zero_stage: 4}", 1, 27, "`4`", "must be 0 to 3"},
      {"checkpoint: {keep_last: 0}", 1, 25, "`0`", "must be 1 to"},
      {"run: {name: a/b}", 1, 13, "`a/b` cannot name a folder", "without `/`"},
      {"run: {name: ..}", 1, 13, "`..` cannot name a folder", "begin with a point"},
      {"run: {name: \"\"}", 1, 13, "cannot name a folder", "a name"},
      {"run: {name: " + std::string(201, 'n') + "}", 1, 13, "cannot name a folder",
       "at most 200 bytes"},
  };
}

std::vector<Malformed> contradictions() {
  return {
      {"batch:\n  sequences: 500\n  micro_sequences: 16", 3, 3,
       "16 does not divide `batch.sequences` = 500", "nearest: 10 or 20"},
      {"batch: {sequences: 4, micro_sequences: 8}", 1, 23,
       "8 does not divide `batch.sequences` = 4", "nearest: 4"},
      {"batch: {length: 2048}", 1, 9,
       "`batch.length` = 2048 is above `model.context_length` = 1024", "at most 1024"},
      {"model: {preset: gpt2-124m, width: 770}", 1, 28, "12 does not divide `model.width` = 770",
       "nearest heads: 11 or 14"},
      {"model:\n  layers: 2\n  heads: 3\n  width: 64", 3, 3, "3 does not divide `model.width` = 64",
       "nearest heads: 2 or 4"},
      {"training: {steps: 10}\nschedule: {warmup_steps: 11}", 2, 12,
       "11 is above `training.steps` = 10", "at most 10"},
      {"schedule: {kind: warmup_stable_decay, decay_fraction: 1}", 1, 39,
       "more than `training.steps`", "at most 0.964"},
      {"validation: {every_steps: 10}", 1, 14, "`data.validation` names no shards",
       "0 for no validation"},
      {"model:\n  layers: 2\n  heads: 2", 1, 1, "`model.width` is missing", ""},
      {"data: {order: shuffled}", 1, 1, "`data.train` is missing", ""},
      {"data:", 1, 1, "`data.train` is missing", ""},
      {"data: {train: []}", 1, 8, "`data.train` is empty", "at least one"},
      {"data: {train: }", 1, 8, "`data.train` has no value", ""},
      {"run: {name: a}\nrun: {name: b}", 2, 1, "`run` is given twice", "first given in line 1"},
      {"run:\n  name: a\n  name: a", 3, 3, "`run.name` is given twice", "first given in line 2"},
      {"precision: float32\n\nprecision: float32", 3, 1, "`precision` is given twice", "line 1"},
  };
}

std::vector<Malformed> broken_yaml() {
  const std::string brackets(10'000, '[');
  const std::string deep = "data: " + brackets + std::string(10'000, ']');
  const std::string bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]";
  return {
      {"run:\n\tname: a", 2, 1, "a tab indents this line", ""},
      {"run:\n  name: a\n \t seed: 1", 3, 2, "a tab indents this line", ""},
      {"run: {name: \xff}", 1, 13, "the byte 0xff is not UTF-8", ""},
      {"run: {name: \xc3}", 1, 13, "the byte 0xc3 is not UTF-8", ""},
      {"run: {name: \xed\xa0\x80}", 1, 13, "not UTF-8", ""},
      {"# \xc3\xa9 \x1b[31m", 1, 5, "control character (U+001B)", ""},
      {std::string("run: \0", 6), 1, 6, "control character (U+0000)", ""},
      {bomb, 1, 4, "anchors are not read", ""},
      {"run: {name: *x}", 1, 13, "`*` begins a YAML alias", ""},
      {"data: {train: [*.bin]}", 1, 16, "`*` begins a YAML alias", ""},
      {"run: {name: !!str 12}", 1, 13, "YAML tags are not read", ""},
      {"run: {name: !python/object a}", 1, 13, "YAML tags are not read", ""},
      {deep, 1, 14, "nested deeper than 8 levels", ""},
      {"data: " + brackets, 0, 0, "nested deeper than 8 levels", ""},
      {"run: {name: a}\n---\nrun: {name: b}", 2, 1, "one YAML document", ""},
      {"run: {name: \"a}", 0, 0, "this is not YAML", ""},
      {"run: [a, b", 0, 0, "this is not YAML", ""},
      {"run:\n  name: a\n bad", 0, 0, "this is not YAML", ""},
      {"run: {[a]: b}", 1, 7, "a key must be a name", ""},
      {"{a: b}: c", 1, 1, "a key must be a name", ""},
      {"- run  # no data:", 1, 1, "a config is a map of sections", ""},
      {"only text # data:", 1, 1, "a config is a map of sections", ""},
  };
}

ConfigError error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    load_text(text, "run.yaml", overrides);
  } catch (const ConfigError& e) {
    return e;
  }
  FAIL("loaded: " << text.substr(0, 200));
  throw std::logic_error("unreachable");
}

void check_all(const std::vector<Malformed>& cases) {
  for (const Malformed& c : cases) {
    const bool own_data = c.text.find("data:") != std::string::npos;
    const ConfigError error = error_of(own_data ? c.text : c.text + "\ndata: {train: [a.bin]}\n");
    INFO(c.text.substr(0, 200) << "\n" << std::string(error.what()).substr(0, 1000));
    if (c.message.find("`0e-4`") == std::string::npos &&
        c.text.find("stuff") == std::string::npos) {
      CHECK(error.problems.size() == 1);
    }
    const Problem& problem = error.problems.front();
    if (c.line > 0) {
      CHECK(problem.line == c.line);
      CHECK(problem.column == c.column);
    }
    CHECK_THAT(problem.message, Catch::Contains(c.message));
    CHECK_THAT(problem.label, Catch::Contains(c.label));
    CHECK(std::string(error.what()).find('\x1b') == std::string::npos);
    CHECK(error.exit_code() == ExitCode::kUsage);
  }
}

}  // namespace

TEST_CASE("an unknown key is named with its place and the nearest key", "[config]") {
  check_all(unknown_keys());
}
TEST_CASE("a value of the wrong type is named with what to write instead", "[config]") {
  check_all(wrong_types());
}
TEST_CASE("a value out of range is named with the range", "[config]") {
  check_all(out_of_range());
}
TEST_CASE("contradictory, missing and repeated keys are named", "[config]") {
  check_all(contradictions());
}
TEST_CASE("what is not plain YAML is refused before it can do harm", "[config]") {
  check_all(broken_yaml());
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
  CHECK_THAT(message("data.train=[a"), Catch::Contains("not YAML"));
  CHECK_THAT(message("run.name=a\nb"), Catch::Contains("no line end"));
  CHECK_THAT(message("run.name=\x1b[31m"), Catch::Contains("control character"));
  CHECK_THAT(message("batch.micro_sequences=7"), Catch::Contains("does not divide"));
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
