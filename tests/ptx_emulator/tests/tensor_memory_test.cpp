// Matrices and asynchronous copies between memories: layouts, and that data comes no earlier than
// somebody waits.
#include <cmath>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/machine/tensor/tensor_map.h"
#include "tests/ptx_emulator/tests/tensor_harness.h"

namespace ptx_emulator::testing {
namespace {

using Words = std::vector<std::uint32_t>;

std::vector<std::uint16_t> counting_halves(std::size_t count) {
  std::vector<std::uint16_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::uint16_t>(1000 + i);
  return values;
}

// Row r of 32 lies at unit 5 r mod 32 of shared memory, so that addresses matter.
const char* const kMatrixSetup =
    "mov.u32 %lane, %laneid;\nmul.lo.u32 %row, %lane, 5;\nand.b32 %row, %row, 31;\n"
    "shl.b32 %row, %row, 4;\nmov.u32 %s, tile;\nadd.u32 %row, %row, %s;\n"
    "mul.wide.u32 %at, %lane, 16;\nadd.u64 %at, %at, %arg0;\n"
    "ld.global.v4.b32 {%r0, %r1, %r2, %r3}, [%at];\n";
const char* const kMatrixDeclarations =
    ".shared .align 16 .b8 tile[512];\n.reg .b32 %lane, %row, %s, %r<8>;\n.reg .b64 %at;\n";
const char* const kMatrixStore =
    "mul.wide.u32 %at, %lane, 16;\nadd.u64 %at, %at, %arg1;\n"
    "st.global.v4.b32 [%at], {%r4, %r5, %r6, %r7};\n";

std::vector<std::uint16_t> run_matrix(const std::vector<std::uint16_t>& in,
                                      const std::string& body) {
  Device device;
  const std::uint64_t out = device.upload(std::vector<std::uint16_t>(256));
  const LaunchResult result =
      device.run(kernel_text(2, kMatrixDeclarations, kMatrixSetup + body + kMatrixStore), {},
                 {device.upload(in), out});
  REQUIRE(fault_of(result) == "");
  return device.download<std::uint16_t>(out, 256);
}

}  // namespace

TEST_CASE("ldmatrix hands each lane two numbers of a row, or of a column", "[ptx]") {
  const std::vector<std::uint16_t> in = counting_halves(256);
  for (const bool transposed : {false, true}) {
    const std::vector<std::uint16_t> out = run_matrix(
        in, std::string("st.shared.v4.b32 [%row], {%r0, %r1, %r2, %r3};\nbar.warp.sync -1;\n") +
                "ldmatrix.sync.aligned.m8n8.x4" + (transposed ? ".trans" : "") +
                ".shared.b16 {%r4, %r5, %r6, %r7}, [%row];\n");
    for (std::uint32_t lane = 0; lane < 32; ++lane) {
      for (std::uint32_t matrix = 0; matrix < 4; ++matrix) {
        for (std::uint32_t half = 0; half < 2; ++half) {
          const std::uint32_t outer = lane / 4;
          const std::uint32_t inner = 2 * (lane % 4) + half;
          const std::uint32_t row = transposed ? inner : outer;
          const std::uint32_t column = transposed ? outer : inner;
          REQUIRE(out[8 * lane + 2 * matrix + half] == in[64 * matrix + 8 * row + column]);
        }
      }
    }
  }
}

TEST_CASE("stmatrix undoes ldmatrix, and movmatrix transposes", "[ptx]") {
  const std::vector<std::uint16_t> in = counting_halves(256);
  // Lanes hold in[8 lane + ...]; what stmatrix.x4 writes is read back row by row.
  for (const bool transposed : {false, true}) {
    const std::vector<std::uint16_t> out =
        run_matrix(in, std::string("stmatrix.sync.aligned.m8n8.x4") + (transposed ? ".trans" : "") +
                           ".shared.b16 [%row], {%r0, %r1, %r2, %r3};\nbar.warp.sync -1;\n"
                           "ld.shared.v4.b32 {%r4, %r5, %r6, %r7}, [%row];\n");
    for (std::uint32_t line = 0; line < 32; ++line) {
      for (std::uint32_t column = 0; column < 8; ++column) {
        const std::uint32_t matrix = line / 8;
        const std::uint32_t row = line % 8;
        const std::uint32_t r = transposed ? column : row;
        const std::uint32_t c = transposed ? row : column;
        REQUIRE(out[8 * line + column] == in[8 * (4 * r + c / 2) + 2 * matrix + c % 2]);
      }
    }
  }
  const std::vector<std::uint16_t> moved = run_matrix(
      in,
      "movmatrix.sync.aligned.m8n8.trans.b16 %r4, %r1;\nmov.b32 %r5, 0;\nmov.b32 %r6, 0;\n"
      "mov.b32 %r7, 0;\n");
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    for (std::uint32_t half = 0; half < 2; ++half) {
      const std::uint32_t from_row = 2 * (lane % 4) + half;
      const std::uint32_t from_column = lane / 4;
      REQUIRE(moved[8 * lane + half] ==
              in[8 * (4 * from_row + from_column / 2) + 2 + from_column % 2]);
    }
  }
}

TEST_CASE("cp.async delivers at the wait for its group, and not before", "[ptx]") {
  Device device;
  Words in(96);
  for (std::uint32_t i = 0; i < 96; ++i) in[i] = 100 + i;
  const std::uint64_t out = device.upload(Words(32 * 6));
  const std::string body =
      "mov.u32 %lane, %laneid;\nshl.b32 %s, %lane, 2;\nmov.u32 %t, tile;\nadd.u32 %s, %s, %t;\n"
      "mul.wide.u32 %at, %lane, 4;\nadd.u64 %from, %at, %arg0;\n"
      "mad.lo.u32 %t, %lane, 24, 0;\ncvt.u64.u32 %to, %t;\nadd.u64 %to, %to, %arg1;\n"
      "st.shared.u32 [%s], 7;\nst.shared.u32 [%s+128], 8;\nst.shared.u32 [%s+256], 9;\n"
      "cp.async.ca.shared.global [%s], [%from], 4;\ncp.async.commit_group;\n"
      "cp.async.ca.shared.global [%s+128], [%from+128], 4;\ncp.async.commit_group;\n"
      // Lanes 0 to 15 read nothing: zeros, from an address that need not exist.
      "setp.lt.u32 %p, %lane, 16;\nselp.b32 %n, 0, 4, %p;\nselp.b64 %from, 0, %from, %p;\n"
      "cp.async.ca.shared.global [%s+256], [%from+256], 4, %n;\n"
      "ld.shared.u32 %r0, [%s];\ncp.async.wait_group 1;\nld.shared.u32 %r1, [%s];\n"
      "ld.shared.u32 %r2, [%s+128];\ncp.async.wait_group 0;\nld.shared.u32 %r3, [%s+128];\n"
      "ld.shared.u32 %r4, [%s+256];\ncp.async.wait_all;\nld.shared.u32 %r5, [%s+256];\n"
      "st.global.u32 [%to], %r0;\nst.global.u32 [%to+4], %r1;\nst.global.u32 [%to+8], %r2;\n"
      "st.global.u32 [%to+12], %r3;\nst.global.u32 [%to+16], %r4;\nst.global.u32 [%to+20], %r5;\n";
  const LaunchResult result =
      device.run(kernel_text(2,
                             ".shared .align 16 .b8 tile[384];\n.reg .pred %p;\n"
                             ".reg .b32 %lane, %s, %t, %n, %r<6>;\n.reg .b64 %at, %from, %to;\n",
                             body),
                 {}, {device.upload(in), out});
  REQUIRE(fault_of(result) == "");
  const Words got = device.download<std::uint32_t>(out, 32 * 6);
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    const std::uint32_t* r = &got[6 * lane];
    // Between the instruction and the wait the destination holds no number.
    REQUIRE(r[0] == 0xFFFFFFFFu);
    REQUIRE(r[1] == 100 + lane);
    REQUIRE(r[2] == 0xFFFFFFFFu);
    REQUIRE(r[3] == 132 + lane);
    REQUIRE(r[4] == 0xFFFFFFFFu);
    REQUIRE(r[5] == (lane < 16 ? 0 : 164 + lane));
  }
}

namespace {

const char* const kBulkDeclarations =
    ".shared .align 1024 .b8 tile[16384];\n.shared .align 8 .b64 bar;\n.reg .pred %p, %q;\n"
    ".reg .b32 %thread, %s, %b, %r<8>;\n.reg .b64 %at, %state;\n";
// Thread 0 makes the barrier for one arrival.
const char* const kBulkSetup =
    "mov.u32 %thread, %tid.x;\nmov.u32 %s, tile;\nmov.u32 %b, bar;\nsetp.eq.u32 %p, %thread, 0;\n"
    "@%p mbarrier.init.shared.b64 [%b], 1;\nfence.mbarrier_init.release.cluster;\n"
    "fence.proxy.async;\nbar.sync 0;\n";
const char* const kBulkWait =
    "WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 %q, [%b], 0;\n@!%q bra WAIT;\n";

}  // namespace

TEST_CASE("a bulk copy arrives when its mbarrier is waited for", "[ptx]") {
  Device device;
  Words in(64);
  for (std::uint32_t i = 0; i < 64; ++i) in[i] = 500 + i;
  const std::uint64_t out = device.upload(Words(128));
  const std::string body =
      std::string(kBulkSetup) +
      "shl.b32 %r0, %thread, 2;\nadd.u32 %r1, %r0, %s;\nst.shared.u32 [%r1], 7;\nbar.sync 0;\n"
      "@%p mbarrier.arrive.expect_tx.shared.b64 %state, [%b], 256;\n"
      "@%p cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%arg0], 256, "
      "[%b];\n"
      "ld.shared.u32 %r2, [%r1];\n" +
      kBulkWait +
      "ld.shared.u32 %r3, [%r1];\n"
      "mul.wide.u32 %at, %thread, 8;\nadd.u64 %at, %at, %arg1;\nst.global.v2.b32 [%at], {%r2, "
      "%r3};\n";
  const LaunchResult result = device.run(kernel_text(2, kBulkDeclarations, body),
                                         {.block = {64, 1, 1}}, {device.upload(in), out});
  REQUIRE(fault_of(result) == "");
  const Words got = device.download<std::uint32_t>(out, 128);
  // Warps run one after the other: the second may find what the first waited for.
  for (std::uint32_t i = 0; i < 32; ++i) REQUIRE(got[2 * i] == 7);
  for (std::uint32_t i = 0; i < 64; ++i) REQUIRE(got[2 * i + 1] == 500 + i);
}

TEST_CASE("an mbarrier that nobody initialised is a fault, and so is an arrival too many",
          "[ptx]") {
  const auto fault = [](const std::string& body) {
    Device device;
    return fault_of(device.run(
        kernel_text(
            0, ".shared .align 8 .b64 bar;\n.reg .b64 %state;\n.reg .b32 %b;\n.reg .pred %q;\n",
            "mov.u32 %b, bar;\n" + body),
        {.block = {32, 1, 1}}, {}));
  };
  REQUIRE_THAT(fault("mbarrier.arrive.shared.b64 %state, [%b];\n"),
               Catch::Contains("never initialised"));
  REQUIRE_THAT(fault("mbarrier.init.shared.b64 [%b], 0;\n"), Catch::Contains("count of 0"));
  REQUIRE_THAT(fault("mbarrier.init.shared.b64 [%b], 33;\n"
                     "mbarrier.arrive.shared.b64 %state, [%b];\n"
                     "mbarrier.arrive.shared.b64 %state, [%b], 2;\n"),
               Catch::Contains("arrival of 2"));
  REQUIRE(fault("mbarrier.init.shared.b64 [%b], 32;\nmbarrier.arrive.shared.b64 %state, [%b];\n"
                "mbarrier.test_wait.shared.b64 %q, [%b], %state;\n") == "");
}

TEST_CASE("a bulk store and a bulk reduction reach global memory at the wait for their group",
          "[ptx]") {
  Device device;
  const std::uint64_t out = device.upload(Words(64, 3));
  const std::uint64_t seen = device.upload(Words(2));
  const std::string body =
      std::string(kBulkSetup) +
      "shl.b32 %r0, %thread, 2;\nadd.u32 %r1, %r0, %s;\nst.shared.u32 [%r1], %thread;\nbar.sync "
      "0;\n"
      "@!%p bra END;\n"
      "cp.async.bulk.global.shared::cta.bulk_group [%arg0], [%s], 128;\n"
      "add.u64 %at, %arg0, 128;\n"
      "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%at], [%s], 128;\n"
      "cp.async.bulk.commit_group;\nld.global.u32 %r2, [%arg0+4];\n"
      "cp.async.bulk.wait_group.read 0;\nst.shared.u32 [%s+8], 99;\n"
      "cp.async.bulk.wait_group 0;\nld.global.u32 %r3, [%arg0+4];\n"
      "st.global.v2.b32 [%arg1], {%r2, %r3};\nEND:\n";
  const LaunchResult result = device.run(kernel_text(2, kBulkDeclarations, body), {}, {out, seen});
  REQUIRE(fault_of(result) == "");
  REQUIRE(device.download<std::uint32_t>(seen, 2) == Words{3, 1});
  const Words got = device.download<std::uint32_t>(out, 64);
  for (std::uint32_t i = 0; i < 32; ++i) {
    REQUIRE(got[i] == i);
    REQUIRE(got[32 + i] == 3 + i);
  }
}

namespace {

struct Box {
  std::uint32_t width, height;  // elements of the box, f32
  TensorSwizzle swizzle;
};

TensorMap map_of(std::uint64_t address, std::uint32_t columns, std::uint32_t rows, const Box& box,
                 TensorFill fill = TensorFill::kZero) {
  const std::uint64_t sizes[] = {columns, rows};
  const std::uint64_t strides[] = {std::uint64_t{columns} * 4};
  const std::uint32_t extent[] = {box.width, box.height};
  const std::uint32_t steps[] = {1, 1};
  TensorMap map;
  const std::string wrong = encode_tiled({TensorDataType::kF32, 2, address, sizes, strides, extent,
                                          steps, TensorInterleave::kNone, box.swizzle, 0, fill},
                                         map);
  REQUIRE(wrong == "");
  return map;
}

// The element of a swizzled box: unit u of line l (of 128 bytes, or a part of one) lies elsewhere
// in its line.
std::uint32_t swizzled_word(const Box& box, std::uint32_t x, std::uint32_t y) {
  const std::uint32_t byte = (y * box.width + x) * 4;
  const std::uint32_t line = byte / 128;
  std::uint32_t unit = byte / 16 % 8;
  if (box.swizzle == TensorSwizzle::k128Bytes) unit ^= line % 8;
  if (box.swizzle == TensorSwizzle::k64Bytes) unit ^= line % 4;
  if (box.swizzle == TensorSwizzle::k32Bytes) unit ^= line % 2;
  return (line * 128 + unit * 16 + byte % 16) / 4;
}

}  // namespace

TEST_CASE("tensor copies clip, fill and swizzle", "[ptx]") {
  constexpr std::uint32_t kColumns = 40;
  constexpr std::uint32_t kRows = 20;
  std::vector<float> tensor(kColumns * kRows);
  for (std::size_t i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<float>(i) + 1;
  const Box boxes[] = {{12, 16, TensorSwizzle::kNone},
                       {8, 16, TensorSwizzle::k32Bytes},
                       {16, 16, TensorSwizzle::k64Bytes},
                       {32, 16, TensorSwizzle::k128Bytes}};
  const std::int32_t origins[][2] = {{0, 0}, {4, 3}, {-5, -2}, {33, 15}, {100, 0}};
  for (const Box& box : boxes) {
    for (const auto& origin : origins) {
      Device device;
      const std::uint64_t source = device.upload(tensor);
      const std::uint64_t target = device.upload(std::vector<float>(tensor.size(), -1.0f));
      const std::uint64_t from =
          device.upload(std::vector<TensorMap>{map_of(source, kColumns, kRows, box)});
      const std::uint64_t to =
          device.upload(std::vector<TensorMap>{map_of(target, kColumns, kRows, box)});
      const std::uint32_t bytes = box.width * box.height * 4;
      const std::uint64_t image = device.upload(std::vector<float>(bytes / 4));
      const std::string place =
          "{" + std::to_string(origin[0]) + ", " + std::to_string(origin[1]) + "}";
      const std::string body =
          std::string(kBulkSetup) + "@!%p bra END;\n" +
          "mbarrier.arrive.expect_tx.shared.b64 %state, [%b], " + std::to_string(bytes) + ";\n" +
          "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%s], "
          "[%arg0, " +
          place + "], [%b];\n" + kBulkWait +
          "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%arg1, " + place +
          "], [%s];\ncp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group "
          "[%arg1, " +
          place + "], [%s];\ncp.async.bulk.global.shared::cta.bulk_group [%arg2], [%s], " +
          std::to_string(bytes) +
          ";\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nEND:\n";
      const LaunchResult result =
          device.run(kernel_text(3, kBulkDeclarations, body), {}, {from, to, image});
      REQUIRE(fault_of(result) == "");
      const auto tile = device.download<float>(image, bytes / 4);
      const auto stored = device.download<float>(target, tensor.size());
      for (std::int32_t y = 0; y < static_cast<std::int32_t>(box.height); ++y) {
        for (std::int32_t x = 0; x < static_cast<std::int32_t>(box.width); ++x) {
          const std::int32_t column = origin[0] + x;
          const std::int32_t row = origin[1] + y;
          const bool inside = column >= 0 && column < static_cast<std::int32_t>(kColumns) &&
                              row >= 0 && row < static_cast<std::int32_t>(kRows);
          const float expected = inside ? tensor[static_cast<std::uint32_t>(row) * kColumns +
                                                 static_cast<std::uint32_t>(column)]
                                        : 0.0f;
          REQUIRE(tile[swizzled_word(box, static_cast<std::uint32_t>(x),
                                     static_cast<std::uint32_t>(y))] == expected);
        }
      }
      for (std::int32_t row = 0; row < static_cast<std::int32_t>(kRows); ++row) {
        for (std::int32_t column = 0; column < static_cast<std::int32_t>(kColumns); ++column) {
          const std::int32_t x = column - origin[0];
          const std::int32_t y = row - origin[1];
          const bool covered = x >= 0 && x < static_cast<std::int32_t>(box.width) && y >= 0 &&
                               y < static_cast<std::int32_t>(box.height);
          const std::uint32_t at =
              static_cast<std::uint32_t>(row) * kColumns + static_cast<std::uint32_t>(column);
          // Stored once and added once.
          REQUIRE(stored[at] == (covered ? 2 * tensor[at] : -1.0f));
        }
      }
    }
  }
}

TEST_CASE("encode_tiled refuses what the driver refuses, and damage shows", "[ptx]") {
  const std::uint64_t sizes[] = {64, 64};
  const std::uint64_t strides[] = {128};
  const std::uint32_t box[] = {64, 64};
  const std::uint32_t steps[] = {1, 1};
  TiledTensor tensor{TensorDataType::kBf16,
                     2,
                     4096,
                     sizes,
                     strides,
                     box,
                     steps,
                     TensorInterleave::kNone,
                     TensorSwizzle::k128Bytes,
                     0,
                     TensorFill::kZero};
  TensorMap map;
  REQUIRE(encode_tiled(tensor, map) == "");
  REQUIRE(is_sealed(map));
  map.box[0] = 3;
  REQUIRE_FALSE(is_sealed(map));
  tensor.swizzle = TensorSwizzle::k64Bytes;
  REQUIRE_THAT(encode_tiled(tensor, map), Catch::Contains("wider than its swizzle"));
  tensor.swizzle = TensorSwizzle::kNone;
  tensor.address = 4097;
  REQUIRE_THAT(encode_tiled(tensor, map), Catch::Contains("globalAddress"));
  tensor.address = 4096;
  tensor.rank = 6;
  REQUIRE_THAT(encode_tiled(tensor, map), Catch::Contains("tensorRank"));
}

}  // namespace ptx_emulator::testing
