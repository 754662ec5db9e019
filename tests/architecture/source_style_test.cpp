#include "tests/architecture/expect_none.h"
#include "tests/architecture/style_rules.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::test {

namespace {

Problems problems_of(const std::string& file, const std::string& text) {
  const TemporaryDirectory root;
  write_text(root.path(), file, text);
  return check_source_style(root.path());
}

}  // namespace

TEST_CASE("source files keep to the limits of the style guide", "[architecture]") {
  const Problems problems = check_source_style(source_directory());
  expect_none(problems);
}

TEST_CASE("no file of the tree names somebody's machine", "[architecture]") {
  const Problems problems = check_no_machine_names(source_directory());
  expect_none(problems);
}

TEST_CASE("each fault of style is found, once", "[architecture]") {
  CHECK(problems_of("src/a.h", "#pragma once\nint a;\n").empty());
  CHECK(problems_of("src/a.h", "int a;\n").size() == 1);
  CHECK(problems_of("src/a.cpp", std::string(101, '/') + "\n").size() == 1);
  CHECK(problems_of("src/a.cpp", std::string(100, '/') + "\n").empty());
  CHECK(problems_of("kernels/a.cu", "\tint a;\n").size() == 1);
  CHECK(problems_of("tests/a.cpp", "int a; \n").size() == 1);
  CHECK(problems_of("src/a.cpp", "int a;").size() == 1);
  CHECK(problems_of("src/a.cpp", std::string("// TO") + "DO: later\n").size() == 1);
  CHECK(problems_of("src/a.cpp", std::string("// TO") + "DO(#12): later\n").empty());
}

TEST_CASE("columns are characters, not bytes", "[architecture]") {
  std::string line = "//";
  for (int i = 0; i < 98; ++i) line += "\xC3\xA9";  // e with an acute accent: two bytes
  CHECK(problems_of("src/a.cpp", line + "\n").empty());
  CHECK(problems_of("src/a.cpp", line + "\xC3\xA9\n").size() == 1);
}

TEST_CASE("a file of 601 lines is too long", "[architecture]") {
  std::string text;
  for (int i = 0; i < 600; ++i) text += "int a;\n";
  CHECK(problems_of("src/a.cpp", text).empty());
  CHECK(problems_of("src/a.cpp", text + "int b;\n").size() == 1);
}

TEST_CASE("paths of a machine are found in every kind of text file", "[architecture]") {
  const TemporaryDirectory root;
  const std::string path = std::string("/ho") + "me/somebody/data.bin";
  write_text(root.path(), "docs/a.md",
             "`data/train.bin`, /usr/lib, docs/ho" + std::string("me/x\n"));
  CHECK(check_no_machine_names(root.path()).empty());
  write_text(root.path(), "docs/a.md", "see " + path + "\n");
  write_text(root.path(), "configs/a.yaml", "data: [" + path + "]\n");
  write_text(root.path(), "quickstart", "cd " + path + "\n");
  CHECK(check_no_machine_names(root.path()).size() == 3);
}

}  // namespace ovid::test
