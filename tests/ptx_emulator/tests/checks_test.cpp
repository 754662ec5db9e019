#include <array>
#include <cstdint>

#include "tests/catch.h"
#include "tests/ptx_emulator/machine/checks/access_counts.h"
#include "tests/ptx_emulator/machine/checks/global_races.h"
#include "tests/ptx_emulator/machine/checks/initialisation.h"
#include "tests/ptx_emulator/machine/checks/shared_races.h"

namespace ptx_emulator::checks {

namespace {

constexpr std::uint64_t kBarrier = 7;
const Op first_op, second_op, third_op;

SharedRaces::Access of(std::uint32_t agent, AccessKind kind, const Op& op, std::uint32_t offset = 0,
                       std::uint32_t bytes = 4, std::uint32_t lane = 0, bool strong = false) {
  return {.agent = agent,
          .lane = lane,
          .op = &op,
          .kind = kind,
          .strong = strong,
          .rank = 0,
          .offset = offset,
          .bytes = bytes};
}

void barrier(SharedRaces& races, std::uint32_t num_warps, std::uint64_t object = kBarrier) {
  for (std::uint32_t warp = 0; warp < num_warps; ++warp) races.release(warp, object);
  for (std::uint32_t warp = 0; warp < num_warps; ++warp) races.acquire(warp, object);
}

std::array<std::uint64_t, 32> addresses(std::uint64_t begin, std::int64_t stride) {
  std::array<std::uint64_t, 32> all;
  for (std::size_t i = 0; i < 32; ++i)
    all[i] = begin + static_cast<std::uint64_t>(static_cast<std::int64_t>(i) * stride);
  return all;
}

}  // namespace

TEST_CASE("a read of what another warp wrote is a race until both met at a barrier", "[ptx]") {
  SharedRaces races(1, 4, 1024);
  CHECK_FALSE(races.access(of(0, AccessKind::kWrite, first_op)));
  const auto race = races.access(of(1, AccessKind::kRead, second_op));
  REQUIRE(race);
  CHECK(race->op == &first_op);
  CHECK(race->agent == 0);
  CHECK(race->is_write);
  barrier(races, 4);
  CHECK_FALSE(races.access(of(2, AccessKind::kRead, second_op)));
  const auto overwritten = races.access(of(3, AccessKind::kWrite, third_op));
  REQUIRE(overwritten);
  CHECK_FALSE(overwritten->is_write);
  CHECK(overwritten->agent == 2);
}

TEST_CASE("every one of several readers is kept until an ordered write", "[ptx]") {
  SharedRaces races(1, 3, 64);
  CHECK_FALSE(races.access(of(0, AccessKind::kRead, first_op)));
  CHECK_FALSE(races.access(of(1, AccessKind::kRead, first_op)));
  races.release(1, kBarrier);
  races.acquire(2, kBarrier);
  const auto race = races.access(of(2, AccessKind::kWrite, second_op));
  REQUIRE(race);
  CHECK(race->agent == 0);
}

TEST_CASE("neighbouring 2-byte values of two warps are no race", "[ptx]") {
  SharedRaces races(1, 2, 64);
  CHECK_FALSE(races.access(of(0, AccessKind::kWrite, first_op, 0, 2)));
  CHECK_FALSE(races.access(of(1, AccessKind::kWrite, first_op, 2, 2)));
  CHECK(races.access(of(1, AccessKind::kRead, second_op, 0, 4)));
}

TEST_CASE("neighbouring bytes are apart, and a race of bytes is seen behind them", "[ptx]") {
  SharedRaces races(1, 3, 64);
  CHECK_FALSE(races.access(of(0, AccessKind::kRead, first_op, 0, 16)));
  barrier(races, 3);
  CHECK_FALSE(races.access(of(0, AccessKind::kWrite, first_op, 4, 1)));
  CHECK_FALSE(races.access(of(1, AccessKind::kWrite, first_op, 5, 1)));
  CHECK_FALSE(races.access(of(2, AccessKind::kWrite, first_op, 6, 2)));
  // The neighbours' writes have not hidden the first.
  const auto race = races.access(of(1, AccessKind::kRead, second_op, 4, 1));
  REQUIRE(race);
  CHECK(race->agent == 0);
  CHECK(race->address == 4);
  CHECK_FALSE(races.access(of(1, AccessKind::kRead, second_op, 5, 1)));
  CHECK_FALSE(races.access(of(1, AccessKind::kWrite, second_op, 8, 4)));
  CHECK(races.access(of(1, AccessKind::kRead, third_op, 0, 8)));
}

TEST_CASE("warps of a block race on global memory until they meet", "[ptx]") {
  SharedRaces races(1, 2, 64);
  constexpr std::uint64_t kAddress = 0x200000000400;
  const auto access = [&](std::uint32_t warp, AccessKind kind, std::uint64_t address,
                          std::uint64_t bytes, std::uint32_t granule) {
    return races.access_global({.agent = warp,
                                .op = &first_op,
                                .kind = kind,
                                .strong = false,
                                .address = address,
                                .bytes = bytes,
                                .granule = granule});
  };
  CHECK_FALSE(access(0, AccessKind::kWrite, kAddress - 512, 1024, 4));
  CHECK_FALSE(access(0, AccessKind::kRead, kAddress - 512, 1024, 16));
  CHECK_FALSE(access(1, AccessKind::kRead, kAddress + 512, 64, 2));
  const auto race = access(1, AccessKind::kRead, kAddress + 496, 32, 16);
  REQUIRE(race);
  CHECK(race->address == kAddress + 496);
  CHECK(race->is_write);
  barrier(races, 2);
  CHECK_FALSE(access(1, AccessKind::kWrite, kAddress - 512, 1024, 4));
  CHECK(access(0, AccessKind::kAtomic, kAddress, 4, 4));
  CHECK_FALSE(access(1, AccessKind::kAtomic, kAddress, 4, 4));
}

TEST_CASE("lanes of one warp race without a warp barrier, and not with it", "[ptx]") {
  SharedRaces races(1, 1, 64);
  CHECK_FALSE(races.access(of(0, AccessKind::kWrite, first_op, 0, 4, 3)));
  const auto race = races.access(of(0, AccessKind::kRead, second_op, 0, 4, 5));
  REQUIRE(race);
  CHECK(race->same_warp);
  CHECK(race->lane == 3);
  races.warp_sync(0);
  CHECK_FALSE(races.access(of(0, AccessKind::kWrite, third_op, 0, 4, 9)));
}

TEST_CASE("atomics do not race with each other, and order what fences release", "[ptx]") {
  SharedRaces races(1, 3, 64);
  CHECK_FALSE(races.access(of(0, AccessKind::kAtomic, first_op)));
  CHECK_FALSE(races.access(of(1, AccessKind::kAtomic, second_op)));
  CHECK(races.access(of(2, AccessKind::kRead, third_op)));

  SharedRaces fenced(1, 2, 64);
  const bool with_fence = GENERATE(true, false);
  CHECK_FALSE(fenced.access(of(0, AccessKind::kWrite, first_op, 8)));
  if (with_fence) fenced.fence(0);
  fenced.synchronise(0, 16, true, true, false, false);
  fenced.synchronise(1, 16, true, false, false, false);
  if (with_fence) fenced.fence(1);
  CHECK(fenced.access(of(1, AccessKind::kRead, second_op, 8)).has_value() != with_fence);
}

TEST_CASE("blocks race on global memory unless a fence and an atomic order them", "[ptx]") {
  const bool with_fence = GENERATE(true, false);
  GlobalRaces races;
  const auto access = [&](std::uint64_t block, AccessKind kind, std::uint64_t address) {
    return races.access({.block = block,
                         .op = &first_op,
                         .kind = kind,
                         .strong = false,
                         .address = address,
                         .bytes = 4});
  };
  CHECK_FALSE(access(0, AccessKind::kWrite, 0x1000));
  CHECK_FALSE(access(0, AccessKind::kRead, 0x1000));
  CHECK_FALSE(access(1, AccessKind::kWrite, 0x1004));
  CHECK_FALSE(access(0, AccessKind::kAtomic, 0x2000));
  CHECK_FALSE(access(1, AccessKind::kAtomic, 0x2000));
  if (with_fence) races.fence(0);
  races.synchronise(0, 0x2000, true, true, false, false);
  races.synchronise(1, 0x2000, true, true, false, false);
  if (with_fence) races.fence(1);
  CHECK(access(1, AccessKind::kRead, 0x1000).has_value() != with_fence);
}

TEST_CASE("a write races with each of two blocks that have read", "[ptx]") {
  GlobalRaces races;
  const auto access = [&](std::uint64_t block, AccessKind kind) {
    return races.access({.block = block,
                         .op = &first_op,
                         .kind = kind,
                         .strong = false,
                         .address = 64,
                         .bytes = 4});
  };
  CHECK_FALSE(access(5, AccessKind::kRead));
  CHECK_FALSE(access(6, AccessKind::kRead));
  const auto race = access(6, AccessKind::kWrite);
  REQUIRE(race);
  CHECK(race->block == 5);
}

TEST_CASE("blocks that touch neighbouring elements of one word do not race", "[ptx]") {
  GlobalRaces races;
  const auto access = [&](std::uint64_t block, AccessKind kind, std::uint64_t address) {
    return races.access({.block = block,
                         .op = &first_op,
                         .kind = kind,
                         .strong = false,
                         .address = address,
                         .bytes = 2});
  };
  CHECK_FALSE(access(0, AccessKind::kRead, 64));
  CHECK_FALSE(access(1, AccessKind::kRead, 66));
  CHECK_FALSE(access(1, AccessKind::kWrite, 66));
  CHECK_FALSE(access(0, AccessKind::kWrite, 64));
  CHECK(access(1, AccessKind::kRead, 64));
}

TEST_CASE("fresh device memory is known byte by byte and page by page", "[ptx]") {
  UninitialisedBytes bytes;
  bytes.mark_fresh(100, 20000);
  CHECK(bytes.first_fresh(0, 200) == 100U);
  CHECK_FALSE(bytes.first_fresh(0, 100));
  bytes.mark_written(100, 4000);
  CHECK_FALSE(bytes.first_fresh(0, 4100));
  CHECK(bytes.first_fresh(0, 4101) == 4100U);
  bytes.mark_written(5000, 10);
  CHECK(bytes.first_fresh(5000, 11) == 5010U);
  bytes.mark_written(4096, 12288);
  CHECK(bytes.first_fresh(4096, 20000) == 16384U);
  bytes.mark_written(0, 30000);
  CHECK_FALSE(bytes.first_fresh(0, 40000));
  bytes.mark_fresh(8192, 4096);
  CHECK(bytes.first_fresh(0, 40000) == 8192U);
}

TEST_CASE("sectors beside their ideal, by hand", "[ptx]") {
  struct Case {
    std::uint64_t begin;
    std::int64_t stride;
    std::uint32_t bytes, lanes, sectors, ideal;
  };
  const Case all[] = {
      {0, 4, 4, ~0U, 4, 4},      // 32 floats side by side
      {4, 4, 4, ~0U, 5, 4},      // off by one float
      {0, 16, 16, ~0U, 16, 16},  // float4
      {0, 8, 4, ~0U, 8, 4},      // every second float
      {0, 4096, 4, ~0U, 32, 4},  // a column
      {0, 0, 4, ~0U, 1, 1},      // one float for all
      {0, -4, 4, 0xFFFF, 3, 2},  // backwards, half a warp: bytes -60 to 3
      {0, 2, 2, ~0U, 2, 2},      // bf16
  };
  for (const Case& one : all) {
    CAPTURE(one.begin, one.stride, one.bytes, one.lanes);
    const auto where = addresses(one.begin + 4096, one.stride);
    const SectorCount count = count_sectors(one.lanes, where.data(), one.bytes);
    CHECK(count.sectors == one.sectors);
    CHECK(count.ideal == one.ideal);
  }
}

TEST_CASE("bank passes beside their ideal, by hand", "[ptx]") {
  struct Case {
    std::int64_t stride;
    std::uint32_t bytes, lanes, wavefronts, ideal;
  };
  const Case all[] = {
      {4, 4, ~0U, 1, 1},      // a float each
      {8, 4, ~0U, 2, 1},      // every second float: two lanes a bank
      {128, 4, ~0U, 32, 1},   // a column of a 32-wide tile
      {132, 4, ~0U, 1, 1},    // the same, padded
      {0, 4, ~0U, 1, 1},      // broadcast
      {2, 2, ~0U, 1, 1},      // two bf16 to a word
      {8, 8, ~0U, 2, 2},      // float2
      {16, 16, ~0U, 4, 4},    // float4
      {128, 16, 0xFF, 8, 1},  // eight rows of 128 bytes, as an unswizzled ldmatrix
      {144, 16, 0xFF, 1, 1},  // padded
  };
  for (const Case& one : all) {
    CAPTURE(one.stride, one.bytes, one.lanes);
    const auto where = addresses(0, one.stride);
    const WavefrontCount count = count_wavefronts(one.lanes, where.data(), one.bytes);
    CHECK(count.wavefronts == one.wavefronts);
    CHECK(count.ideal == one.ideal);
  }
}

TEST_CASE("distinct sectors of a launch are counted once", "[ptx]") {
  SectorSet set;
  set.add(0, 4);
  set.add(16, 4);
  set.add(31, 2);
  CHECK(set.bytes() == 64);
  SectorSet other;
  other.add(32, 100);
  other.join(set);
  CHECK(other.bytes() == 160);
}

}  // namespace ptx_emulator::checks
