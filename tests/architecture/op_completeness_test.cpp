#include "tests/architecture/expect_none.h"
#include "tests/architecture/op_rules.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::test {

namespace {

void write_complete_op(const TemporaryDirectory& root) {
  for (const char* file :
       {"kernels/gelu/gelu.h", "kernels/gelu/gelu.cpp", "kernels/gelu/gelu_reference.h",
        "kernels/gelu/gelu_cpu.cpp", "kernels/gelu/gelu_cuda.cu", "kernels/common/view.h",
        "tests/kernels/gelu_test.cpp"}) {
    write_text(root.path(), file, "");
  }
  write_text(root.path(), "kernels/cuda_backend/backend.h", "#include \"kernels/gelu/gelu.h\"\n");
  write_text(root.path(), "kernels/README.md", "| op | formula |\n|---|---|\n| `gelu` | tanh |\n");
}

}  // namespace

TEST_CASE("every op folder is complete", "[architecture]") {
  const Problems problems = check_op_folders(source_directory());
  expect_none(problems);
}

TEST_CASE("a complete op has no problems, and may have several CUDA sources", "[architecture]") {
  const TemporaryDirectory root;
  write_complete_op(root);
  CHECK(check_op_folders(root.path()).empty());
  std::filesystem::remove(root / "kernels/gelu/gelu_cuda.cu");
  CHECK(check_op_folders(root.path()).size() == 1);
  write_text(root.path(), "kernels/gelu/gelu_cuda_rows.cu", "");
  CHECK(check_op_folders(root.path()).empty());
}

TEST_CASE("each missing piece of an op is named", "[architecture]") {
  const auto [file, message] = GENERATE(table<std::string, std::string>({
      {"kernels/gelu/gelu.h", "kernels/gelu has no gelu.h"},
      {"kernels/gelu/gelu.cpp", "kernels/gelu has no gelu.cpp"},
      {"kernels/gelu/gelu_reference.h", "kernels/gelu has no gelu_reference.h"},
      {"kernels/gelu/gelu_cpu.cpp", "kernels/gelu has no gelu_cpu.cpp"},
      {"kernels/gelu/gelu_cuda.cu", "kernels/gelu has no gelu_cuda.cu"},
      {"kernels/cuda_backend/backend.h",
       "kernels/gelu has no entry in kernels/cuda_backend/backend.h"},
      {"tests/kernels/gelu_test.cpp", "kernels/gelu has no tests/kernels/gelu_test.cpp"},
      {"kernels/README.md", "kernels/gelu has no row in the table of kernels/README.md"},
  }));
  const TemporaryDirectory root;
  write_complete_op(root);
  std::filesystem::remove(root / file);
  const Problems problems = check_op_folders(root.path());
  REQUIRE(problems.size() == 1);
  CHECK(problems[0] == message);
}

TEST_CASE("an op that nothing but its folder announces lacks all eight pieces", "[architecture]") {
  const TemporaryDirectory root;
  std::filesystem::create_directories(root / "kernels/rotary");
  CHECK(check_op_folders(root.path()).size() == 8);
}

}  // namespace ovid::test
