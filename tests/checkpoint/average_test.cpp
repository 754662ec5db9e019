#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/checkpoint/manifest.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "tests/catch.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/test_files.h"

namespace ovid::checkpoint {
namespace {

void write_text(const Path& path, std::string_view text) {
  OutputFile file(path, WriteMode::kTruncate);
  file.write(text);
}

// A checkpoint whose average holds the parameters of another generation.
struct WithAverage {
  TinyCheckpoint weights{5, 0};
  TinyCheckpoint average{5, 1};
  WithAverage() { weights.content().average = average.content().parameters; }
  Path save(const Path& run) const { return write_checkpoint(run, 5, weights.content(), {}); }
};

std::string problems_of(const Path& path) {
  return fmt::format("{}", fmt::join(verify(path), "; "));
}

}  // namespace

TEST_CASE("an average of the weights is a model directory inside the checkpoint",
          "[checkpoint][average]") {
  const test::TemporaryDirectory run, tokenizer;
  write_text(tokenizer / "vocab.json", "{}");
  write_text(tokenizer / "merges.txt", "#version: 0.2\n");
  WithAverage both;
  both.weights.content().tokenizer = tokenizer.path();
  const Path path = both.save(run.path());
  CHECK(holds(path, 5, 0));
  CHECK(names_in(path / "average") ==
        std::vector<std::string>{"config.json", "merges.txt", "model.safetensors", "vocab.json"});
  CHECK(read_manifest(path).format_version == 2);
  CHECK(has_average(path));
  Buffers loaded(gpt2_tensors(tiny_config()));
  load_average(path, loaded.destinations);
  CHECK(loaded.values == both.average.parameters());
  CHECK(verify(path / "average").empty());
  CHECK(read_model_config(path / "average") == tiny_config());
  CHECK(find_newest_valid(run.path())->path == path);

  const auto inspected = nlohmann::json::parse(inspect_json(path));
  CHECK(inspected.at("tensors").size() == 48);
  CHECK(inspected.dump().find("average/model.safetensors") != std::string::npos);
  CHECK(inspected.at("parameters") ==
        nlohmann::json::parse(inspect_json(path / "average")).at("parameters"));
}

TEST_CASE("a checkpoint without an average says so and keeps the first format",
          "[checkpoint][average]") {
  const test::TemporaryDirectory run;
  const Path path = write_checkpoint(run.path(), 1, TinyCheckpoint(1, 0).content(), {});
  CHECK(read_manifest(path).format_version == 1);
  CHECK_FALSE(has_average(path));
  Buffers loaded(gpt2_tensors(tiny_config()));
  CHECK_THROWS_AS(load_average(path, loaded.destinations), CheckpointError);
}

TEST_CASE("damage to the average makes the checkpoint invalid", "[checkpoint][average]") {
  const test::TemporaryDirectory run;
  log::set_level(log::Level::kError);
  const WithAverage both;
  const Path earlier = write_checkpoint(run.path(), 4, TinyCheckpoint(4, 0).content(), {});
  const Path path = both.save(run.path());
  write_text(path / "average/config.json", "{}");
  CHECK(problems_of(path).find("average/config.json has") != std::string::npos);
  both.save(run.path());
  std::filesystem::remove_all(path / "average");
  CHECK(problems_of(path).find("average/model.safetensors") != std::string::npos);
  CHECK(find_newest_valid(run.path())->path == earlier);
  log::set_level(log::Level::kInfo);
}

TEST_CASE("an average that lacks a tensor is refused before anything is written",
          "[checkpoint][average]") {
  const test::TemporaryDirectory run;
  WithAverage both;
  both.weights.content().average.pop_back();
  CHECK_THROWS_AS(both.save(run.path()), std::logic_error);
  CHECK(names_in(run.path()).empty());
}

TEST_CASE("names in a manifest lead only into the checkpoint and its average",
          "[checkpoint][average]") {
  const test::TemporaryDirectory run;
  const Path path = WithAverage().save(run.path());
  for (const char* name :
       {"average/../state.json", "average/", "average", "average//x", "average/a/b", "other/x",
        "average/manifest.json", "/average/x", "average/average", "average/..", "average\\x"}) {
    INFO(name);
    Manifest manifest = read_manifest(WithAverage().save(run.path()));
    manifest.files[name] = {2, std::string(32, '0')};
    write_text(path / "manifest.json", manifest_text(manifest));
    CHECK_THROWS_AS(read_manifest(path), CheckpointError);
    CHECK(problems_of(path).find("the file name") != std::string::npos);
  }
}

}  // namespace ovid::checkpoint
