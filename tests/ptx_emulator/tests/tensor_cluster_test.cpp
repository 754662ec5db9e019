// Asynchronous copies between the blocks of a cluster, and arrivals that follow cp.async.
#include "tests/catch.h"
#include "tests/ptx_emulator/tests/tensor_harness.h"

namespace ptx_emulator::testing {
namespace {

using Words = std::vector<std::uint32_t>;

const char* const kDeclarations =
    ".shared .align 128 .b8 tile[512];\n.shared .align 8 .b64 bar;\n.reg .pred %first, %lead, %q;\n"
    ".reg .b16 %mask;\n.reg .b32 %thread, %s, %b, %rank, %r<8>;\n.reg .b64 %at, %state;\n";
const char* const kSetup =
    "mov.u32 %thread, %tid.x;\nmov.u32 %s, tile;\nmov.u32 %b, bar;\nmov.u32 %rank, "
    "%cluster_ctarank;\n"
    "setp.eq.u32 %first, %thread, 0;\nsetp.eq.u32 %lead, %rank, 0;\n"
    "@%first mbarrier.init.shared.b64 [%b], 1;\nfence.mbarrier_init.release.cluster;\n"
    "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n";
const char* const kWait =
    "WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 %q, [%b], 0;\n@!%q bra WAIT;\n";
// Word `thread` of the tile to out[32 block + thread].
const char* const kStore =
    "shl.b32 %r0, %thread, 2;\nadd.u32 %r0, %r0, %s;\nld.shared.u32 %r1, [%r0];\n"
    "mov.u32 %r2, %ctaid.x;\nshl.b32 %r2, %r2, 5;\nadd.u32 %r2, %r2, %thread;\n"
    "mul.wide.u32 %at, %r2, 4;\nadd.u64 %at, %at, %arg1;\nst.global.u32 [%at], %r1;\n"
    "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n";

}  // namespace

TEST_CASE("a multicast copy reaches the blocks of its mask and their mbarriers", "[ptx]") {
  Device device;
  Words in(32);
  for (std::uint32_t i = 0; i < 32; ++i) in[i] = 40 + i;
  const std::uint64_t out = device.upload(Words(128));
  // Blocks 0, 1 and 3 expect 128 bytes from block 0; block 2 expects none, and its barrier opens at
  // once.
  const std::string body =
      std::string(kSetup) +
      "setp.ne.u32 %q, %rank, 2;\nselp.b32 %r3, 128, 0, %q;\n"
      "@%first mbarrier.arrive.expect_tx.shared.b64 %state, [%b], %r3;\n"
      "shl.b32 %r0, %thread, 2;\nadd.u32 %r0, %r0, %s;\nst.shared.u32 [%r0], 5;\n"
      "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n"
      "and.pred %q, %first, %lead;\nmov.b16 %mask, 11;\n"
      "@%q cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%s], [%arg0], 128, [%b], %mask;\n" +
      kWait + kStore;
  const LaunchResult result =
      device.run(kernel_text(2, kDeclarations, body), {.grid = {4, 1, 1}, .cluster = {4, 1, 1}},
                 {device.upload(in), out});
  REQUIRE(fault_of(result) == "");
  const Words got = device.download<std::uint32_t>(out, 128);
  for (std::uint32_t block = 0; block < 4; ++block) {
    for (std::uint32_t i = 0; i < 32; ++i) {
      REQUIRE(got[32 * block + i] == (block == 2 ? 5 : 40 + i));
    }
  }
}

TEST_CASE("a block writes into its neighbour's shared memory and wakes it", "[ptx]") {
  Device device;
  const std::uint64_t out = device.upload(Words(64));
  // Each block fills its upper half, and copies it to the lower half of the other.
  const std::string body =
      std::string(kSetup) +
      "shl.b32 %r0, %thread, 2;\nadd.u32 %r0, %r0, %s;\nmad.lo.u32 %r1, %rank, 100, %thread;\n"
      "st.shared.u32 [%r0+256], %r1;\nst.shared.u32 [%r0], 5;\n"
      "@%first mbarrier.arrive.expect_tx.shared.b64 %state, [%b], 128;\n"
      "fence.proxy.async;\nbarrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n"
      "xor.b32 %r3, %rank, 1;\nmapa.shared::cluster.u32 %r4, %s, %r3;\n"
      "mapa.shared::cluster.u32 %r5, %b, %r3;\nadd.u32 %r6, %s, 256;\n"
      "@%first cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r4], "
      "[%r6], "
      "128, [%r5];\n" +
      kWait + kStore;
  const LaunchResult result = device.run(kernel_text(2, kDeclarations, body),
                                         {.grid = {2, 1, 1}, .cluster = {2, 1, 1}}, {0, out});
  REQUIRE(fault_of(result) == "");
  const Words got = device.download<std::uint32_t>(out, 64);
  for (std::uint32_t block = 0; block < 2; ++block) {
    for (std::uint32_t i = 0; i < 32; ++i) REQUIRE(got[32 * block + i] == 100 * (1 - block) + i);
  }
}

TEST_CASE("a block arrives at the mbarrier of its neighbour", "[ptx]") {
  Device device;
  const std::uint64_t out = device.upload(Words(64));
  // What a block writes into the other's memory before it arrives is there after the wait.
  const std::string body =
      std::string(kSetup) +
      "xor.b32 %r3, %rank, 1;\nmapa.shared::cluster.u32 %r4, %s, %r3;\n"
      "mapa.shared::cluster.u32 %r5, %b, %r3;\nmad.lo.u32 %r1, %rank, 100, %thread;\n"
      "shl.b32 %r0, %thread, 2;\nadd.u32 %r6, %r4, %r0;\nst.shared::cluster.u32 [%r6], %r1;\n"
      "bar.warp.sync -1;\n"
      "@%first mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r5];\n"
      "WAIT:\nmbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %q, [%b], 0;\n"
      "@!%q bra WAIT;\n" +
      kStore;
  const LaunchResult result = device.run(kernel_text(2, kDeclarations, body),
                                         {.grid = {2, 1, 1}, .cluster = {2, 1, 1}}, {0, out});
  REQUIRE(fault_of(result) == "");
  const Words got = device.download<std::uint32_t>(out, 64);
  for (std::uint32_t block = 0; block < 2; ++block) {
    for (std::uint32_t i = 0; i < 32; ++i) REQUIRE(got[32 * block + i] == 100 * (1 - block) + i);
  }
}

TEST_CASE("asynchronous stores and reductions wake the neighbour that they reach", "[ptx]") {
  Device device;
  const std::uint64_t out = device.upload(Words(64));
  // Words 0 to 31 come from the other block's threads one by one, in pairs behind them; all of its
  // threads add to word 4 of the upper part, and their largest number goes to word 5.
  const std::string body =
      std::string(kSetup) +
      "shl.b32 %r0, %thread, 2;\nadd.u32 %r0, %r0, %s;\nst.shared.u32 [%r0], 5;\n"
      "st.shared.u32 [%r0+128], 0;\nst.shared.u32 [%r0+256], 0;\nst.shared.u32 [%r0+384], 0;\n"
      "@%first mbarrier.arrive.expect_tx.shared.b64 %state, [%b], 640;\n"
      "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n"
      "xor.b32 %r3, %rank, 1;\nmapa.shared::cluster.u32 %r4, %s, %r3;\n"
      "mapa.shared::cluster.u32 %r5, %b, %r3;\nmad.lo.u32 %r1, %rank, 100, %thread;\n"
      "shl.b32 %r0, %thread, 2;\nadd.u32 %r6, %r4, %r0;\n"
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r6], %r1, [%r5];\n"
      "add.u32 %r6, %r6, %r0;\nadd.u32 %r2, %r1, 1000;\n"
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%r6+128], {%r1, %r2}, "
      "[%r5];\n"
      "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%r4+400], "
      "%r1, [%r5];\n"
      "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.max.u32 [%r4+404], "
      "%r1, [%r5];\n"
      "ld.shared.u32 %r7, [%s+400];\n" +
      kWait +
      // Word t, its pair, and the sums, as one number of each thread.
      "shl.b32 %r0, %thread, 2;\nadd.u32 %r0, %r0, %s;\nld.shared.u32 %r1, [%r0];\n"
      "add.u32 %r2, %r0, %r0;\nsub.u32 %r2, %r2, %s;\nld.shared.v2.u32 {%r3, %r4}, [%r2+128];\n"
      "add.u32 %r1, %r1, %r3;\nadd.u32 %r1, %r1, %r4;\nld.shared.u32 %r3, [%s+400];\n"
      "ld.shared.u32 %r4, [%s+404];\nadd.u32 %r1, %r1, %r3;\nadd.u32 %r1, %r1, %r4;\n"
      "add.u32 %r1, %r1, %r7;\nst.shared.u32 [%r0], %r1;\n" +
      kStore;
  const LaunchResult result = device.run(kernel_text(2, kDeclarations, body),
                                         {.grid = {2, 1, 1}, .cluster = {2, 1, 1}}, {0, out});
  REQUIRE(fault_of(result) == "");
  const Words got = device.download<std::uint32_t>(out, 64);
  for (std::uint32_t block = 0; block < 2; ++block) {
    const std::uint32_t base = 100 * (1 - block);
    const std::uint32_t sum = 32 * base + 31 * 16, largest = base + 31;
    for (std::uint32_t i = 0; i < 32; ++i) {
      REQUIRE(got[32 * block + i] == 3 * (base + i) + 1000 + sum + largest);
    }
  }
  REQUIRE_THAT(
      fault_of(device.run(
          kernel_text(2, kDeclarations,
                      std::string(kSetup) + "xor.b32 %r3, %rank, 1;\n"
                                            "mapa.shared::cluster.u32 %r4, %s, %r3;\n"
                                            "st.async.shared::cluster.mbarrier::complete_tx::bytes."
                                            "u32 [%r4], %r3, [%b];\n"),
          {.grid = {2, 1, 1}, .cluster = {2, 1, 1}}, {0, out})),
      Catch::Contains("the mbarrier is in block"));
}

TEST_CASE("an mbarrier can wait for the cp.async of all threads", "[ptx]") {
  for (const bool counted : {false, true}) {
    Device device;
    Words in(32);
    for (std::uint32_t i = 0; i < 32; ++i) in[i] = 70 + i;
    const std::uint64_t out = device.upload(Words(32));
    // Counted: the 32 asynchronous arrivals were expected at init. Otherwise each adds itself, and
    // thread 0 arrives.
    const std::string body =
        std::string(
            "mov.u32 %thread, %tid.x;\nmov.u32 %s, tile;\nmov.u32 %b, bar;\n"
            "setp.eq.u32 %first, %thread, 0;\n") +
        "@%first mbarrier.init.shared.b64 [%b], " + (counted ? "32" : "1") +
        ";\nbar.warp.sync -1;\n"
        "mul.wide.u32 %at, %thread, 4;\nadd.u64 %at, %at, %arg0;\nshl.b32 %r0, %thread, 2;\n"
        "add.u32 %r0, %r0, %s;\ncp.async.ca.shared.global [%r0], [%at], 4;\n" +
        "cp.async.mbarrier.arrive" + (counted ? ".noinc" : "") + ".shared.b64 [%b];\n" +
        (counted ? "" : "@%first mbarrier.arrive.shared.b64 %state, [%b];\n") + kWait + kStore;
    const LaunchResult result =
        device.run(kernel_text(2, kDeclarations, body), {}, {device.upload(in), out});
    REQUIRE(fault_of(result) == "");
    const Words got = device.download<std::uint32_t>(out, 32);
    for (std::uint32_t i = 0; i < 32; ++i) REQUIRE(got[i] == 70 + i);
  }
}

}  // namespace ptx_emulator::testing
