// The replaced runtime library: order of streams, graphs, memory, codes of errors, and what it
// says.

#include <set>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/emulated.h"

namespace ptx_emulator::test {

namespace {

using Environment = std::vector<std::string>;

// Runs a case of a program that checks itself; its exit code is 0 where all holds.
void check_case(const std::string& name, const std::string& which, const Environment& environment) {
  const auto path = program(name);
  if (!path) return;
  const auto result = run_emulated({path->string(), which}, environment);
  INFO(name << " " << which << "\n" << result.output << result.errors);
  CHECK(result.exit_code == 0);
}

std::string output_of(const std::string& name, const std::string& which,
                      const Environment& environment) {
  const auto path = program(name);
  if (!path) return {};
  const auto result = run_emulated({path->string(), which}, environment);
  INFO(result.errors);
  CHECK(result.exit_code == 0);
  return result.output;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::vector<std::string> kSeeds = {"0", "1", "2", "3", "4", "5", "6", "7"};

}  // namespace

TEST_CASE("streams, events, memory and host functions behave as documented under every seed",
          "[ptx]") {
  for (const std::string seed : {"0", "1", "5"}) {
    for (const char* const which :
         {"default_stream", "host_functions", "stream_ordered_memory", "managed_memory",
          "planes_and_volumes", "threads", "per_thread_default"}) {
      check_case("runtime_streams", which, {"PTX_EMULATOR_SEED=" + seed});
    }
  }
  check_case("runtime_streams", "events", {});
}

TEST_CASE("a missing wait between streams shows under some seeds, a present one under none",
          "[ptx]") {
  if (!program("runtime_streams")) return;
  std::set<std::string> without, with;
  for (const std::string& seed : kSeeds) {
    without.insert(output_of("runtime_streams", "missing_wait", {"PTX_EMULATOR_SEED=" + seed}));
    with.insert(output_of("runtime_streams", "with_wait", {"PTX_EMULATOR_SEED=" + seed}));
  }
  CHECK(without.size() > 1);
  CHECK(with == std::set<std::string>{"saw 5\n"});
}

TEST_CASE("an asynchronous copy has not happened before a wait, and reads pinned memory then",
          "[ptx]") {
  if (!program("runtime_streams")) return;
  CHECK(output_of("runtime_streams", "missing_synchronise", {}) == "saw -1 then 1\n");
  CHECK(output_of("runtime_streams", "missing_synchronise", {"PTX_EMULATOR_EAGER=1"}) ==
        "saw 1 then 1\n");
  CHECK(output_of("runtime_streams", "source_reuse", {}) == "4 3 \n");
}

TEST_CASE("a program built for a default stream of each thread gets one", "[ptx]") {
  const auto path = program("runtime_per_thread");
  if (!path) return;
  for (const char* const which : {"events", "host_functions", "stream_ordered_memory",
                                  "managed_memory", "planes_and_volumes", "threads"}) {
    check_case("runtime_per_thread", which, {"PTX_EMULATOR_SEED=2"});
  }
  // Its default stream and a blocking one do not wait for each other: the case's own check fails.
  const auto result = run_emulated({path->string(), "default_stream"});
  CHECK(result.exit_code == 1);
  CHECK(contains(result.output, "not so: host["));
}

TEST_CASE("a host that polls mapped memory does not wait for ever", "[ptx]") {
  check_case("runtime_streams", "polling", {});
  check_case("runtime_streams", "polling_with_calls", {});
}

TEST_CASE("work that a library queues from a callback is used and destroyed once", "[ptx]") {
  check_case("runtime_streams", "foreign_callback", {});
  check_case("runtime_streams", "foreign_callback", {"PTX_EMULATOR_EAGER=1"});
}

TEST_CASE("graphs are captured, built, updated, and refused with the runtime's codes", "[ptx]") {
  for (const std::string seed : {"0", "3", "4"}) {
    for (const char* const which : {"captured", "built", "updated", "refused", "user_objects"}) {
      check_case("runtime_graphs", which, {"PTX_EMULATOR_SEED=" + seed});
    }
  }
}

TEST_CASE("bad launches, copies and symbols give the runtime's codes", "[ptx]") {
  for (const char* const which : {"symbols", "launches", "copies", "sticky", "library", "driver"}) {
    check_case("runtime_errors", which, {});
  }
}

TEST_CASE("the host's access to device memory ends the program and names the allocation", "[ptx]") {
  const auto path = program("runtime_errors");
  if (!path) return;
  const auto touched = run_emulated({path->string(), "host_touch"});
  CHECK(touched.exit_code == 128 + 11);
  CHECK(contains(touched.errors, "12 bytes into cudaMalloc of 400 bytes"));
  const auto freed = run_emulated({path->string(), "host_touch_freed"});
  CHECK(freed.exit_code == 128 + 11);
  CHECK(contains(freed.errors, "which was freed"));
}

TEST_CASE("functions that are missing say their name once and return 801", "[ptx]") {
  const auto path = program("runtime_errors");
  if (!path) return;
  const auto result = run_emulated({path->string(), "unsupported"});
  CHECK(result.exit_code == 0);
  const std::size_t first = result.errors.find("cudaMallocArray is not supported");
  REQUIRE(first != std::string::npos);
  CHECK(result.errors.find("cudaMallocArray", first + 1) == std::string::npos);
}

TEST_CASE("work that nothing waited for and memory that nothing freed are told at the end",
          "[ptx]") {
  const auto path = program("runtime_errors");
  if (!path) return;
  const auto result = run_emulated({path->string(), "unwaited"}, {"PTX_EMULATOR_LEAKS=1"});
  CHECK(result.exit_code == 0);
  CHECK(contains(result.errors, "1 operations had not run"));
  CHECK(contains(result.errors, "never freed: cudaMalloc of 4000 bytes"));
}

TEST_CASE("the environment chooses device, number and memory; a wrong value is refused", "[ptx]") {
  const auto path = program("runtime_errors");
  if (!path) return;
  const Environment two = {"PTX_EMULATOR_DEVICE=h100", "PTX_EMULATOR_DEVICES=2"};
  CHECK(output_of("runtime_errors", "properties", {}) == "NVIDIA A100-SXM4-40GB 8.0 1 devices\n");
  CHECK(output_of("runtime_errors", "properties", two) == "NVIDIA H100 80GB HBM3 9.0 2 devices\n");
  for (const char* const wrong :
       {"PTX_EMULATOR_DEVICE=b200", "PTX_EMULATOR_SEED=-1", "PTX_EMULATOR_CHECK=memory,x",
        "PTX_EMULATOR_DEVICES=99", "PTX_EMULATOR_EAGER=yes", "PTX_EMULATOR_WATCHDOG=nan"}) {
    const auto result = run_emulated({path->string(), "properties"}, {wrong});
    INFO(wrong << "\n" << result.errors);
    CHECK(result.exit_code == 2);
    CHECK(contains(result.errors, "is not understood"));
  }
}

TEST_CASE("a program with PTX for another device only says what it holds and what to add",
          "[ptx]") {
  const auto path = program("runtime_other_device");
  if (!path) return;
  const auto result = run_emulated({path->string(), "symbols"});
  CHECK(result.exit_code == 1);
  CHECK(contains(result.errors, "-gencode"));
  CHECK(contains(result.output + result.errors, "209"));
}

}  // namespace ptx_emulator::test
