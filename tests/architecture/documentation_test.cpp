#include <cstdio>
#include <map>
#include <memory>

#include "tests/architecture/documentation_rules.h"
#include "tests/architecture/expect_none.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::test {

namespace {

struct Output {
  std::string text;
  bool succeeded;
};

// Standard output of a shell command.
Output run(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return {"", false};
  std::string text;
  char piece[4096];
  for (std::size_t n = 0; (n = std::fread(piece, 1, sizeof piece, pipe)) > 0;)
    text.append(piece, n);
  return {text, ::pclose(pipe) == 0};
}

bool is_built(const std::string& program) {
  if (std::filesystem::exists(binary_directory() / program)) return true;
  std::fprintf(stderr, "SKIPPED: %s is not built in this build folder\n", program.c_str());
  return false;
}

std::optional<std::string> built_help(const std::string& program,
                                      const std::vector<std::string>& words) {
  static std::map<std::string, Output> outputs;  // each program starts once for each command
  std::string command = "'" + (binary_directory() / program).string() + "'";
  for (const std::string& word : words) command += " " + word;
  const auto [entry, is_new] = outputs.try_emplace(command);
  if (is_new) entry->second = run(command + " --help");
  if (!entry->second.succeeded) return std::nullopt;
  return entry->second.text;
}

// A program with two levels of commands.
std::optional<std::string> small_help(const std::string&, const std::vector<std::string>& words) {
  if (words.empty()) return "Subcommands:\n  train  trains\n  checkpoint  looks after them\n";
  if (words[0] == "train") return "Options:\n  --processes N\n";
  if (words.size() == 1) return "Subcommands:\n  verify  checks\n";
  return "Options:\n  --json\n";
}

Problems problems_of_commands(const std::string& text) {
  const TemporaryDirectory root;
  write_text(root.path(), "README.md", text);
  return check_commands(root.path(), "README.md", small_help);
}

}  // namespace

TEST_CASE("the documents link to files that exist", "[architecture]") {
  Problems problems = check_links(source_directory());
  for (const std::string& problem : check_cited_pages(source_directory())) {
    problems.push_back(problem);
  }
  expect_none(problems);
}

TEST_CASE("the modules table of the documents is the declared graph", "[architecture]") {
  const ModuleGraph graph = parse_module_graph(text_of(binary_directory() / "module_graph.txt"));
  const Problems problems = check_module_table(source_directory(), graph);
  expect_none(problems);
}

TEST_CASE("the commands of the documents exist in the programs' help", "[architecture]") {
  if (!is_built("ovid") || !is_built("ovid-data")) return;
  for (const char* page : {"README.md", "docs/install.md", "docs/reading_order.md"}) {
    const Problems problems = check_commands(source_directory(), page, built_help);
    expect_none(problems);
  }
}

TEST_CASE("docs/configuration.md is what the program prints", "[architecture]") {
  if (!is_built("ovid")) return;
  const Output reference = run("'" + (binary_directory() / "ovid").string() + "' config reference");
  REQUIRE(reference.succeeded);
  INFO("renew it: build/release/ovid config reference > docs/configuration.md");
  CHECK(text_of(source_directory() / "docs/configuration.md") == reference.text);
}

TEST_CASE("every config of configs/ is one that the program takes", "[architecture]") {
  if (!is_built("ovid")) return;
  const std::vector<std::filesystem::path> configs = files_under(source_directory(), "configs");
  REQUIRE_FALSE(configs.empty());
  for (const std::filesystem::path& config : configs) {
    if (config.parent_path() != "configs") continue;  // launch/ has what starts runs
    INFO(config);
    CHECK(run("'" + (binary_directory() / "ovid").string() + "' config show '" +
              (source_directory() / config).string() + "'")
              .succeeded);
  }
}

TEST_CASE("broken links, headings and paths are found, and only those", "[architecture]") {
  const TemporaryDirectory root;
  write_text(root.path(), "docs/a.md", "# The first page\n[back](../README.md), `src/core/a.h`\n");
  write_text(root.path(), "src/core/a.h", "");
  write_text(root.path(), "README.md",
             "[a](docs/a.md#the-first-page) [web](https://example.org/x) `kernels/<op>/x.cpp`\n"
             "```\n[not a link](nowhere)\n```\n");
  CHECK(check_links(root.path()).empty());
  write_text(root.path(), "README.md",
             "[a](docs/b.md)\n[a](docs/a.md#second)\n`src/core/b.h` and `src/core/`\n");
  const Problems problems = check_links(root.path());
  REQUIRE(problems.size() == 3);
  CHECK(problems[0] == "README.md:1: the link docs/b.md leads nowhere");
  CHECK(problems[1] == "README.md:2: the link docs/a.md#second names a heading that is not there");
  CHECK(problems[2] == "README.md:3: `src/core/b.h` is not in the tree");
}

TEST_CASE("a cited page that is not there is found", "[architecture]") {
  const TemporaryDirectory root;
  write_text(root.path(), "kernels/gelu/gelu.h", "// source: docs/math/gelu.md.\n");
  CHECK(check_cited_pages(root.path()).size() == 1);
  write_text(root.path(), "docs/math/gelu.md", "# GELU\n");
  CHECK(check_cited_pages(root.path()).empty());
}

TEST_CASE("a modules table that differs from the declarations is found", "[architecture]") {
  const TemporaryDirectory root;
  const ModuleGraph graph = parse_module_graph("src/core:\nsrc/data: src/core\n");
  const std::string core = "| `src/core` | - | files |\n";
  write_text(root.path(), "docs/architecture.md", core + "| `src/data` | src/core | shards |\n");
  CHECK(check_module_table(root.path(), graph).empty());
  write_text(root.path(), "docs/architecture.md", core);
  CHECK(check_module_table(root.path(), graph).size() == 1);
  write_text(root.path(), "docs/architecture.md", core + "| `src/data` | - | shards |\n");
  CHECK(check_module_table(root.path(), graph).size() == 1);
  write_text(root.path(), "docs/architecture.md",
             core + "| `src/data` | `src/core` | shards |\n| `src/gone` | - | was |\n");
  CHECK(check_module_table(root.path(), graph).size() == 1);
}

TEST_CASE("a command that the program does not know is found", "[architecture]") {
  CHECK(problems_of_commands("`ovid train demo.yaml --processes 2`, `ovid checkpoint verify DIR "
                             "--json`\n```\n$ build/release/ovid train a.yaml run.seed=1\n```\n")
            .empty());
  CHECK(problems_of_commands("`ovid trian demo.yaml`\n").size() == 1);
  CHECK(problems_of_commands("```\necho x | ovid train demo.yaml --proceses 2\n```\n").size() == 1);
  CHECK(problems_of_commands("`ovid checkpoint verifi DIR`\n").size() == 1);
}

}  // namespace ovid::test
