// Instructions that few kernels hold: tests of spaces, hints, reductions at barriers, the rarer
// forms of mbarriers.
#include "tests/catch.h"
#include "tests/ptx_emulator/tests/machine_harness.h"

namespace ptx_emulator::testing {
namespace {

using Words = std::vector<std::uint32_t>;

// A kernel of one block of a warp that stores %o0 to %o7 of each lane.
Words run(const std::string& body, const std::string& declarations = "",
          std::uint32_t threads = 32) {
  std::string text = declarations +
                     ".visible .entry k(.param .u64 out, .param .u64 in)\n{\n"
                     ".reg .pred %p, %q;\n.reg .b32 %lane, %r<16>, %o<8>;\n"
                     ".reg .b64 %out, %in, %a, %b, %c, %wide;\n"
                     ".shared .align 8 .b8 room[256];\n.local .align 8 .b8 own[16];\n"
                     "ld.param.u64 %out, [out];\nld.param.u64 %in, [in];\nmov.u32 %lane, %tid.x;\n"
                     "mul.wide.u32 %wide, %lane, 32;\nadd.u64 %out, %out, %wide;\n";
  for (int i = 0; i < 8; ++i) text += "mov.u32 %o" + std::to_string(i) + ", 0;\n";
  text += body;
  for (int i = 0; i < 8; ++i) {
    text += "st.global.u32 [%out+" + std::to_string(4 * i) + "], %o" + std::to_string(i) + ";\n";
  }
  Bench bench(text + "ret;\n}\n");
  REQUIRE(bench.program.function("k")->unsupported == std::vector<std::string>{});
  const std::uint64_t out = bench.upload(Words(8 * threads));
  const LaunchResult result =
      bench.run("k", {}, {threads, 1, 1}, out, bench.upload(Words{11, 12, 13, 14}));
  REQUIRE((result.fault ? result.fault->text() : "") == "");
  return bench.download<std::uint32_t>(out, 8 * threads);
}

}  // namespace

TEST_CASE("isspacep knows of every generic address where it points", "[ptx]") {
  std::string body =
      "mov.u64 %a, room;\ncvta.shared.u64 %a, %a;\nmov.u64 %b, own;\ncvta.local.u64 %b, %b;\n"
      "mov.u64 %c, fixed;\ncvta.const.u64 %c, %c;\nmov.u64 %wide, in;\ncvta.param.u64 %wide, "
      "%wide;\n";
  const char* spaces[] = {"global", "shared", "local", "const", "param::entry"};
  const char* addresses[] = {"%in", "%a", "%b", "%c", "%wide"};
  for (int address = 0; address < 5; ++address) {
    const std::string word = "%o" + std::to_string(address);
    for (int space = 0; space < 5; ++space) {
      body += std::string("isspacep.") + spaces[space] + " %p, " + addresses[address] +
              ";\nselp.u32 %r0, " + std::to_string(1 << space) + ", 0, %p;\nor.b32 " + word + ", " +
              word + ", %r0;\n";
    }
  }
  // Back from the generic address, and memory reached both ways.
  body +=
      "st.shared.u32 [room+4], 77;\nld.u32 %o5, [%a+4];\ncvta.to.shared.u64 %a, %a;\n"
      "cvt.u32.u64 %r1, %a;\nld.shared.u32 %r2, [%r1+4];\nadd.u32 %o5, %o5, %r2;\n"
      "st.local.u32 [own], %lane;\nld.u32 %o6, [%b];\ncvta.to.local.u64 %b, %b;\n"
      "ld.local.u32 %r2, [%b];\nadd.u32 %o6, %o6, %r2;\nld.u64 %wide, [%wide];\n"
      "ld.u32 %o7, [%wide];\nld.u32 %r2, [%c+4];\nadd.u32 %o7, %o7, %r2;\n";
  const Words got = run(body, ".const .align 4 .b32 fixed[2] = {100, 200};\n");
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    for (std::uint32_t address = 0; address < 5; ++address) {
      INFO("address in " << spaces[address]);
      REQUIRE(got[8 * lane + address] == 1u << address);
    }
    REQUIRE(got[8 * lane + 5] == 154);
    REQUIRE(got[8 * lane + 6] == 2 * lane);
    REQUIRE(got[8 * lane + 7] == 211);
  }
}

TEST_CASE("hints, fences and naps change no value", "[ptx]") {
  const Words got = run(
      "ldu.global.u32 %o0, [%in];\nldu.global.v2.u32 {%o1, %o2}, [%in+8];\n"
      "prefetch.global.L2 [%in];\nprefetch.global.L1 [%in];\nprefetchu.L1 [%in];\n"
      "prefetch.global.L2::evict_last [%in];\napplypriority.global.L2::evict_normal [%in], 128;\n"
      "createpolicy.fractional.L2::evict_last.b64 %c, 1.0;\n"
      "ld.global.L2::cache_hint.u32 %o3, [%in], %c;\nld.global.nc.L1::no_allocate.u32 %o4, [%in];\n"
      "ld.global.nc.L2::128B.v2.u32 {%o5, %o6}, [%in];\nld.global.L1::evict_first.u32 %o7, [%in];\n"
      "st.global.L2::cache_hint.u32 [%out], %o3, %c;\n"
      "fence.sc.gpu;\nfence.acq_rel.sys;\nfence.acq_rel.cluster;\nfence.proxy.async.global;\n"
      "fence.proxy.alias;\nmembar.cta;\nmembar.gl;\nmembar.sys;\nmembar.proxy.async;\n"
      "fence.acquire.sync_restrict::shared::cluster.cluster;\n"
      "nanosleep.u32 100;\npmevent 3;\ngriddepcontrol.wait;\ngriddepcontrol.launch_dependents;\n"
      "setmaxnreg.dec.sync.aligned.u32 40;\nsetmaxnreg.inc.sync.aligned.u32 232;\n");
  const Words expected{11, 13, 14, 11, 11, 11, 12, 11};
  for (std::uint32_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == expected[i % 8]);
}

TEST_CASE("reductions at barriers combine all threads, whatever the spelling", "[ptx]") {
  const Words got =
      run("setp.lt.u32 %p, %lane, 70;\n"
          "barrier.red.popc.u32 %o0, 1, %p;\nbarrier.cta.red.popc.aligned.u32 %o1, 2, 96, %p;\n"
          "bar.cta.red.popc.u32 %o2, 3, 96, !%p;\n"
          "barrier.cta.red.and.pred %q, 4, %p;\nselp.u32 %o3, 1, 0, %q;\n"
          "barrier.red.or.pred.aligned %q, 5, 96, %p;\nselp.u32 %o4, 1, 0, %q;\n"
          "setp.lt.u32 %p, %lane, 96;\nbarrier.red.and.pred %q, 6, %p;\nselp.u32 %o5, 1, 0, %q;\n"
          "barrier.cta.red.or.pred %q, 7, !%p;\nselp.u32 %o6, 1, 0, %q;\n",
          "", 96);
  for (std::uint32_t thread = 0; thread < 96; ++thread) {
    const std::uint32_t* o = &got[8 * thread];
    REQUIRE(Words(o, o + 7) == Words{70, 70, 26, 0, 1, 1, 0});
  }
}

TEST_CASE("mbarriers count drops, bytes and pending arrivals", "[ptx]") {
  // Three arrivals; one thread leaves for good, so the next phase needs two.
  const Words got = run(
      "setp.ne.u32 %p, %lane, 0;\nmov.u32 %r0, room;\n@%p bra END;\n"
      "mbarrier.init.shared.b64 [%r0], 3;\n"
      "mbarrier.arrive.noComplete.shared.b64 %a, [%r0], 1;\nmbarrier.pending_count.b64 %o0, %a;\n"
      "mbarrier.arrive_drop.shared.b64 %b, [%r0];\nmbarrier.pending_count.b64 %o1, %b;\n"
      "mbarrier.test_wait.shared.b64 %q, [%r0], %b;\nselp.u32 %o2, 1, 0, %q;\n"
      "mbarrier.arrive.release.cta.shared::cta.b64 _, [%r0];\n"
      "mbarrier.test_wait.acquire.cta.shared.b64 %q, [%r0], %b;\nselp.u32 %o3, 1, 0, %q;\n"
      // Phase 1: two arrivals and 64 bytes.
      "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r0], 64;\n"
      "mbarrier.arrive.shared.b64 %a, [%r0], 2;\n"
      "mbarrier.test_wait.parity.shared.b64 %q, [%r0], 1;\nselp.u32 %o4, 1, 0, %q;\n"
      "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r0], 24;\n"
      "mbarrier.test_wait.parity.shared.b64 %q, [%r0], 1;\nselp.u32 %o5, 1, 0, %q;\n"
      "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r0], 40;\n"
      "mbarrier.test_wait.parity.shared.b64 %q, [%r0], 1;\nselp.u32 %o6, 1, 0, %q;\n"
      "mbarrier.inval.shared.b64 [%r0];\nmbarrier.init.shared.b64 [%r0], 1;\n"
      "mbarrier.arrive.shared.b64 %a, [%r0];\nmbarrier.try_wait.shared.b64 %q, [%r0], %a, 1000;\n"
      "selp.u32 %o7, 1, 0, %q;\nEND:\n");
  // Before the arrival: 3 and 2 were pending. A test of parity 1 in phase 1 asks for phase 1.
  REQUIRE(Words(got.begin(), got.begin() + 8) == Words{3, 2, 0, 1, 0, 0, 1, 1});
}

TEST_CASE("mapa and getctarank name the blocks of a cluster", "[ptx]") {
  Bench bench(
      ".visible .entry k(.param .u64 out)\n{\n.shared .align 4 .b8 cell[4];\n.reg .pred %p;\n"
      ".reg .b32 %r<8>;\n.reg .b64 %o, %a, %b;\nld.param.u64 %o, [out];\n"
      "mov.u32 %r0, %cluster_ctarank;\nxor.b32 %r1, %r0, 1;\nmov.u32 %r2, cell;\n"
      "mapa.shared::cluster.u32 %r3, %r2, %r1;\ngetctarank.shared::cluster.u32 %r4, %r3;\n"
      "mov.u64 %a, cell;\ncvta.shared.u64 %a, %a;\nmapa.u64 %b, %a, %r1;\n"
      "getctarank.u64 %r5, %b;\nisspacep.shared::cluster %p, %b;\nselp.u32 %r6, 10, 0, %p;\n"
      "isspacep.shared::cta %p, %b;\nselp.u32 %r7, 20, 0, %p;\nadd.u32 %r6, %r6, %r7;\n"
      "mul.wide.u32 %a, %r0, 16;\nadd.u64 %o, %o, %a;\nst.global.v4.u32 [%o], {%r1, %r4, %r5, "
      "%r6};\nret;\n}\n");
  const std::uint64_t out = bench.upload(Words(8));
  Launch launch = bench.launch("k", {2, 1, 1}, {1, 1, 1}, out);
  launch.cluster = {2, 1, 1};
  const LaunchResult result = bench.machine.run(launch);
  REQUIRE((result.fault ? result.fault->text() : "") == "");
  REQUIRE(bench.download<std::uint32_t>(out, 8) == Words{1, 1, 1, 10, 0, 0, 0, 10});
}

}  // namespace ptx_emulator::testing
