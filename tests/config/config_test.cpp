#include "src/config/config.h"

#include <rapidcheck.h>

#include <clocale>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "src/config/number.h"
#include "src/config/pages.h"
#include "src/config/presets.h"
#include "src/config/schema.h"
#include "src/config/suggestion.h"
#include "src/config/value.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::config {
namespace {

const std::string kSmallest = "data: {train: [a.bin]}\n";

RunConfig values_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return load_text(text, "run.yaml", overrides).values;
}

}  // namespace

TEST_CASE("a config that names only its data has the documented defaults", "[config]") {
  const RunConfig c = values_of(kSmallest);
  CHECK(c.run == RunSection{});
  CHECK(c.model.preset == "gpt2-124m");
  CHECK(c.model.layers == 12);
  CHECK(c.model.heads == 12);
  CHECK(c.model.width == 768);
  CHECK(c.model.context_length == 1024);
  CHECK(c.model.vocabulary_size == 50257);
  CHECK(c.data.train == std::vector<std::string>{"a.bin"});
  CHECK(c.batch == BatchSection{512, 16, 0, 0, 1024});
  CHECK(c.optimizer == OptimizerSection{6e-4, 0.9, 0.95, 1e-8, 0.1, 1.0});
  CHECK(c.schedule == ScheduleSection{});
  CHECK(c.training.steps == 19560);
  CHECK(c.validation.every_steps == 0);  // there is nothing to validate on
  CHECK(c.checkpoint == CheckpointSection{1000, 3, 0, true, false, true, true});
  CHECK(c.early_stopping == EarlyStoppingSection{});
  CHECK(c.weight_average == WeightAverageSection{});
  CHECK(c.guard == GuardSection{128, 30.0, 10});
  CHECK(c.metrics == MetricsSection{true, true});
  CHECK(c.samples == SamplesSection{1000, "", 64});
  CHECK_FALSE(c.initialize_from.has_value());
}

TEST_CASE("every key of a full config is read", "[config]") {
  const RunConfig c = values_of(R"(
run:        {name: demo-2, directory: /scratch/runs, seed: 9007199254740991}
device:     {kind: cpu, index: 1, threads: 4}
precision:  bfloat16
model:      {layers: 2, heads: 3, width: 96, context_length: 64,
             vocabulary_size: 257, tied_head: false, dropout: 0.25}
initialize_from: null
data:       {train: ["*.bin", b.bin], weights: [3, 0.5], validation: v.bin,
             order: sequential, tokenizer: bytes}
batch:      {sequences: 12, micro_sequences: 4, ramp_from: 8, ramp_steps: 3, length: 32}
optimizer:  {learning_rate: 1E-3, beta1: 0, beta2: .5, epsilon: 1.e-6,
             weight_decay: +0.0, gradient_clip: 0}
schedule:   {kind: warmup_stable_decay, warmup_steps: 0, final_fraction: 0, decay_fraction: 0.5}
training:   {steps: 10}
early_stopping: {patience: 4, minimum_improvement: 1e-3}
weight_average: {decay: 0.999}
guard:      {window: 64, outlier_z: 0, most_skips: 0}
validation: {every_steps: 5, sequences: 1}
checkpoint: {every_steps: 0, keep_last: 1, keep_every: 5k, keep_best: false,
             save_best: false, initial: false, asynchronous: false}
samples:    {every_steps: 2, prompt: "a\n\"b\" # \xe9", tokens: 1}
metrics:    {tensorboard: false, report: false}
recompute:  block
distributed: {zero_stage: 3, reduction: canonical}
)");
  CHECK(c.run == RunSection{"demo-2", "/scratch/runs", 9007199254740991u});
  CHECK(c.device == DeviceSection{DeviceKindChoice::kCpu, 1, 4});
  CHECK(c.precision == Precision::kBfloat16);
  CHECK(c.model == ModelSection{std::nullopt, 2, 3, 96, 64, 257, false, 0.25});
  CHECK(c.data ==
        DataSection{{"*.bin", "b.bin"}, {3.0, 0.5}, {"v.bin"}, DataOrder::kSequential, "bytes"});
  CHECK(c.batch == BatchSection{12, 4, 8, 3, 32});
  CHECK(c.optimizer == OptimizerSection{1e-3, 0.0, 0.5, 1e-6, 0.0, 0.0});
  CHECK(c.schedule == ScheduleSection{ScheduleKind::kWarmupStableDecay, 0, 0.0, 0.5});
  CHECK(c.training.steps == 10);
  CHECK(c.early_stopping == EarlyStoppingSection{4, 1e-3});
  CHECK(c.weight_average == WeightAverageSection{0.999});
  CHECK(c.guard == GuardSection{64, 0.0, 0});
  CHECK(c.validation == ValidationSection{5, 1});
  CHECK(c.checkpoint == CheckpointSection{0, 1, 5000, false, false, false, false});
  CHECK(c.samples == SamplesSection{2, "a\n\"b\" # \xc3\xa9", 1});
  CHECK(c.metrics == MetricsSection{false, false});
  CHECK(c.recompute == Recompute::kBlock);
  CHECK(c.distributed == DistributedSection{3, ReductionOrder::kCanonical});
}

TEST_CASE("a preset fills the shape, and keys beside it override it", "[config]") {
  for (const Preset& preset : presets()) {
    const RunConfig c = values_of(kSmallest, {"model.preset=" + std::string(preset.name)});
    CHECK(c.model.layers == preset.layers);
    CHECK(c.model.heads == preset.heads);
    CHECK(c.model.width == preset.width);
    CHECK(c.model.width == 64 * c.model.heads);
  }
  const RunConfig c = values_of(
      "model: {preset: gpt2-355m, vocabulary_size: 4096, context_length: 256}\n" + kSmallest);
  CHECK(c.model.layers == 24);
  CHECK(c.model.vocabulary_size == 4096);
  CHECK(c.batch.length == 256);
  CHECK(values_of("model: {vocabulary_size: 300}\n" + kSmallest).model.layers == 12);
}

TEST_CASE("numbers that the config leaves to another source stay 0", "[config]") {
  const RunConfig own = values_of("model: {layers: 2, heads: 2, width: 64}\n" + kSmallest);
  CHECK(own.model.vocabulary_size == 0);
  CHECK(own.model.context_length == 1024);
  CHECK_FALSE(own.model.preset.has_value());
  const RunConfig tuned = values_of("initialize_from: some/model\n" + kSmallest);
  CHECK(tuned.initialize_from == "some/model");
  CHECK(tuned.model == ModelSection{});
  CHECK(tuned.batch.length == 0);
  // A resolved config must not decide what its original left to the model directory.
  const std::string resolved =
      load_text("initialize_from: some/model\n" + kSmallest, "run.yaml").resolved_yaml;
  CHECK_THAT(resolved, Catch::Contains("tied_head: null\n"));
  CHECK(load_text(resolved, "again").origins.at("model.tied_head") == "default");
}

TEST_CASE("defaults that follow from other keys never contradict them", "[config]") {
  for (std::int64_t n = 1; n <= 40; ++n) {
    const RunConfig c = values_of(
        kSmallest, {"batch.sequences=" + std::to_string(n), "training.steps=" + std::to_string(n)});
    CHECK(c.batch.sequences % c.batch.micro_sequences == 0);
    CHECK(c.batch.micro_sequences <= 16);
    CHECK(c.schedule.warmup_steps == n / 10);
  }
  CHECK(values_of(kSmallest, {"batch.sequences=24"}).batch.micro_sequences == 12);
  CHECK(values_of("data: {train: a, validation: b}").validation.every_steps == 250);
}

TEST_CASE("overrides win over the file, and the later of two over the earlier", "[config]") {
  const LoadedConfig loaded =
      load_text("data: {train: [a.bin]}\ntraining: {steps: 7}\n", "run.yaml",
                std::vector<std::string>{
                    "training.steps=8", "training.steps=9", "data.train=[b.bin, 'c d.bin']",
                    "samples.prompt=", "data.validation=v/*.bin", "initialize_from=x",
                    "initialize_from=null", "optimizer.beta1= 0.5"});
  CHECK(loaded.values.training.steps == 9);
  CHECK(loaded.values.data.train == std::vector<std::string>{"b.bin", "c d.bin"});
  CHECK(loaded.values.data.validation == std::vector<std::string>{"v/*.bin"});
  CHECK(loaded.values.samples.prompt.empty());
  CHECK_FALSE(loaded.values.initialize_from.has_value());
  CHECK(loaded.values.model.layers == 12);
  CHECK(loaded.values.optimizer.beta1 == 0.5);
  CHECK(loaded.origins.at("training.steps") == "command line");
  CHECK(loaded.origins.at("run.seed") == "default");
}

TEST_CASE("every value knows where it came from", "[config]") {
  const LoadedConfig loaded =
      load_text("data:\n  train: [a.bin]\nmodel: {preset: distilgpt2}\n", "a/run.yaml");
  CHECK(loaded.origins.size() == schema().size());
  CHECK(loaded.origins.at("data.train") == "a/run.yaml:2");
  CHECK(loaded.origins.at("model.preset") == "a/run.yaml:3");
  CHECK(loaded.origins.at("model.layers") == "preset distilgpt2");
  CHECK_THAT(show(loaded),
             Catch::Contains("  layers: 6 ") && Catch::Contains("# preset distilgpt2\n"));
  CHECK(values_of(show(loaded)) == loaded.values);
}

TEST_CASE("the resolved config holds every key and loads to the same values", "[config]") {
  const std::vector<std::vector<std::string>> variants = {
      {},
      {"initialize_from='a #b'", "samples.prompt=\"tab\\t, nul \\0, c1 \\x85, bell \\a\\n: 'x'\""},
      {"model.layers=3", "model.heads=2", "model.width=10",
       "data.validation=[true, 'null', '1e5', '-', '*x', \"a, b\"]"},
      {"optimizer.learning_rate=1.2345678901234567e-5", "optimizer.epsilon=5e-324", "run.name=007",
       "run.seed=0"},
      {"schedule.kind=linear", "distributed.reduction=canonical",
       "samples.prompt=\" \xe2\x80\xa8\xf0\x9f\xa6\x84 \""}};
  for (const auto& overrides : variants) {
    const LoadedConfig loaded = load_text(kSmallest, "run.yaml", overrides);
    INFO(loaded.resolved_yaml);
    const LoadedConfig again = load_text(loaded.resolved_yaml, "resolved.yaml");
    CHECK(again.values == loaded.values);
    CHECK(again.resolved_yaml == loaded.resolved_yaml);
    for (const Key& key : schema()) {
      CHECK_THAT(loaded.resolved_yaml,
                 Catch::Contains(std::string(split_path(key.path).second) + ": "));
    }
  }
}

TEST_CASE("integers may end in a suffix", "[config]") {
  const RunConfig c = values_of(
      "training: {steps: 20k}\nmodel: {context_length: 2Ki}\nschedule: {warmup_steps: +1k}\n" +
          kSmallest,
      {"checkpoint.every_steps=1M", "samples.every_steps=3G", "validation.sequences=2Mi"});
  CHECK(c.training.steps == 20'000);
  CHECK(c.model.context_length == 2048);
  CHECK(c.schedule.warmup_steps == 1000);
  CHECK(c.checkpoint.every_steps == 1'000'000);
  CHECK(c.samples.every_steps == 3'000'000'000);
  CHECK(c.validation.sequences == 2'097'152);
  CHECK(parse_integer("9223372036854775807") == 9223372036854775807);
  CHECK(parse_integer("-8589934592Gi") == std::numeric_limits<std::int64_t>::min());
  CHECK_FALSE(parse_integer("8589934592Gi").has_value());
  CHECK_FALSE(parse_integer("10T").has_value());
  CHECK_FALSE(parse_integer("k").has_value());
}

TEST_CASE("the micro batch may be left to the memory", "[config]") {
  const LoadedConfig loaded =
      load_text("batch: {micro_sequences: auto, sequences: 10}\n" + kSmallest, "run.yaml");
  CHECK(loaded.values.batch.micro_sequences == 0);
  CHECK_THAT(loaded.resolved_yaml, Catch::Contains("  micro_sequences: auto\n"));
  CHECK(values_of(loaded.resolved_yaml) == loaded.values);
}

TEST_CASE("a batch ramp is taken, and the default micro batch divides both of its ends",
          "[config]") {
  const RunConfig c =
      values_of("batch: {sequences: 48, ramp_from: 8, ramp_steps: 2k}\n" + kSmallest);
  CHECK(c.batch == BatchSection{48, 8, 8, 2000, 1024});
  CHECK(values_of("batch: {sequences: 48, ramp_from: 30, ramp_steps: 1}\n" + kSmallest)
            .batch.micro_sequences == 6);
  CHECK(values_of("batch: {micro_sequences: auto, ramp_from: 7, ramp_steps: 1}\n" + kSmallest)
            .batch.ramp_from == 7);
}

TEST_CASE("early stopping saves the best model unless it is told not to", "[config]") {
  const std::string text = "data: {train: [a], validation: [b]}\nearly_stopping: {patience: 2}\n";
  CHECK(values_of(text).checkpoint.save_best);
  CHECK_FALSE(values_of(text, {"checkpoint.save_best=false"}).checkpoint.save_best);
  CHECK_FALSE(values_of(text, {"early_stopping.patience=0"}).checkpoint.save_best);
}

TEST_CASE("weights are a list of numbers, one for each entry of the data", "[config]") {
  const RunConfig c = values_of("data: {train: [a, b], weights: [1e-3, 2]}");
  CHECK(c.data.weights == std::vector<double>{0.001, 2.0});
  CHECK(values_of("data: {train: a, weights: 0.5}").data.weights == std::vector<double>{0.5});
  CHECK(values_of("data: {train: [a, b], weights: []}").data.weights.empty());
  const LoadedConfig loaded = load_text("data: {train: [a, b], weights: [0.1, 3]}", "run.yaml");
  CHECK_THAT(loaded.resolved_yaml, Catch::Contains("  weights: [0.1, 3.0]\n"));
  CHECK(values_of(loaded.resolved_yaml) == loaded.values);
}

TEST_CASE("configs and keys are told as JSON", "[config]") {
  const LoadedConfig loaded = load_text(
      "data: {train: [a, b], weights: [1, 2]}\nbatch: {micro_sequences: auto}\nsamples: {prompt: "
      "\"\\x85\\n\\\"\"}\n",
      "run.yaml");
  const auto shown = nlohmann::json::parse(show_json(loaded));
  CHECK(shown["config"]["data"]["weights"] == std::vector<double>{1.0, 2.0});
  CHECK(shown["config"]["batch"]["micro_sequences"] == "auto");
  CHECK(shown["config"]["initialize_from"].is_null());
  CHECK(shown["config"]["samples"]["prompt"] == "\xc2\x85\n\"");
  CHECK(shown["origins"]["data.train"] == "run.yaml:1");
  CHECK(shown["origins"].size() == schema().size());

  const auto all = nlohmann::json::parse(explain_json(""));
  CHECK(all["keys"].size() == schema().size() + 1);  // and `include`
  CHECK(all["sections"].size() == sections().size());
  const auto one = nlohmann::json::parse(explain_json("optimizer.epsilon"));
  REQUIRE(one["keys"].size() == 1);
  CHECK(one["sections"].empty());
  CHECK(one["keys"][0]["default"] == 1e-8);
  CHECK(one["keys"][0]["range"]["low_included"] == false);
  CHECK(nlohmann::json::parse(explain_json("batch"))["keys"].size() == 5);
  CHECK_THROWS_AS(explain_json("nonsense"), UsageError);
}

TEST_CASE("ten typical mistakes get these messages", "[config]") {
  const Path golden = test::source_directory() / "tests/config/typical_mistakes.txt";
  CHECK(typical_mistakes_markdown() == read_file(golden));
  CHECK_THAT(reference_markdown(), Catch::EndsWith(typical_mistakes_markdown()));
}

TEST_CASE("a config may begin with a byte order mark and end its lines with CR LF", "[config]") {
  const RunConfig c = values_of(
      "\xef\xbb\xbf"
      "training: {steps: 3}\r\ndata:\r\n  train:\r\n    - a.bin\r\n");
  CHECK(c.training.steps == 3);
  CHECK(c.data.train == std::vector<std::string>{"a.bin"});
}

TEST_CASE("a config is read from a file", "[config]") {
  const test::TemporaryDirectory folder;
  replace_file(folder / "run.yaml", kSmallest);
  const LoadedConfig loaded = load(folder / "run.yaml");
  CHECK(loaded.values == values_of(kSmallest));
  CHECK(loaded.origins.at("data.train") == (folder / "run.yaml").string() + ":1");
}

TEST_CASE("every key is documented, explained and on the reference page", "[config]") {
  const std::string page = reference_markdown();
  const std::string all = explain("");
  std::set<std::string_view> paths;
  for (const Key& key : schema()) {
    INFO(key.path);
    CHECK(paths.insert(key.path).second);
    CHECK(key.documentation.size() > 15);
    CHECK(key.documentation.back() == '.');
    CHECK_THAT(page, Catch::Contains("| `" + std::string(key.path) + "` |"));
    CHECK_THAT(explain(key.path), Catch::StartsWith(std::string(key.path) + "  ["));
    CHECK_THAT(all, Catch::Contains(explain(key.path)));
    const auto section = split_path(key.path).first;
    CHECK((section.empty() || find_section(section) != nullptr));
    if (!section.empty()) CHECK_THAT(explain(section), Catch::Contains(explain(key.path)));
    // The table's own defaults lie in its own ranges.
    const Value standard = key.get(RunConfig{});
    RunConfig copy;
    key.set(copy, standard);
    CHECK(copy == RunConfig{});
  }
  CHECK_THROWS_WITH(explain("optimizer.beta"), Catch::Contains("did you mean `beta1`?"));
  CHECK_THROWS_AS(explain("nonsense"), UsageError);
}

TEST_CASE("numbers are decimal in every locale", "[config]") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "C"}) {
    if (std::setlocale(LC_ALL, name) == nullptr) continue;
    CHECK(parse_number("1.5e-3") == 1.5e-3);
    CHECK_FALSE(parse_number("1,5").has_value());
    CHECK(to_yaml(0.0015) == "0.0015");
  }
  std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("edit distance counts a swap of neighbours as one", "[config]") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("beta", "beta") == 0);
  CHECK(edit_distance("baet", "beta") == 2);
  CHECK(edit_distance("btea", "beta") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("random text and random edits of a good config load or are refused, and never crash",
          "[config]") {
  ::setenv("RC_PARAMS", "seed=20190214 max_success=300", 0);  // read once, at the first check
  const auto loads_or_refuses = [](const std::string& text,
                                   const std::vector<std::string>& overrides) {
    try {
      const LoadedConfig loaded = load_text(text, "random", overrides);
      RC_ASSERT(load_text(loaded.resolved_yaml, "again").values == loaded.values);
    } catch (const ConfigError& e) {
      RC_ASSERT(!e.problems.empty());
    }
  };
  const std::string good = load_text(kSmallest, "good").resolved_yaml;
  const std::string letters = "{}[],:#&*!|>'\"%@`-? \n\t~<=.0123e_xab\xff\xc3\xa9";
  CHECK(
      rc::check("random bytes", [&] { loads_or_refuses(*rc::gen::arbitrary<std::string>(), {}); }));
  CHECK(rc::check("random YAML letters", [&] {
    loads_or_refuses(*rc::gen::container<std::string>(rc::gen::elementOf(letters)), {});
  }));
  CHECK(rc::check("edited configs", [&] {
    std::string text = good;
    const auto edits = *rc::gen::inRange(1, 4);
    for (int i = 0; i < edits; ++i) {
      const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
      const char letter = *rc::gen::elementOf(letters);
      if (*rc::gen::arbitrary<bool>()) {
        text[at] = letter;
      } else {
        text.insert(at, 1, letter);
      }
    }
    loads_or_refuses(text, {});
  }));
  CHECK(rc::check("random overrides", [&] {
    const Key& key = schema()[*rc::gen::inRange<std::size_t>(0, schema().size())];
    const std::string path(key.path);
    loads_or_refuses(kSmallest,
                     {path + "=" + *rc::gen::container<std::string>(rc::gen::elementOf(letters))});
  }));
}

}  // namespace ovid::config
