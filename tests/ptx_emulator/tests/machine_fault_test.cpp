// What goes wrong in kernels is named, and what is right is not.
#include <cstdio>

#include <unistd.h>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/machine_harness.h"

using namespace ptx_emulator;
using namespace ptx_emulator::testing;

namespace {

std::string kernel(const std::string& body, const std::string& before = "") {
  return before + R"(.visible .entry k(.param .u64 out)
{
  .reg .pred %p<8>; .reg .b32 %r<32>; .reg .b64 %rd<16>;
  mov.u32 %r1, %tid.x;
  ld.param.u64 %rd1, [out];
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd2, %rd1, %rd2;
)" + body +
         "\nret;\n}\n";
}

Fault fault_of(const std::string& text, std::uint32_t threads,
               MachineOptions options = Bench::single_thread()) {
  Bench bench(text, options);
  const auto out = bench.upload(std::vector<std::uint32_t>(64), "the output");
  const LaunchResult result = bench.run("k", {2}, {threads}, out);
  REQUIRE(result.fault.has_value());
  return *result.fault;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Standard output of what `work` does.
template <typename F>
std::string printed(F work) {
  std::fflush(stdout);
  std::FILE* file = std::tmpfile();
  const int saved = dup(1);
  dup2(fileno(file), 1);
  work();
  std::fflush(stdout);
  dup2(saved, 1);
  close(saved);
  std::string text(
      static_cast<std::size_t>(std::ftell(file) < 0 ? 0 : lseek(fileno(file), 0, SEEK_END)), '\0');
  lseek(fileno(file), 0, SEEK_SET);
  const auto bytes = read(fileno(file), text.data(), text.size());
  text.resize(bytes < 0 ? 0 : static_cast<std::size_t>(bytes));
  std::fclose(file);
  return text;
}

}  // namespace

TEST_CASE("a write past an allocation names thread, allocation and line", "[ptx]") {
  const Fault fault = fault_of(kernel("st.global.u32 [%rd2], %r1;"), 96);
  CHECK(fault.kind == FaultKind::kOutOfBounds);
  CHECK(fault.thread[0] == 64);
  CHECK(fault.block[0] == 0);
  CHECK(contains(fault.message, "the output"));
  CHECK(contains(fault.message, "0 bytes past the end"));
  CHECK(contains(fault.text(), "st.global.u32"));
  CHECK(fault.ptx_line == 11);
  Bench innocent(kernel("st.global.u32 [%rd2], %r1;"));
  const auto out = innocent.upload(std::vector<std::uint32_t>(64));
  CHECK_FALSE(innocent.run("k", {2}, {64}, out).fault.has_value());
}

TEST_CASE("misaligned, null and freed addresses are told apart", "[ptx]") {
  CHECK(fault_of(kernel("st.global.u32 [%rd2+2], %r1;"), 32).kind == FaultKind::kMisaligned);
  const Fault null = fault_of(kernel("mov.u64 %rd3, 16; ld.global.u32 %r2, [%rd3];"), 32);
  CHECK(null.kind == FaultKind::kOutOfBounds);
  CHECK(contains(null.message, "null"));
  Bench bench(kernel("st.global.u32 [%rd2], %r1;"));
  const auto out = bench.upload(std::vector<std::uint32_t>(64));
  REQUIRE(bench.memory.release(out));
  const LaunchResult result = bench.run("k", {1}, {32}, out);
  REQUIRE(result.fault.has_value());
  CHECK(result.fault->kind == FaultKind::kUseAfterFree);
}

TEST_CASE("host memory, constants and shared bounds are protected", "[ptx]") {
  Bench bench(kernel("st.u32 [%rd2], %r1;"));
  std::vector<std::uint32_t> host(64);
  const LaunchResult result =
      bench.run("k", {1}, {32}, reinterpret_cast<std::uint64_t>(host.data()));
  REQUIRE(result.fault.has_value());
  CHECK(result.fault->kind == FaultKind::kHostPointer);
  CHECK(fault_of(
            kernel("mov.u64 %rd3, c; st.global.u32 [%rd3], 1;", ".const .align 4 .b8 c[64];\n"), 32)
            .kind == FaultKind::kReadOnly);
  const Fault shared = fault_of(
      kernel(
          ".shared .align 4 .b8 s[64]; mov.u32 %r2, s; shl.b32 %r3, %r1, 2; add.u32 %r2, %r2, %r3;"
          "st.shared.u32 [%r2], %r1;"),
      32);
  CHECK(shared.kind == FaultKind::kOutOfBounds);
  CHECK(shared.thread[0] == 16);
}

TEST_CASE("a barrier that only some lanes reach is a fault, one after they met is none", "[ptx]") {
  const Fault parted = fault_of(kernel(R"(
  setp.lt.u32 %p1, %r1, 7;
  @%p1 bra A;
  bar.sync 0;
  bra B;
A: bar.sync 0;
B: st.global.u32 [%rd1], 1;)"),
                                32);
  CHECK(parted.kind == FaultKind::kDivergentBarrier);
  const Fault skipped = fault_of(kernel(R"(
  setp.lt.u32 %p1, %r1, 7;
  @%p1 bra B;
  bar.sync 0;
B: st.global.u32 [%rd1], 1;)"),
                                 32);
  CHECK(skipped.kind == FaultKind::kDivergentBarrier);
  Bench innocent(kernel(R"(
  setp.lt.u32 %p1, %r1, 7;
  @%p1 bra B;
  mov.u32 %r2, 5;
B: bar.sync 0; st.global.u32 [%rd1], 1;)"));
  const auto out = innocent.upload(std::vector<std::uint32_t>(64));
  CHECK_FALSE(innocent.run("k", {1}, {64}, out).fault.has_value());
}

TEST_CASE("warps that wait at different barriers are a deadlock", "[ptx]") {
  const Fault fault = fault_of(kernel(R"(
  setp.lt.u32 %p1, %r1, 32;
  @%p1 bra A;
  barrier.sync 1, 64;
  bra B;
A: barrier.sync 2, 64;
B: )"),
                               64);
  CHECK(fault.kind == FaultKind::kBarrierDeadlock);
  CHECK(contains(fault.message, "64 of 64"));
}

TEST_CASE("invalid barriers, masks and stacks are named", "[ptx]") {
  CHECK(fault_of(kernel("mov.u32 %r2, 16; barrier.sync %r2;"), 32).kind ==
        FaultKind::kInvalidBarrier);
  CHECK(fault_of(kernel("bar.sync 0, 40;"), 32).kind == FaultKind::kInvalidBarrier);
  CHECK(fault_of(kernel("shfl.sync.idx.b32 %r2, %r1, 0, 31, 1;"), 32).kind ==
        FaultKind::kInvalidMask);
  const std::string endless =
      ".func f(.param .b32 x) { .reg .b32 %r<2>; ld.param.u32 %r1, [x]; { .param .b32 q; "
      "st.param.b32 [q], %r1; call.uni f, (q); } ret; }\n";
  CHECK(fault_of(kernel("{ .param .b32 q; st.param.b32 [q], %r1; call.uni f, (q); }", endless), 32)
            .kind == FaultKind::kStackOverflow);
}

TEST_CASE("unknown instructions fault by name when executed only", "[ptx]") {
  const Fault fault = fault_of(kernel("frobnicate.b32 %r2, %r1;"), 32);
  CHECK(fault.kind == FaultKind::kUnknownInstruction);
  CHECK(fault.instruction == "frobnicate.b32");
  Bench bench(kernel("setp.eq.u32 %p1, %r1, 999; @%p1 frobnicate.b32 %r2, %r1;"));
  const auto out = bench.upload(std::vector<std::uint32_t>(64));
  CHECK_FALSE(bench.run("k", {1}, {32}, out).fault.has_value());
  CHECK(bench.program.function("k")->unsupported.size() == 1);
}

TEST_CASE("an endless loop ends by the watchdog", "[ptx]") {
  MachineOptions options = Bench::single_thread();
  options.watchdog_instructions = 100000;
  CHECK(fault_of(kernel("A: add.u32 %r2, %r2, 1; bra A;"), 32, options).kind ==
        FaultKind::kEndlessLoop);
  options.watchdog_instructions = 0;
  options.watchdog_seconds = 0.05;
  CHECK(fault_of(kernel("A: add.u32 %r2, %r2, 1; bra A;"), 32, options).kind ==
        FaultKind::kEndlessLoop);
}

TEST_CASE("trap ends a launch", "[ptx]") {
  CHECK(fault_of(kernel("trap;"), 32).kind == FaultKind::kTrap);
}

TEST_CASE("printf formats as on the host", "[ptx]") {
  // "%d %5.2f %s %lld %c%%\n", "abc"
  Bench bench(kernel(R"(
  .local .align 8 .b8 depot[48];
  setp.ne.u32 %p1, %r1, 1;
  @%p1 bra END;
  mov.u64 %rd4, depot; cvta.local.u64 %rd5, %rd4;
  st.local.u32 [%rd4], -7;
  mov.u64 %rd6, 0x400921FB54442D18; st.local.u64 [%rd4+8], %rd6;
  mov.u64 %rd7, word; cvta.global.u64 %rd7, %rd7; st.local.u64 [%rd4+16], %rd7;
  mov.u64 %rd8, 1234567890123; st.local.u64 [%rd4+24], %rd8;
  st.local.u32 [%rd4+32], 88;
  mov.u64 %rd9, format; cvta.global.u64 %rd9, %rd9;
  { .param .b64 p0; st.param.b64 [p0], %rd9; .param .b64 p1; st.param.b64 [p1], %rd5; .param .b32 r;
    call.uni (r), vprintf, (p0, p1); ld.param.b32 %r4, [r]; }
  st.global.u32 [%rd1], %r4;
END:)",
                     ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
                     ".global .align 1 .b8 word[4] = {97, 98, 99, 0};\n"
                     ".global .align 1 .b8 format[23] = {37, 100, 32, 37, 53, 46, 50, 102, 32, 37, "
                     "115, 32, 37, 108, "
                     "108, 100, 32, 37, 99, 37, 37, 10, 0};\n"));
  const auto out = bench.upload(std::vector<std::uint32_t>(64));
  std::optional<Fault> fault;
  const std::string text = printed([&] { fault = bench.run("k", {1}, {32}, out).fault; });
  INFO((fault ? fault->text() : ""));
  REQUIRE_FALSE(fault.has_value());
  CHECK(text == "-7  3.14 abc 1234567890123 X%\n");
  CHECK(bench.download<std::uint32_t>(out, 1)[0] == 5);
}

TEST_CASE("device memory from malloc can be written, freed and given again", "[ptx]") {
  Bench bench(kernel(R"(
  { .param .b64 p0; st.param.b64 [p0], 64; .param .b64 r;
    call.uni (r), malloc, (p0); ld.param.b64 %rd4, [r]; }
  st.u32 [%rd4+60], %r1;
  ld.u32 %r5, [%rd4+60];
  { .param .b64 p0; st.param.b64 [p0], %rd4; call.uni free, (p0); }
  st.global.u32 [%rd2], %r5;)",
                     ".extern .func (.param .b64 r) malloc(.param .b64 n);\n.extern .func "
                     "free(.param .b64 p);\n"));
  const auto out = bench.upload(std::vector<std::uint32_t>(64));
  const LaunchResult result = bench.run("k", {1}, {64}, out);
  INFO((result.fault ? result.fault->text() : ""));
  REQUIRE_FALSE(result.fault.has_value());
  const auto got = bench.download<std::uint32_t>(out, 64);
  for (std::uint32_t i = 0; i < 64; ++i) REQUIRE(got[i] == i);
}
