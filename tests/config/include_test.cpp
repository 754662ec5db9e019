#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "src/config/config.h"
#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::config {
namespace {

class Folder {
 public:
  void write(const std::string& name, const std::string& text) const {
    make_directories(at(name).parent_path());
    replace_file(at(name), text);
  }
  Path at(const std::string& name) const { return folder_.path() / name; }
  LoadedConfig load_run(const std::vector<std::string>& overrides = {}) const {
    return load(at("run.yaml"), overrides);
  }

 private:
  test::TemporaryDirectory folder_;
};

}  // namespace

TEST_CASE("what is read later wins key by key: base files, the file, the command line",
          "[config]") {
  const Folder folder;
  folder.write("a.yaml", "data: {train: a.bin}\nrun: {seed: 1, name: a}\ntraining: {steps: 1}\n");
  folder.write("b.yaml", "run: {seed: 2, directory: b}\ntraining: {steps: 2}\n");
  folder.write("run.yaml", "training: {steps: 3}\ninclude: [a.yaml, b.yaml]\n");
  const LoadedConfig loaded = folder.load_run({"samples.tokens=5"});
  CHECK(loaded.values.run == RunSection{"a", "b", 2});
  CHECK(loaded.values.training.steps == 3);
  CHECK(loaded.values.samples.tokens == 5);
  CHECK(loaded.origins.at("run.name") == folder.at("a.yaml").string() + ":2");
  CHECK(loaded.origins.at("run.seed") == folder.at("b.yaml").string() + ":1");
  CHECK(loaded.origins.at("training.steps") == folder.at("run.yaml").string() + ":1");
  CHECK(loaded.origins.at("samples.tokens") == "command line");
  CHECK(folder.load_run({"training.steps=4"}).values.training.steps == 4);
  // The resolved config stands alone.
  CHECK(load_text(loaded.resolved_yaml, "resolved").values == loaded.values);
  CHECK_THAT(loaded.resolved_yaml, !Catch::Contains("include"));
}

TEST_CASE("base files have base files, and paths start at the file that names them", "[config]") {
  const Folder folder;
  folder.write("shared/data.yaml", "data: {train: a.bin}\n");
  folder.write("shared/base.yaml", "include: data.yaml\nrun: {seed: 5}\n");
  folder.write("runs/x/run.yaml", "include: ../../shared/base.yaml\n");
  CHECK(load(folder.at("runs/x/run.yaml")).values.run.seed == 5);
  folder.write("runs/x/run.yaml", "include: " + folder.at("shared/base.yaml").string() + "\n");
  CHECK(load(folder.at("runs/x/run.yaml")).values.data.train == std::vector<std::string>{"a.bin"});
  // One file may be reached on two ways.
  folder.write("runs/x/run.yaml",
               "include: [../../shared/data.yaml, ../../shared/base.yaml, "
               "../../shared/data.yaml]\n");
  CHECK(load(folder.at("runs/x/run.yaml")).values.run.seed == 5);
}

TEST_CASE("null takes back what a base file says", "[config]") {
  const Folder folder;
  folder.write("base.yaml", "data: {train: a.bin}\ninitialize_from: model\n");
  folder.write("run.yaml", "include: base.yaml\ninitialize_from: null\n");
  CHECK_FALSE(folder.load_run().values.initialize_from.has_value());
  CHECK(folder.load_run().values.model.layers == 12);
}

TEST_CASE("a value that a later file replaces is still told where it is wrong", "[config]") {
  const Folder folder;
  folder.write("base.yaml", "data: {train: a.bin}\ntraining: {steps: 0}\n");
  folder.write("run.yaml", "include: base.yaml\ntraining: {steps: 5}\n");
  CHECK_THROWS_WITH(folder.load_run(), Catch::Contains("base.yaml:2:19") &&
                                           Catch::Contains("included from") &&
                                           Catch::Contains("run.yaml:1"));
}

TEST_CASE("includes are bounded in depth and number", "[config]") {
  const Folder folder;
  folder.write("run.yaml", "include: 1.yaml\ndata: {train: a.bin}\n");
  for (int i = 1; i < 8; ++i) {
    const std::string next = i < 7 ? "include: " + std::to_string(i + 1) + ".yaml\n" : "";
    folder.write(std::to_string(i) + ".yaml", next + "run: {seed: " + std::to_string(i) + "}\n");
  }
  CHECK(folder.load_run().values.run.seed == 1);
  folder.write("7.yaml", "include: 8.yaml\n");
  folder.write("8.yaml", "run: {seed: 8}\n");
  CHECK_THROWS_WITH(folder.load_run(), Catch::Contains("deeper than 8 levels"));

  std::string list;
  for (int i = 0; i < 40; ++i) list += (i > 0 ? ", " : "") + std::string("8.yaml");
  folder.write("run.yaml", "include: [" + list + "]\ndata: {train: a.bin}\n");
  CHECK_THROWS_WITH(folder.load_run(), Catch::Contains("more than 32 files"));
  folder.write("8.yaml", std::string((1 << 20) + 10, '#'));
  folder.write("run.yaml", "include: 8.yaml\n");
  CHECK_THROWS_WITH(folder.load_run(), Catch::Contains("larger than"));
}

TEST_CASE("a pipe is not waited for", "[config]") {
  const Folder folder;
  REQUIRE(::mkfifo(folder.at("pipe").c_str(), 0600) == 0);
  folder.write("run.yaml", "include: pipe\n");
  CHECK_THROWS_WITH(folder.load_run(), Catch::Contains("is not a regular file"));
}

TEST_CASE("a circle through a symbolic link is found", "[config]") {
  const Folder folder;
  folder.write("run.yaml", "include: link.yaml\n");
  std::filesystem::create_symlink("run.yaml", folder.at("link.yaml"));
  CHECK_THROWS_WITH(folder.load_run(), Catch::Contains("in a circle"));
}

TEST_CASE("an error in a base file shows that file", "[config]") {
  const Folder folder;
  folder.write("base.yaml", "data: {train: a.bin}\nbatch: {lenght: 4}\n");
  folder.write("run.yaml", "include: base.yaml\n");
  const std::string where = folder.at("base.yaml").string();
  CHECK_THROWS_WITH(folder.load_run(),
                    "unknown key `lenght` in `batch`\n --> " + where +
                        ":2:9\n"
                        "  |\n"
                        "2 | batch: {lenght: 4}\n"
                        "  |         ^^^^^^ did you mean `length`?\n"
                        "  = help: `ovid config explain batch` lists all keys in `batch`\n"
                        "  = included from " +
                        folder.at("run.yaml").string() + ":1");
}

}  // namespace ovid::config
