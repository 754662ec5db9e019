// Counters of whole programs against figures worked out by hand.

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/emulated.h"

namespace ptx_emulator::test {

namespace {

// The counters of the program's kernel whose name begins so; null where programs were left out.
nlohmann::json counters_of(const std::string& name, const std::string& kernel) {
  const auto path = program(name);
  if (!path) return nullptr;
  const ovid::test::TemporaryDirectory folder;
  const std::string file = (folder / "counters.json").string();
  const auto result = run_emulated({path->string()}, {"PTX_EMULATOR_COUNTERS=" + file});
  CAPTURE(name, result.errors);
  REQUIRE(result.exit_code == 0);
  std::ifstream in(file);
  const nlohmann::json report = nlohmann::json::parse(in);
  CHECK(report.at("format") == 1);
  for (const nlohmann::json& one : report.at("kernels")) {
    if (one.at("kernel").get<std::string>().rfind(kernel, 0) == 0) return one;
  }
  FAIL("no kernel " << kernel << " in " << report.dump().substr(0, 500));
  return nullptr;
}

}  // namespace

TEST_CASE("vector addition moves each sector once", "[ptx]") {
  const nlohmann::json kernel = counters_of("vector_add", "vector_add");
  if (kernel.is_null()) return;
  const std::uint64_t n = 100003, warps = (n + 31) / 32, sectors = (n * 4 + 31) / 32;
  const nlohmann::json& total = kernel.at("total");
  CHECK(total.at("requests") == 3 * warps);
  CHECK(total.at("sectors") == 3 * sectors);
  CHECK(total.at("ideal_sectors") == 3 * sectors);
  CHECK(total.at("bytes_read") == 2 * n * 4);
  CHECK(total.at("bytes_written") == n * 4);
  CHECK(kernel.at("distinct_bytes_read") == 2 * sectors * 32);
  CHECK(kernel.at("distinct_bytes_written") == sectors * 32);
  // The last of 391 blocks has one warp with three threads to do; the warps behind it all leave.
  CHECK(total.at("divergent_branches") == 1);
  CHECK(kernel.at("blocks") == 391);
  CHECK(kernel.at("threads_per_block") == 256);
}

TEST_CASE("attention makes the products of the visible tiles, without bank conflicts", "[ptx]") {
  const nlohmann::json kernel = counters_of("attention_mma", "attention");
  if (kernel.is_null()) return;
  // 200 queries are 4 tiles of 64; tile i sees i + 1 tiles of keys; two heads; two products.
  const std::uint64_t tiles = 2 * (1 + 2 + 3 + 4);
  CHECK(kernel.at("total").at("matrix_flops") == tiles * 2 * (2 * 64 * 64 * 64));
  CHECK(kernel.at("total").at("wavefronts") == kernel.at("total").at("ideal_wavefronts"));
}

TEST_CASE("every access to memory names its source", "[ptx]") {
  const nlohmann::json kernel = counters_of("layernorm_bf16", "forward");
  if (kernel.is_null()) return;
  for (const nlohmann::json& line : kernel.at("lines")) {
    CAPTURE(line.dump());
    CHECK(line.at("ptx_line") > 0);
    CHECK(line.at("executed") > 0);
    const std::string kind = line.at("class");
    if (kind != "global load" && kind != "global store") continue;  // parameters have no line
    CHECK(line.at("source").get<std::string>().find("layernorm_bf16.cu:") != std::string::npos);
  }
}

TEST_CASE("the text of the counters puts a stated ideal beside the bytes moved", "[ptx]") {
  const auto path = program("vector_add");
  if (!path) return;
  const auto result =
      run_emulated({path->string()},
                   {"PTX_EMULATOR_COUNTERS=-", "PTX_EMULATOR_IDEAL=vector_add=1200036;none=1"});
  CAPTURE(result.errors);
  CHECK(result.exit_code == 0);
  CHECK(result.errors.find("stated ideal: 1200036 bytes; 1.000 times that moved") !=
        std::string::npos);
  CHECK(result.errors.find("IDEAL names none, which was not launched") != std::string::npos);
  const auto refused =
      run_emulated({path->string()}, {"PTX_EMULATOR_COUNTERS=-", "PTX_EMULATOR_IDEAL=vector_add"});
  CHECK(refused.exit_code == 2);
  CHECK(refused.errors.find("KERNEL=BYTES") != std::string::npos);
}

}  // namespace ptx_emulator::test
