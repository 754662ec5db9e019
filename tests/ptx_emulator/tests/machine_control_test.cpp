// Branches, calls, barriers and what else orders lanes, warps and blocks.
#include <numeric>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/machine_harness.h"

using namespace ptx_emulator;
using namespace ptx_emulator::testing;

namespace {

std::vector<std::uint32_t> counting(std::uint32_t n) {
  std::vector<std::uint32_t> values(n);
  std::iota(values.begin(), values.end(), 0u);
  return values;
}

void require_success(const LaunchResult& result) {
  INFO((result.fault ? result.fault->text() : ""));
  REQUIRE_FALSE(result.fault.has_value());
}

// %r1: thread, %r2: index in the grid, %rd1: address of out[index]
const std::string kPrologue = R"(
  .reg .pred %p<8>; .reg .b32 %r<32>; .reg .b64 %rd<16>; .reg .f32 %f<8>;
  mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x;
  mad.lo.s32 %r2, %r2, %r3, %r1;
  ld.param.u64 %rd1, [out];
  cvta.to.global.u64 %rd1, %rd1;
  mul.wide.u32 %rd2, %r2, 4;
  add.s64 %rd1, %rd1, %rd2;
)";
std::string kernel(const std::string& body, const std::string& before = "") {
  return before + ".visible .entry k(.param .u64 out, .param .u64 in)\n{\n" + kPrologue + body +
         "\nret;\n}\n";
}

}  // namespace

TEST_CASE("every thread of a grid adds its elements", "[ptx]") {
  Bench bench(R"(
.visible .entry add(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)
{
  .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .f32 %f<4>;
  ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.param.u64 %rd3, [c]; ld.param.u32 %r1, [n];
  mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  setp.ge.s32 %p1, %r5, %r1;
  @%p1 bra DONE;
  mul.wide.s32 %rd4, %r5, 4;
  add.s64 %rd5, %rd1, %rd4; add.s64 %rd6, %rd2, %rd4; add.s64 %rd7, %rd3, %rd4;
  ld.global.f32 %f1, [%rd5]; ld.global.f32 %f2, [%rd6];
  add.f32 %f3, %f1, %f2;
  st.global.f32 [%rd7], %f3;
DONE:
  ret;
})");
  std::vector<float> a(1000), b(1000), c(1000, -1.0f);
  for (int i = 0; i < 1000; ++i) {
    a[i] = static_cast<float>(i);
    b[i] = 0.5f * static_cast<float>(i);
  }
  const auto da = bench.upload(a), db = bench.upload(b), dc = bench.upload(c);
  require_success(bench.run("add", {8}, {128}, da, db, dc, std::uint32_t{1000}));
  c = bench.download<float>(dc, 1000);
  for (int i = 0; i < 1000; ++i) REQUIRE(c[i] == a[i] + b[i]);
}

TEST_CASE("lanes that branch apart meet again before the next exchange", "[ptx]") {
  Bench bench(kernel(R"(
  and.b32 %r4, %r1, 3;
  setp.eq.u32 %p1, %r4, 0;
  @%p1 bra A;
  setp.eq.u32 %p2, %r4, 1;
  @%p2 bra B;
  mov.u32 %r5, 300;
  bra.uni JOIN;
A: mov.u32 %r5, 100;
  bra.uni JOIN;
B: mov.u32 %r5, 200;
JOIN:
  shfl.sync.bfly.b32 %r6|%p3, %r5, 1, 31, -1;
  st.global.u32 [%rd1], %r6;
)"));
  const auto out = bench.upload(std::vector<std::uint32_t>(64));
  const LaunchResult result = bench.run("k", {1}, {64}, out, out);
  require_success(result);
  const auto got = bench.download<std::uint32_t>(out, 64);
  const std::uint32_t expected[4] = {200, 100, 300, 300};
  for (std::uint32_t i = 0; i < 64; ++i) REQUIRE(got[i] == expected[i % 4]);
  // A branch each way and one reunion: 9 instructions before, the paths one after the other, 3
  // behind.
  CHECK(result.warp_instructions < 2 * 40);
}

TEST_CASE("a loop runs as often as each lane says", "[ptx]") {
  Bench bench(kernel(R"(
  mov.u32 %r4, 0; mov.u32 %r5, 0;
LOOP:
  setp.ge.u32 %p1, %r4, %r1;
  @%p1 bra DONE;
  add.u32 %r4, %r4, 1;
  add.u32 %r5, %r5, %r4;
  bra LOOP;
DONE:
  st.global.u32 [%rd1], %r5;
)"));
  const auto out = bench.upload(std::vector<std::uint32_t>(96));
  require_success(bench.run("k", {1}, {96}, out, out));
  const auto got = bench.download<std::uint32_t>(out, 96);
  for (std::uint32_t i = 0; i < 96; ++i) REQUIRE(got[i] == i * (i + 1) / 2);
}

TEST_CASE("functions call themselves, each lane as deep as it needs", "[ptx]") {
  Bench bench(kernel(R"(
  and.b32 %r4, %r1, 7;
  { .param .b32 p0; st.param.b32 [p0], %r4; .param .b32 r0;
    call.uni (r0), fib, (p0);
    ld.param.b32 %r5, [r0]; }
  st.global.u32 [%rd1], %r5;
)",
                     R"(
.func (.param .b32 result) fib(.param .b32 n)
{
  .reg .pred %p<2>; .reg .b32 %r<8>;
  ld.param.u32 %r1, [n];
  setp.lt.u32 %p1, %r1, 2;
  @%p1 bra SMALL;
  sub.u32 %r2, %r1, 1;
  { .param .b32 p0; st.param.b32 [p0], %r2; .param .b32 r0;
    call.uni (r0), fib, (p0);
    ld.param.b32 %r3, [r0]; }
  sub.u32 %r4, %r1, 2;
  { .param .b32 p0; st.param.b32 [p0], %r4; .param .b32 r0;
    call.uni (r0), fib, (p0);
    ld.param.b32 %r5, [r0]; }
  add.u32 %r1, %r3, %r5;
SMALL:
  st.param.b32 [result], %r1;
  ret;
})"));
  const auto out = bench.upload(std::vector<std::uint32_t>(32));
  require_success(bench.run("k", {1}, {32}, out, out));
  const auto got = bench.download<std::uint32_t>(out, 32);
  const std::uint32_t fib[8] = {0, 1, 1, 2, 3, 5, 8, 13};
  for (std::uint32_t i = 0; i < 32; ++i) REQUIRE(got[i] == fib[i % 8]);
}

TEST_CASE("function pointers may differ between lanes", "[ptx]") {
  Bench bench(kernel(R"(
  and.b32 %r4, %r1, 1;
  mul.wide.u32 %rd4, %r4, 8;
  mov.u64 %rd5, table;
  add.s64 %rd5, %rd5, %rd4;
  ld.global.u64 %rd6, [%rd5];
  { .param .b32 p0; st.param.b32 [p0], %r1; .param .b32 r0;
    proto: .callprototype (.param .b32 _) _ (.param .b32 _);
    call (r0), %rd6, (p0), proto;
    ld.param.b32 %r5, [r0]; }
  st.global.u32 [%rd1], %r5;
)",
                     R"(
.func (.param .b32 result) twice(.param .b32 n)
{ .reg .b32 %r<3>; ld.param.u32 %r1, [n]; add.u32 %r2, %r1, %r1; st.param.b32 [result], %r2; ret; }
.func (.param .b32 result) plus_ten(.param .b32 n)
{ .reg .b32 %r<3>; ld.param.u32 %r1, [n]; add.u32 %r2, %r1, 10; st.param.b32 [result], %r2; ret; }
.global .align 8 .u64 table[2] = {twice, plus_ten};
)"));
  const auto out = bench.upload(std::vector<std::uint32_t>(32));
  require_success(bench.run("k", {1}, {32}, out, out));
  const auto got = bench.download<std::uint32_t>(out, 32);
  for (std::uint32_t i = 0; i < 32; ++i) REQUIRE(got[i] == (i % 2 == 0 ? 2 * i : i + 10));
}

TEST_CASE("brx.idx goes where each lane's index says", "[ptx]") {
  Bench bench(kernel(R"(
  and.b32 %r4, %r1, 3;
  ts: .branchtargets L0, L1, L2, L3;
  brx.idx %r4, ts;
L0: mov.u32 %r5, 7; bra END;
L1: mov.u32 %r5, 17; bra END;
L2: mov.u32 %r5, 27; bra END;
L3: mov.u32 %r5, 37;
END:
  shfl.sync.idx.b32 %r6, %r5, 2, 31, -1;
  add.u32 %r5, %r5, %r6;
  st.global.u32 [%rd1], %r5;
)"));
  const auto out = bench.upload(std::vector<std::uint32_t>(32));
  require_success(bench.run("k", {1}, {32}, out, out));
  const auto got = bench.download<std::uint32_t>(out, 32);
  for (std::uint32_t i = 0; i < 32; ++i) REQUIRE(got[i] == 7 + 10 * (i % 4) + 27);
}

TEST_CASE("lanes that have left do not hold up a barrier", "[ptx]") {
  Bench bench(kernel(R"(
  .shared .align 4 .b8 cell[4];
  setp.gt.u32 %p1, %r1, 40;
  @%p1 bra END;
  setp.ne.u32 %p2, %r1, 3;
  @%p2 bra SKIP;
  st.shared.u32 [cell], 99;
SKIP:
  bar.sync 0;
  ld.shared.u32 %r4, [cell];
  st.global.u32 [%rd1], %r4;
END:
)"));
  const auto out = bench.upload(std::vector<std::uint32_t>(64, 5));
  require_success(bench.run("k", {1}, {64}, out, out));
  const auto got = bench.download<std::uint32_t>(out, 64);
  for (std::uint32_t i = 0; i < 64; ++i) REQUIRE(got[i] == (i > 40 ? 5u : 99u));
}

TEST_CASE("a block reduces through shared memory and barriers under several seeds", "[ptx]") {
  const std::string text = kernel(R"(
  .shared .align 4 .b8 cells[1024];
  ld.param.u64 %rd3, [in];
  add.s64 %rd3, %rd3, %rd2;
  ld.global.u32 %r4, [%rd3];
  mov.u32 %r5, cells; shl.b32 %r6, %r1, 2; add.u32 %r5, %r5, %r6;
  st.shared.u32 [%r5], %r4;
  mov.u32 %r7, 128;
LOOP:
  bar.sync 0;
  setp.ge.u32 %p1, %r1, %r7;
  @%p1 bra NEXT;
  shl.b32 %r8, %r7, 2; add.u32 %r9, %r5, %r8;
  ld.shared.u32 %r10, [%r9]; ld.shared.u32 %r11, [%r5];
  add.u32 %r11, %r11, %r10;
  st.shared.u32 [%r5], %r11;
NEXT:
  shr.u32 %r7, %r7, 1;
  setp.ne.u32 %p2, %r7, 0;
  @%p2 bra LOOP;
  setp.ne.u32 %p3, %r1, 0;
  @%p3 bra END;
  ld.shared.u32 %r12, [cells];
  st.global.u32 [%rd1], %r12;
END:
)");
  for (const std::uint64_t seed : {0, 1, 2}) {
    MachineOptions options;
    options.num_threads = 2;
    options.seed = seed;
    Bench bench(text, options);
    const auto in = bench.upload(counting(4 * 256));
    const auto out = bench.upload(std::vector<std::uint32_t>(4 * 256));
    require_success(bench.run("k", {4}, {256}, out, in));
    const auto got = bench.download<std::uint32_t>(out, 4 * 256);
    for (std::uint32_t b = 0; b < 4; ++b) REQUIRE(got[b * 256] == 256 * (b * 256) + 255 * 128);
  }
}

TEST_CASE("a lane that spins on a lock lets its holder in the same warp go on", "[ptx]") {
  Bench bench(kernel(R"(
  ld.param.u64 %rd3, [in];
SPIN:
  atom.global.cas.b32 %r4, [%rd3], 0, 1;
  setp.ne.u32 %p1, %r4, 0;
  @%p1 bra SPIN;
  ld.volatile.global.u32 %r5, [%rd3+4];
  add.u32 %r5, %r5, 1;
  st.volatile.global.u32 [%rd3+4], %r5;
  membar.gl;
  atom.global.exch.b32 %r6, [%rd3], 0;
)"));
  const auto in = bench.upload(std::vector<std::uint32_t>(2));
  require_success(bench.run("k", {2}, {64}, in, in));
  CHECK(bench.download<std::uint32_t>(in, 2)[1] == 128);
}

TEST_CASE("a block that waits for a later one lets it begin", "[ptx]") {
  Bench bench(kernel(R"(
  ld.param.u64 %rd3, [in];
  mov.u32 %r4, %ctaid.x;
  setp.ne.u32 %p1, %r4, 0;
  @%p1 bra GIVE;
WAIT:
  ld.acquire.gpu.global.u32 %r5, [%rd3];
  setp.ne.u32 %p2, %r5, 19;
  @%p2 bra WAIT;
  st.global.u32 [%rd1], 1;
  bra END;
GIVE:
  atom.global.add.u32 %r6, [%rd3], 1;
END:
)"));
  const auto in = bench.upload(std::vector<std::uint32_t>(1));
  const auto out = bench.upload(std::vector<std::uint32_t>(32));
  require_success(bench.run("k", {20}, {1}, out, in));
  CHECK(bench.download<std::uint32_t>(out, 1)[0] == 1);
}

TEST_CASE("named barriers, arrivals and reductions count threads", "[ptx]") {
  Bench bench(kernel(R"(
  .shared .align 4 .b8 cell[4];
  setp.ge.u32 %p1, %r1, 32;
  @%p1 bra CONSUMER;
  st.shared.u32 [cell], 42;
  barrier.arrive 3, 64;
  bra.uni BOTH;
CONSUMER:
  barrier.sync 3, 64;
  ld.shared.u32 %r4, [cell];
BOTH:
  setp.lt.u32 %p2, %r1, 50;
  bar.red.popc.u32 %r5, 0, %p2;
  bar.red.and.pred %p3, 0, %p2;
  bar.red.or.pred %p4, 0, %p2;
  selp.u32 %r6, 1000, 0, %p3;
  selp.u32 %r7, 2000, 0, %p4;
  add.u32 %r5, %r5, %r6; add.u32 %r5, %r5, %r7;
  @!%p1 mov.u32 %r4, 0;
  add.u32 %r5, %r5, %r4;
  st.global.u32 [%rd1], %r5;
)"));
  const auto out = bench.upload(std::vector<std::uint32_t>(64));
  require_success(bench.run("k", {1}, {64}, out, out));
  const auto got = bench.download<std::uint32_t>(out, 64);
  for (std::uint32_t i = 0; i < 64; ++i) REQUIRE(got[i] == 2050 + (i >= 32 ? 42u : 0u));
}

TEST_CASE("all blocks of a cooperative launch are resident at once", "[ptx]") {
  // Counts to the number of blocks and waits for the others, twice.
  MachineOptions options;
  options.num_threads = 2;
  Bench bench(kernel(R"(
  mov.u32 %r4, %envreg1; mov.u32 %r5, %envreg2;
  mov.b64 %rd4, {%r5, %r4};
  mov.u32 %r6, %nctaid.x;
  atom.global.add.u32 %r7, [%rd4+4], 1;
WAIT:
  ld.acquire.gpu.global.u32 %r8, [%rd4+4];
  setp.lt.u32 %p1, %r8, %r6;
  @%p1 bra WAIT;
  st.global.u32 [%rd1], %r8;
)"),
              options);
  const auto out = bench.upload(std::vector<std::uint32_t>(200));
  Launch launch = bench.launch("k", {200}, {1}, out, out);
  launch.cooperative = true;
  require_success(bench.machine.run(launch));
  for (const std::uint32_t n : bench.download<std::uint32_t>(out, 200)) REQUIRE(n == 200);
}

TEST_CASE("blocks of a cluster share memory and a barrier", "[ptx]") {
  Bench bench(kernel(R"(
  .shared .align 4 .b8 cell[4];
  mov.u32 %r4, %cluster_ctarank;
  st.shared.u32 [cell], %r2;
  barrier.cluster.arrive; barrier.cluster.wait;
  add.u32 %r5, %r4, 1; and.b32 %r5, %r5, 3;
  mov.u32 %r6, cell;
  mapa.shared::cluster.u32 %r7, %r6, %r5;
  ld.shared::cluster.u32 %r8, [%r7];
  st.global.u32 [%rd1], %r8;
  barrier.cluster.arrive; barrier.cluster.wait;
)"));
  const auto out = bench.upload(std::vector<std::uint32_t>(8));
  Launch launch = bench.launch("k", {8}, {1}, out, out);
  launch.cluster = {4, 1, 1};
  require_success(bench.machine.run(launch));
  const auto got = bench.download<std::uint32_t>(out, 8);
  for (std::uint32_t i = 0; i < 8; ++i) REQUIRE(got[i] == i / 4 * 4 + (i + 1) % 4);
}
