// The command line of ptx-emulator on files made here; what it runs are shell scripts that stand
// for programs.

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/catch.h"
#include "tests/ptx_emulator/tool/form_match.h"
#include "tests/test_files.h"
#include "tests/test_process.h"

namespace ptx_emulator {
namespace {

using Catch::Matchers::Contains;
using ovid::test::ProcessResult;

std::string tool_path() {
  return (ovid::test::binary_directory() / "tests" / "ptx_emulator" / "ptx-emulator").string();
}

ProcessResult run_tool(std::vector<std::string> words) {
  words.insert(words.begin(), tool_path());
  return ovid::test::run_process(words);
}

std::string write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  return path.string();
}

std::string script(const std::filesystem::path& path, const std::string& text) {
  write(path, "#!/bin/sh\n" + text + "\n");
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path.string();
}

std::string report(int sectors, const std::string& kernel = "k") {
  return R"({"format": 1, "kernels": [{"kernel": ")" + kernel +
         R"(", "launches": 1, "emulated_seconds": )" + std::to_string(sectors) +
         R"(, "total": {"executed": 10, "requests": 4, "sectors": )" + std::to_string(sectors) +
         R"(}, "classes": {"integer": 3}, "sources": [{"source": "a.cu:3", "executed": 10,
             "sectors": )" +
         std::to_string(sectors) + R"(}], "lines": [{"instruction": "add.s32"}]}]})";
}

}  // namespace

TEST_CASE("forms of the coverage list match their instructions and no others") {
  CHECK(tool::form_matches("add.s32", "add.s32"));
  CHECK(tool::form_matches("add{.rn,.rz}{.ftz}{.sat}.f32", "add.f32"));
  CHECK(tool::form_matches("add{.rn,.rz}{.ftz}{.sat}.f32", "add.rz.sat.f32"));
  CHECK_FALSE(tool::form_matches("add{.rn,.rz}{.ftz}{.sat}.f32", "add.sat.ftz.f32"));
  CHECK(tool::form_matches("shfl.sync.{up,down,bfly,idx}.b32", "shfl.sync.bfly.b32"));
  CHECK_FALSE(tool::form_matches("shfl.sync.{up,down,bfly,idx}.b32", "shfl.sync.b32"));
  CHECK(tool::form_matches("ld{.{global,shared}{.nc}}.u8", "ld.shared.nc.u8"));
  CHECK(tool::form_matches("ld{.{global,shared}{.nc}}.u8", "ld.u8"));
  CHECK_FALSE(tool::form_matches("ld{.broken", "ld"));
  CHECK(tool::form_matches("fence{.sc,.acq_rel}{.scope}", "fence.sc.gpu"));
  CHECK(tool::form_matches("wgmma.m64n{8..256}k16.type", "wgmma.m64n128k16.f32"));
  CHECK_FALSE(tool::form_matches("wgmma.m64n{8..256}k16.type", "wgmma.m64n128k8.f32"));
  CHECK(tool::form_matches("tile.*{.global}", "tile.rank"));
  CHECK(tool::form_matches("mul{,.rn}.ftz", "mul.ftz"));
  CHECK(tool::form_matches("cp.shared{::cta} (a remark)", "cp.shared.L2::64B"));
  CHECK(tool::forms_of_entry("control: bar{.a,.b}, bar.red (note, long)\nbra") ==
        std::vector<std::string>{"bar{.a,.b}", "bar.red (note, long)", "bra"});
}

TEST_CASE("list names kernels, parameters and what is not supported") {
  const ovid::test::TemporaryDirectory folder;
  const std::string head = ".version 9.0\n.target sm_80\n.address_size 64\n";
  const std::string good =
      write(folder / "good.ptx",
            head +
                ".visible .entry _Z3addPfi(.param .u64 a, .param .align 8 .b8 b[24])\n"
                "{ .reg .b32 %r<3>; add.s32 %r1, %r2, 1; ret; }\n");
  ProcessResult result = run_tool({"list", good});
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("add(float*, int)") &&
                                Contains("parameters (u64, 24 bytes)") &&
                                Contains("all instructions are supported"));
  const std::string odd =
      write(folder / "odd.ptx",
            head + ".entry k()\n{ .reg .b32 %r<3>;\nfrobnicate.s32 %r1, %r2;\nret; }\n");
  result = run_tool({"list", odd});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.output, Contains("not supported") && Contains("line 6: frobnicate"));
  result = run_tool({"list", write(folder / "bad.ptx", head + ".entry k() { ret }")});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.errors, Contains("bad.ptx:4:18") && Contains("^"));
  CHECK(run_tool({"list", (folder / "absent").string()}).exit_code == 2);
}

TEST_CASE("every instruction of the test programs is supported") {
  const auto folder =
      ovid::test::binary_directory() / "tests" / "ptx_emulator" / "tests" / "programs";
  int num_programs = 0;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::ifstream file(entry.path(), std::ios::binary);
      std::string start(4, '\0');
      file.read(start.data(), 4);
      if (start !=
          "\x7F"
          "ELF")
        continue;
      const ProcessResult result = run_tool({"list", "--device", "h100", entry.path().string()});
      CAPTURE(entry.path(), result.output, result.errors);
      CHECK(result.exit_code == 0);
      CHECK_THAT(result.output, Contains("all instructions are supported"));
      ++num_programs;
    }
  }
  if (num_programs == 0) WARN("skipped: no test programs in this build (no nvcc, or sanitizers)");
}

TEST_CASE("compare shows what changed beyond the tolerance and leaves out the time") {
  const ovid::test::TemporaryDirectory folder;
  const std::string before = write(folder / "a.json", report(100));
  const std::string after = write(folder / "b.json", report(110));
  CHECK(run_tool({"compare", before, before}).exit_code == 0);
  ProcessResult result = run_tool({"compare", before, after});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.output, Contains("sectors a request") && Contains("+10.00 %") &&
                                !Contains("emulated_seconds") && !Contains("a.cu:3"));
  CHECK(run_tool({"compare", "--tolerance", "10", before, after}).exit_code == 0);
  CHECK_THAT(run_tool({"compare", "--lines", before, after}).output, Contains("a.cu:3"));
  result = run_tool({"compare", before, write(folder / "c.json", report(100, "other"))});
  CHECK_THAT(result.output, Contains("only before: k") && Contains("only after: other"));
  CHECK(run_tool({"compare", before}).exit_code == 2);
  CHECK(run_tool({"compare", before, write(folder / "d.json", "[1, 2")}).exit_code == 2);
  CHECK(run_tool({"compare", before, write(folder / "e.json", "{\"format\": 7}")}).exit_code == 2);
}

TEST_CASE("opcodes lists the forms, and those that no file names") {
  const ovid::test::TemporaryDirectory folder;
  const ProcessResult all = run_tool({"opcodes"});
  CHECK(all.exit_code == 0);
  CHECK_THAT(all.output, Contains("fma"));
  const ProcessResult untested =
      run_tool({"opcodes", "--untested", write(folder / "t", "add.s32\n")});
  CHECK(untested.exit_code == 1);
  CHECK(untested.output.size() < all.output.size() + 100);
  CHECK_THAT(untested.output, Contains("forms are named by no line"));
}

TEST_CASE("run hands its options on and turns reports into a status") {
  if (!std::filesystem::exists(std::filesystem::path(tool_path()).parent_path() / "lib" /
                               "libcudart.so.13")) {
    WARN("skipped: the emulated runtime is not in this build");
    return;
  }
  const ovid::test::TemporaryDirectory folder;
  const std::string clean = script(
      folder / "clean",
      "echo $PTX_EMULATOR_DEVICE $PTX_EMULATOR_SEED $PTX_EMULATOR_CHECK $PTX_EMULATOR_EAGER $1\n"
      "echo $LD_LIBRARY_PATH >&2\necho 0 > $PTX_EMULATOR_SUMMARY");
  ProcessResult result = run_tool(
      {"run", "--device", "h100", "--seed=7", "--check", "race,init", "--eager", clean, "--seed"});
  CHECK(result.exit_code == 0);
  CHECK(result.output == "h100 7 race,init 1 --seed\n");
  CHECK_THAT(result.errors, Contains("ptx_emulator/lib"));
  CHECK_THAT(run_tool({"run", "--seed", "3", "--seeds", "2", clean}).errors,
             Contains("seed 3: status 0") && Contains("seed 4: status 0"));
  CHECK(run_tool({"run", script(folder / "reports", "echo 2 > $PTX_EMULATOR_SUMMARY")}).exit_code ==
        3);
  CHECK(run_tool({"run", script(folder / "fails", "echo 2 > $PTX_EMULATOR_SUMMARY; exit 9")})
            .exit_code == 9);
  CHECK(run_tool({"run", script(folder / "other", "exit 0")}).exit_code == 4);
  CHECK(run_tool({"run", script(folder / "killed", "kill -9 $$")}).exit_code == 128 + 9);
  CHECK(run_tool({"run", (folder / "absent").string()}).exit_code == 127);
}

TEST_CASE("mistakes on the command line name the word") {
  CHECK_THAT(run_tool({"--help"}).output, Contains("--check LIST"));
  CHECK(run_tool({}).exit_code == 2);
  CHECK_THAT(run_tool({"walk"}).errors, Contains("unknown command walk"));
  CHECK_THAT(run_tool({"run"}).errors, Contains("needs the name of a program"));
  CHECK_THAT(run_tool({"run", "--sed", "3", "x"}).errors, Contains("unknown option --sed"));
  CHECK_THAT(run_tool({"run", "--seed", "x", "y"}).errors, Contains("--seed x"));
  CHECK_THAT(run_tool({"run", "--device", "v100", "y"}).errors, Contains("a100 and h100"));
  CHECK_THAT(run_tool({"list"}).errors, Contains("list needs a program"));
  CHECK_THAT(run_tool({"extract", "/bin/sh"}).errors, Contains("no PTX"));
}

}  // namespace ptx_emulator
