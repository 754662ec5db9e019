// Tensor copies of one to five dimensions both ways, maps changed on the device, and bulk
// reductions of every type.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/machine/tensor/tensor_map.h"
#include "tests/ptx_emulator/tests/tensor_harness.h"

namespace ptx_emulator::testing {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using Bytes = std::vector<std::uint8_t>;

struct Tensor {
  TensorDataType type;
  u32 element_bytes;
  u32 rank;
  u64 sizes[5] = {40, 6, 4, 3, 3};
  u32 box[5] = {16, 4, 3, 2, 2};
  u32 steps[5] = {1, 1, 1, 1, 1};
  u64 strides[4] = {};  // bytes
  TensorFill fill = TensorFill::kZero;

  // Rows are padded: strides are not what the sizes would give.
  void set_strides() {
    strides[0] = (sizes[0] * element_bytes + 15) / 16 * 16 + 16;
    for (u32 i = 1; i < 4; ++i) strides[i] = strides[i - 1] * sizes[i] + 32;
  }
  u64 bytes() const {
    return rank == 1 ? sizes[0] * element_bytes : strides[rank - 2] * sizes[rank - 1];
  }
  u32 rows(u32 i) const { return i == 0 ? box[0] : (box[i] + steps[i] - 1) / steps[i]; }
  u32 box_bytes() const {
    u32 total = element_bytes;
    for (u32 i = 0; i < rank; ++i) total *= rows(i);
    return total;
  }
  TensorMap map(u64 address) const {
    TensorMap result;
    REQUIRE(encode_tiled({type, rank, address, sizes, strides, box, steps, TensorInterleave::kNone,
                          TensorSwizzle::kNone, 0, fill},
                         result) == "");
    return result;
  }
  // Calls use(element of the box, byte in the tensor or -1 outside) for every element.
  void walk(const std::vector<std::int64_t>& origin,
            const std::function<void(u32, std::int64_t)>& use) const {
    const u32 count = box_bytes() / element_bytes;
    for (u32 e = 0; e < count; ++e) {
      u32 rest = e;
      std::int64_t at = 0;
      bool inside = true;
      for (u32 i = 0; i < rank; ++i) {
        const std::int64_t position =
            origin[i] + std::int64_t{rest % rows(i)} * (i == 0 ? 1 : steps[i]);
        rest /= rows(i);
        inside = inside && position >= 0 && position < static_cast<std::int64_t>(sizes[i]);
        at += position * static_cast<std::int64_t>(i == 0 ? element_bytes : strides[i - 1]);
      }
      use(e, inside ? at : -1);
    }
  }
};

const char* const kDeclarations =
    ".shared .align 128 .b8 tile[16384];\n.shared .align 8 .b64 bar;\n.reg .pred %p, %q;\n"
    ".reg .b32 %s, %b, %c<5>;\n.reg .b64 %state;\n";

std::string copy_body(u32 rank, u32 bytes) {
  std::string coordinates;
  std::string body = "mov.u32 %c0, %tid.x;\nsetp.ne.u32 %p, %c0, 0;\n@%p bra END;\n";
  for (u32 i = 0; i < rank; ++i) {
    body += "cvt.u32.u64 %c" + std::to_string(i) + ", %arg" + std::to_string(3 + i) + ";\n";
    coordinates += (i == 0 ? "%c" : ", %c") + std::to_string(i);
  }
  const std::string dimensions = ".tensor." + std::to_string(rank) + "d";
  return body +
         "mov.u32 %s, tile;\nmov.u32 %b, bar;\nmbarrier.init.shared.b64 [%b], 1;\n"
         "fence.proxy.async;\nmbarrier.arrive.expect_tx.shared.b64 %state, [%b], " +
         std::to_string(bytes) + ";\ncp.async.bulk.prefetch" + dimensions +
         ".L2.global.tile [%arg0, {" + coordinates + "}];\ncp.async.bulk" + dimensions +
         ".shared::cluster.global.tile.mbarrier::complete_tx::bytes [%s], [%arg0, {" + coordinates +
         "}], [%b];\nWAIT:\nmbarrier.try_wait.parity.shared::cta.b64 %q, [%b], 0;\n"
         "@!%q bra WAIT;\ncp.async.bulk" +
         dimensions + ".global.shared::cta.tile.bulk_group [%arg1, {" + coordinates +
         "}], [%s];\ncp.async.bulk.global.shared::cta.bulk_group [%arg2], [%s], " +
         std::to_string(bytes) +
         ";\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nEND:\n";
}

void check_copy(const Tensor& tensor, const std::vector<std::int64_t>& origin) {
  std::mt19937 random(9);
  Bytes source(tensor.bytes());
  for (auto& byte : source) byte = static_cast<std::uint8_t>(random() % 127);
  Device device;
  const Bytes before(source.size(), 0xEE);
  const u64 from = device.upload(source), to = device.upload(before);
  const u64 image = device.upload(Bytes(tensor.box_bytes()));
  std::vector<u64> arguments{device.upload(std::vector<TensorMap>{tensor.map(from)}),
                             device.upload(std::vector<TensorMap>{tensor.map(to)}), image};
  for (const std::int64_t at : origin) arguments.push_back(static_cast<u64>(at));
  const LaunchResult result = device.run(
      kernel_text(arguments.size(), kDeclarations, copy_body(tensor.rank, tensor.box_bytes())), {},
      arguments);
  REQUIRE(fault_of(result) == "");
  Bytes box(tensor.box_bytes()), written = before;
  const std::uint8_t nan16[] = {0xFF, 0x7F, 0xFF, 0x7F, 0xFF, 0x7F, 0xFF, 0x7F};
  const std::uint8_t nan32[] = {0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0x7F};
  tensor.walk(origin, [&](u32 e, std::int64_t at) {
    std::uint8_t* element = &box[e * tensor.element_bytes];
    if (at >= 0) {
      std::memcpy(element, &source[static_cast<u64>(at)], tensor.element_bytes);
      std::memcpy(&written[static_cast<u64>(at)], element, tensor.element_bytes);
    } else if (tensor.fill == TensorFill::kNan) {
      std::memcpy(element, tensor.element_bytes == 2 ? nan16 : nan32, tensor.element_bytes);
    }
  });
  CHECK((device.download<std::uint8_t>(image, box.size()) == box));
  CHECK((device.download<std::uint8_t>(to, written.size()) == written));
}

}  // namespace

TEST_CASE("tensor copies of one to five dimensions clip and fill both ways", "[ptx]") {
  struct Element {
    TensorDataType type;
    u32 bytes;
    bool is_float;
  };
  const Element elements[] = {{TensorDataType::kU8, 1, false},
                              {TensorDataType::kBf16, 2, true},
                              {TensorDataType::kF32, 4, true},
                              {TensorDataType::kS64, 8, false}};
  for (const Element& element : elements) {
    for (u32 rank = 1; rank <= 5; ++rank) {
      for (const bool strided : {false, true}) {
        Tensor tensor{element.type, element.bytes, rank};
        if (strided) {
          tensor.steps[1] = 2;
          tensor.steps[2] = 3;
          tensor.steps[4] = 2;
        }
        tensor.set_strides();
        tensor.fill = element.is_float && strided ? TensorFill::kNan : TensorFill::kZero;
        for (const std::vector<std::int64_t>& corner : {std::vector<std::int64_t>{0, 0, 0, 0, 0},
                                                        {16, 1, 1, 1, 1},
                                                        {-3, -1, -1, -1, -1},
                                                        {30, 4, 2, 2, 2},
                                                        {8, -2, 3, -1, 2},
                                                        {0, 0, 0, 0, 7}}) {
          INFO("rank " << rank << ", elements of " << element.bytes << " bytes, strided " << strided
                       << ", from " << corner[0]);
          check_copy(tensor, {corner.begin(), corner.begin() + rank});
        }
      }
    }
  }
}

TEST_CASE("tensormap.replace makes the map that encode_tiled would have made", "[ptx]") {
  Tensor old{TensorDataType::kU8, 1, 2};
  old.set_strides();
  Device device;
  const u64 data = device.upload(Bytes(65536));
  const u64 sizes[] = {100, 50, 7};
  const u64 strides[] = {512, 51200};
  const u32 box[] = {16, 10, 5}, steps[] = {1, 2, 3};
  TensorMap wanted;
  REQUIRE(encode_tiled({TensorDataType::kF32, 3, data + 64, sizes, strides, box, steps,
                        TensorInterleave::kNone, TensorSwizzle::k64Bytes, 0, TensorFill::kNan},
                       wanted) == "");
  std::string fields =
      "tensormap.replace.tile.global_address@.b1024.b64 [#], %arg1;\n"
      "tensormap.replace.tile.rank@.b1024.b32 [#], 2;\n"
      "tensormap.replace.tile.elemtype@.b1024.b32 [#], 7;\n"
      "tensormap.replace.tile.interleave_layout@.b1024.b32 [#], 0;\n"
      "tensormap.replace.tile.swizzle_mode@.b1024.b32 [#], 2;\n"
      "tensormap.replace.tile.fill_mode@.b1024.b32 [#], 1;\n";
  for (u32 i = 0; i < 3; ++i) {
    const std::string index = "[#], " + std::to_string(i) + ", ";
    fields += "tensormap.replace.tile.global_dim@.b1024.b32 " + index + std::to_string(sizes[i]) +
              ";\ntensormap.replace.tile.box_dim@.b1024.b32 " + index + std::to_string(box[i]) +
              ";\ntensormap.replace.tile.element_stride@.b1024.b32 " + index +
              std::to_string(steps[i]) + ";\n";
    if (i < 2) {
      fields += "mov.u64 %x, " + std::to_string(strides[i]) +
                ";\ntensormap.replace.tile.global_stride@.b1024.b64 " + index + "%x;\n";
    }
  }
  const auto in = [&](const std::string& space, const std::string& address) {
    std::string text;
    for (const char letter : fields)
      text += letter == '@' ? space : letter == '#' ? address : std::string(1, letter);
    return text;
  };
  // In global memory, or in shared memory with a copy back.
  const std::string first = "mov.u32 %r, %tid.x;\nsetp.ne.u32 %p, %r, 0;\n@%p bra END;\n";
  std::string through = "mov.u32 %r, map;\n";
  for (u32 i = 0; i < 128; i += 8) {
    through += "ld.global.b64 %x, [%arg0+" + std::to_string(i) + "];\nst.shared.b64 [%r+" +
               std::to_string(i) + "], %x;\n";
  }
  through += in(".shared::cta", "%r");
  const std::string back =
      "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned "
      "[%arg0], [%r], 128;\n";
  const std::string declarations =
      ".shared .align 128 .b8 map[128];\n.reg .pred %p;\n.reg .b32 %r;\n.reg .b64 %x;\n";
  for (const bool shared : {false, true}) {
    const u64 map = device.upload(std::vector<TensorMap>{old.map(data)});
    const std::string body =
        shared ? "mov.u32 %r, %tid.x;\nsetp.ne.u32 %p, %r, 0;\nmov.u32 %r, map;\n@%p bra MET;\n" +
                     through + "MET:\nbar.warp.sync -1;\n" + back
               : first + in(".global", "%arg0") + "END:\n";
    const LaunchResult result =
        device.run(kernel_text(2, declarations, body), {}, {map, data + 64});
    REQUIRE(fault_of(result) == "");
    const TensorMap got = device.download<TensorMap>(map, 1)[0];
    CHECK(is_sealed(got));
    CHECK(std::memcmp(&got, &wanted, sizeof got) == 0);
  }
  for (const auto& [text, message] :
       {std::pair{"global_address.global.b1024.b64 [%arg0], 8;\n", "misaligned address 8"},
        std::pair{"global_dim.global.b1024.b32 [%arg0], 0, 0;\n", "size 0"},
        std::pair{"box_dim.global.b1024.b32 [%arg0], 1, 257;\n", "box 257"},
        std::pair{"rank.global.b1024.b32 [%arg0], 5;\n", "rank 6"}}) {
    const u64 map = device.upload(std::vector<TensorMap>{old.map(data)});
    CHECK_THAT(fault_of(device.run(kernel_text(1, declarations,
                                               first + "tensormap.replace.tile." + text + "END:\n"),
                                   {}, {map})),
               Catch::Contains(message));
  }
  CHECK_THAT(fault_of(device.run(kernel_text(1, declarations,
                                             first + "tensormap.replace.tile.rank.global.b1024.b32 "
                                                     "[%arg0], 1;\nEND:\n"),
                                 {}, {data})),
             Catch::Contains("cuTensorMapEncodeTiled did not make"));
}

namespace {

struct Reduction {
  std::string words;
  u32 bytes;
  std::function<u64(u64, u64)> after;
};

template <typename T>
std::function<u64(u64, u64)> on(T (*f)(T, T)) {
  return [f](u64 a, u64 b) {
    T x, y;
    std::memcpy(&x, &a, sizeof x);
    std::memcpy(&y, &b, sizeof y);
    const T z = f(x, y);
    u64 bits = 0;
    std::memcpy(&bits, &z, sizeof z);
    return bits;
  };
}

template <typename T>
void add_integers(std::vector<Reduction>& all, const std::string& type) {
  all.push_back({"add." + type, sizeof(T), on<T>([](T a, T b) {
                   using U = std::make_unsigned_t<T>;
                   return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
                 })});
  all.push_back({"min." + type, sizeof(T), on<T>([](T a, T b) { return b < a ? b : a; })});
  all.push_back({"max." + type, sizeof(T), on<T>([](T a, T b) { return a < b ? b : a; })});
}

}  // namespace

TEST_CASE("bulk reductions combine every type", "[ptx]") {
  std::vector<Reduction> all;
  add_integers<std::uint32_t>(all, "u32");
  add_integers<std::int32_t>(all, "s32");
  add_integers<std::uint64_t>(all, "u64");
  add_integers<std::int64_t>(all, "s64");
  all.push_back({"add.f32", 4, on<float>([](float a, float b) { return a + b; })});
  all.push_back({"add.f64", 8, on<double>([](double a, double b) { return a + b; })});
  all.push_back({"inc.u32", 4, on<u32>([](u32 a, u32 b) { return a >= b ? 0 : a + 1; })});
  all.push_back({"dec.u32", 4, on<u32>([](u32 a, u32 b) { return a == 0 || a > b ? b : a - 1; })});
  for (const u32 bytes : {4u, 8u}) {
    const std::string type = ".b" + std::to_string(8 * bytes);
    all.push_back({"and" + type, bytes, [](u64 a, u64 b) { return a & b; }});
    all.push_back({"or" + type, bytes, [](u64 a, u64 b) { return a | b; }});
    all.push_back({"xor" + type, bytes, [](u64 a, u64 b) { return a ^ b; }});
  }
  // Integers as bf16: sums up to 256 are exact.
  const auto brain = [](u32 value) {
    return u64{__builtin_bit_cast(u32, static_cast<float>(value)) >> 16};
  };
  const auto number = [](u64 bits) {
    return static_cast<u32>(__builtin_bit_cast(float, static_cast<u32>(bits << 16)));
  };
  all.push_back({"add.noftz.bf16", 2, [=](u64 a, u64 b) { return brain(number(a) + number(b)); }});
  all.push_back(
      {"min.bf16", 2, [=](u64 a, u64 b) { return brain(std::min(number(a), number(b))); }});
  all.push_back(
      {"max.bf16", 2, [=](u64 a, u64 b) { return brain(std::max(number(a), number(b))); }});
  constexpr u32 kBytes = 256;
  for (const Reduction& one : all) {
    INFO(one.words);
    std::mt19937_64 random(21);
    Bytes target(kBytes), operand(kBytes);
    const auto put = [&](Bytes& bytes, u32 i) {
      u64 value = random() % 4 == 0 ? random() : random() % 30;
      if (one.bytes == 2) value = brain(static_cast<u32>(random() % 128));
      if (one.words == "add.f32") value = __builtin_bit_cast(u32, 1.0f / static_cast<float>(1 + i));
      if (one.words == "add.f64") value = __builtin_bit_cast(u64, 1.0 / static_cast<double>(3 + i));
      std::memcpy(&bytes[i * one.bytes], &value, one.bytes);
    };
    for (u32 i = 0; i < kBytes / one.bytes; ++i) {
      put(target, i);
      put(operand, i);
    }
    Device device;
    const u64 at = device.upload(target);
    const std::string body =
        "mov.u32 %s, tile;\nmov.u32 %b, bar;\nmov.u32 %c0, %tid.x;\nsetp.ne.u32 %p, %c0, 0;\n"
        "@%p bra END;\nmbarrier.init.shared.b64 [%b], 1;\nfence.proxy.async;\n"
        "mbarrier.arrive.expect_tx.shared.b64 %state, [%b], 256;\n"
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%arg1], 256, "
        "[%b];\nWAIT:\nmbarrier.try_wait.parity.shared::cta.b64 %q, [%b], 0;\n@!%q bra WAIT;\n"
        "cp.reduce.async.bulk.global.shared::cta.bulk_group." +
        one.words +
        " [%arg0], [%s], 256;\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nEND:\n";
    const LaunchResult result =
        device.run(kernel_text(2, kDeclarations, body), {}, {at, device.upload(operand)});
    REQUIRE(fault_of(result) == "");
    const Bytes got = device.download<std::uint8_t>(at, kBytes);
    for (u32 i = 0; i < kBytes; i += one.bytes) {
      u64 a = 0, b = 0, seen = 0;
      std::memcpy(&a, &target[i], one.bytes);
      std::memcpy(&b, &operand[i], one.bytes);
      std::memcpy(&seen, &got[i], one.bytes);
      REQUIRE(seen == one.after(a, b));
    }
  }
}

}  // namespace ptx_emulator::testing
