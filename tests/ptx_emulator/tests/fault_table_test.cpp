// Every fault that the emulator promises to name, each beside a twin that must stay silent.

#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/emulated.h"

namespace ptx_emulator::test {

namespace {

struct FaultCase {
  const char* name;
  const char* kind;                // as the report names it
  std::vector<std::string> words;  // what else the report must say: kernel, place, value
  const char* status;              // what the program sees; nullptr: the status stays 0
};

// Lines of faults.cu are found by their text, so that the table survives edits of the file.
const std::vector<FaultCase>& table() {
  static const std::vector<FaultCase> all = {
      {"global_bounds",
       "out of bounds",
       {"global_bounds", "faults.cu:", "past the end", "4096"},
       "700"},
      {"global_read_bounds", "out of bounds", {"global_read_bounds", "faults.cu:"}, "700"},
      {"shared_bounds", "out of bounds", {"shared_bounds", "faults.cu:", "256"}, "700"},
      {"local_bounds", "out of bounds", {"local_bounds", "faults.cu:"}, "700"},
      {"misaligned", "misaligned address", {"misaligned", "faults.cu:", "16"}, "716"},
      {"use_after_free", "use after free", {"fill", "faults.cu:"}, "700"},
      {"host_pointer", "host pointer on the device", {"fill", "faults.cu:"}, "700"},
      {"copy_past_end", "cudaMemcpy: 8192 bytes", {"only 4096 bytes"}, "copy 1"},
      {"write_constant",
       "write to read-only memory",
       {"write_constant", "faults.cu:", "table"},
       "700"},
      {"device_assert", "device assertion", {"asserting", "faults.cu", "thread (63,0,0)"}, "710"},
      {"trap", "trap", {"trapping", "thread (5,0,0)"}, "719"},
      {"divergent_barrier",
       "barrier in divergent code",
       {"divergent_barrier", "faults.cu:"},
       "719"},
      {"barrier_deadlock", "barrier deadlock", {"barrier_deadlock"}, "719"},
      {"endless_loop", "endless loop", {"endless"}, "702"},
      {"shared_race",
       "race in shared memory",
       {"shared_race", "faults.cu:", "no barrier"},
       nullptr},
      {"shared_race_reuse",
       "race in shared memory",
       {"shared_race_reuse", "faults.cu:", "no barrier"},
       nullptr},
      {"warp_race", "race in shared memory", {"warp_race", "faults.cu:", "__syncwarp"}, nullptr},
      {"byte_race", "race in shared memory", {"byte_race", "faults.cu:", "no barrier"}, nullptr},
      {"block_race",
       "race in global memory",
       {"block_race", "faults.cu:", "warp 0 of the same block", "no barrier"},
       nullptr},
      {"global_race", "race in global memory", {"global_race", "faults.cu:", "block"}, nullptr},
      {"missing_fence", "race in global memory", {"last_block", "faults.cu:", "fence"}, nullptr},
      {"uninitialised_global",
       "uninitialised",
       {"uninitialised_global", "faults.cu:", "cudaMalloc"},
       nullptr},
      {"uninitialised_shared",
       "uninitialised",
       {"uninitialised_shared", "faults.cu:", "shared"},
       nullptr},
      {"async_copy",
       "asynchronous data not waited for",
       {"async_copy", "faults.cu:", "cp.async"},
       nullptr},
      {"invalid_mask", "invalid lane mask", {"invalid_mask", "faults.cu:"}, "719"},
      {"stack_overflow", "stack overflow", {"recursion"}, "719"},
  };
  return all;
}

std::vector<std::string> environment(const std::string& checks) {
  return {"PTX_EMULATOR_CHECK=" + checks, "PTX_EMULATOR_WATCHDOG=2"};
}

}  // namespace

TEST_CASE("each fault is named with its kernel, its place and its values", "[ptx]") {
  const auto faults = program("faults");
  if (!faults) return;
  for (const FaultCase& one : table()) {
    const auto result = run_emulated({faults->string(), one.name, "bad"}, environment("all"));
    CAPTURE(one.name, result.output, result.errors);
    CHECK(result.errors.find(one.kind) != std::string::npos);
    for (const std::string& word : one.words) {
      CAPTURE(word);
      CHECK(result.errors.find(word) != std::string::npos);
    }
    if (one.status == nullptr) {
      CHECK(result.output.find("status 0 ") != std::string::npos);
    } else {
      CHECK(result.output.find(one.status) != std::string::npos);
    }
  }
}

TEST_CASE("a device pointer that the host dereferences is named with its allocation", "[ptx]") {
  const auto faults = program("faults");
  if (!faults) return;
  const auto result = run_emulated({faults->string(), "device_pointer_on_host", "bad"});
  CAPTURE(result.errors);
  CHECK(result.exit_code != 0);
  CHECK(result.errors.find("the host touched") != std::string::npos);
  CHECK(result.errors.find("4096") != std::string::npos);
}

TEST_CASE("the innocent twin of each fault is silent under all checks", "[ptx]") {
  const auto faults = program("faults");
  if (!faults) return;
  std::vector<std::string> names = {"device_pointer_on_host"};
  for (const FaultCase& one : table()) names.emplace_back(one.name);
  for (const std::string& name : names) {
    const auto result = run_emulated({faults->string(), name, "good"}, environment("all"));
    CAPTURE(name, result.output, result.errors);
    CHECK(result.exit_code == 0);
    CHECK(result.errors.empty());
    CHECK(result.output.find("status 0 ") != std::string::npos);
  }
}

TEST_CASE("a check that is turned off reports nothing", "[ptx]") {
  const auto faults = program("faults");
  if (!faults) return;
  for (const char* name : {"shared_race", "global_race", "uninitialised_shared"}) {
    const auto result = run_emulated({faults->string(), name, "bad"}, environment("memory,sync"));
    CAPTURE(name, result.errors);
    CHECK(result.errors.empty());
  }
}

}  // namespace ptx_emulator::test
