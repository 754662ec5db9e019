#include "tests/architecture/expect_none.h"
#include "tests/architecture/include_rules.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::test {

namespace {

// Three modules in a row, each including the one below: obeys all rules.
const char* const kGoodGraph = "src/low:\nsrc/middle: src/low\nsrc/high: src/middle\n";

void write_good_tree(const TemporaryDirectory& root) {
  write_text(root.path(), "src/low/a.h", "#pragma once\n#include <string>\n");
  write_text(root.path(), "src/middle/b.h", "#pragma once\n#include \"src/low/a.h\"\n");
  write_text(root.path(), "src/high/c.cpp", "#include \"src/middle/b.h\"\n");
}

}  // namespace

TEST_CASE("modules include only what they declare, and kernels stand alone", "[architecture]") {
  const ModuleGraph graph = parse_module_graph(text_of(binary_directory() / "module_graph.txt"));
  REQUIRE(graph.count("src/core") == 1);
  expect_none(check_module_graph(graph));
  expect_none(check_includes(source_directory(), graph));
}

TEST_CASE("library headers stay in the modules that wrap them", "[architecture]") {
  const Problems problems = check_library_headers(source_directory());
  expect_none(problems);
}

TEST_CASE("an obedient tree has no include problems", "[architecture]") {
  const TemporaryDirectory root;
  write_good_tree(root);
  const ModuleGraph graph = parse_module_graph(kGoodGraph);
  CHECK(check_module_graph(graph).empty());
  CHECK(check_includes(root.path(), graph).empty());
  CHECK(check_library_headers(root.path()).empty());
}

TEST_CASE("an include of a module that is used only through another is refused", "[architecture]") {
  const TemporaryDirectory root;
  write_good_tree(root);
  write_text(root.path(), "src/high/c.cpp",
             "#include \"src/middle/b.h\"\n  #  include \"src/low/a.h\"\n");
  const Problems problems = check_includes(root.path(), parse_module_graph(kGoodGraph));
  REQUIRE(problems.size() == 1);
  CHECK(problems[0] ==
        "src/high/c.cpp:2: includes src/low/a.h, but src/high does not declare to use src/low");
}

TEST_CASE("an upward include is refused", "[architecture]") {
  const TemporaryDirectory root;
  write_good_tree(root);
  write_text(root.path(), "src/high/d.h", "");
  write_text(root.path(), "src/low/a.h", "#include \"src/high/d.h\"\n");
  CHECK(check_includes(root.path(), parse_module_graph(kGoodGraph)).size() == 1);
}

TEST_CASE("a source file outside every declared module is refused", "[architecture]") {
  const TemporaryDirectory root;
  write_good_tree(root);
  write_text(root.path(), "src/stray/e.cpp", "");
  CHECK(check_includes(root.path(), parse_module_graph(kGoodGraph)).size() == 1);
}

TEST_CASE("an include by a path that is not from the root is refused", "[architecture]") {
  const TemporaryDirectory root;
  write_good_tree(root);
  write_text(root.path(), "src/middle/b.cpp", "#include \"b.h\"\n");
  CHECK(check_includes(root.path(), parse_module_graph(kGoodGraph)).size() == 1);
}

TEST_CASE("a circle of modules is refused and printed", "[architecture]") {
  const Problems problems =
      check_module_graph(parse_module_graph("src/a: src/b\nsrc/b: src/c\nsrc/c: src/a\n"));
  REQUIRE(problems.size() == 1);
  CHECK(problems[0] == "modules use each other in a circle: src/a -> src/b -> src/c -> src/a");
}

TEST_CASE("a kernel that uses src, an op that uses an op, an unknown module are refused",
          "[architecture]") {
  CHECK(check_module_graph(parse_module_graph("src/core:\nkernels/gelu: src/core\n")).size() == 1);
  CHECK(check_module_graph(parse_module_graph("kernels/gelu:\nkernels/linear: kernels/gelu\n"))
            .size() == 1);
  CHECK(check_module_graph(parse_module_graph("src/model: src/absent\n")).size() == 1);
  CHECK_THROWS(parse_module_graph("src/a\n"));
  CHECK_THROWS(parse_module_graph("src/a:\nsrc/a:\n"));
}

TEST_CASE("a library header in a header, or outside its module, is refused", "[architecture]") {
  const TemporaryDirectory root;
  write_text(root.path(), "src/config/schema.h", "#include <yaml-cpp/yaml.h>\n");
  write_text(root.path(), "src/config/schema.cpp", "#include <yaml-cpp/yaml.h>\n");
  write_text(root.path(), "src/model/block.cpp", "#include <dnnl.h>\n#include <vector>\n");
  const Problems problems = check_library_headers(root.path());
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].find("src/config/schema.h:1: <yaml-cpp/yaml.h> in a header") == 0);
  CHECK(problems[1].find("src/model/block.cpp:1: <dnnl.h> outside kernels/cpu") == 0);
}

}  // namespace ovid::test
