// ld and st of every width, space and order, against the bytes of memory: side by side, apart,
// backwards, all on one, with all lanes and with some.
#include <cstring>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/machine_harness.h"

namespace ptx_emulator::testing {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using Bytes = std::vector<std::uint8_t>;

constexpr u32 kTableBytes = 4096;

struct Form {
  std::string type;  // "s8"
  u32 bytes;         // of an element
  u32 count;
  u32 register_bits;
  bool is_signed() const { return type[0] == 's'; }
  u32 lane_bytes() const { return bytes * count; }
};

std::vector<Form> forms() {
  std::vector<Form> all;
  for (const char* kind : {"b", "u", "s", "f"}) {
    for (u32 bits = 8; bits <= 128; bits *= 2) {
      if ((kind[0] == 'f' && (bits < 32 || bits > 64)) || (bits == 128 && kind[0] != 'b')) continue;
      for (u32 count = 1; count <= 8; count *= 2) {
        // Eight elements are those of 32 bytes, on 32-bit words; four of 64 bits are 32 bytes too.
        if (bits * count > 256 || (count == 8 && bits != 32)) continue;
        for (u32 width = 16; width <= 128; width *= 2) {
          if (width < bits || (kind[0] == 'f' && width != bits)) continue;
          if (width == 128 && bits != 128) continue;
          if (count > 1 && width > std::max(bits, 32u)) continue;
          all.push_back({kind + std::to_string(bits), bits / 8, count, width});
        }
      }
    }
  }
  return all;
}

const char* const kSpaces[] = {"global", "shared", "local", "const", "", "/shared", "/local"};

// The list of registers of one access.
std::string values(const Form& form) {
  std::string text;
  for (u32 i = 0; i < form.count; ++i) text += (i == 0 ? "%x" : ", %x") + std::to_string(i);
  return form.count > 1 ? "{" + text + "}" : text;
}

std::string vector_word(const Form& form) {
  return form.count > 1 ? ".v" + std::to_string(form.count) : "";
}

// Registers of 16 to 128 bits, and their bits from and to memory at [%at].
std::string registers(const Form& form, bool load) {
  const std::string width = "b" + std::to_string(form.register_bits);
  std::string text;
  for (u32 i = 0; i < form.count; ++i) {
    const std::string at = "[%at+" + std::to_string(i * form.register_bits / 8) + "]";
    const std::string value = "%x" + std::to_string(i);
    text += load ? "ld.global." + width + " " + value + ", " + at + ";\n"
                 : "st.global." + width + " " + at + ", " + value + ";\n";
  }
  return text;
}

std::string head(const Form& form, const std::string& name, u32 local_bytes) {
  return ".visible .entry " + name +
         "(.param .u64 table, .param .u64 offsets, .param .u64 values, .param .u32 mask)\n{\n"
         ".shared .align 32 .b8 room[4096];\n.local .align 32 .b8 own[" +
         std::to_string(local_bytes) +
         "];\n.reg .pred %p;\n.reg .b32 %lane, %m, %s, %i;\n"
         ".reg .b64 %t, %o, %v, %at, %a, %w, %wide;\n.reg .b" +
         std::to_string(form.register_bits) +
         " %x<9>;\nmov.u32 %lane, %laneid;\nld.param.u32 %m, [mask];\nld.param.u64 %t, [table];\n"
         "ld.param.u64 %o, [offsets];\nld.param.u64 %v, [values];\n"
         "mul.wide.u32 %wide, %lane, 4;\nadd.u64 %o, %o, %wide;\nld.global.u32 %i, [%o];\n"
         "cvt.u64.u32 %o, %i;\nmov.u32 %s, room;\n"
         "shr.u32 %m, %m, %lane;\nand.b32 %m, %m, 1;\nsetp.eq.u32 %p, %m, 1;\n"
         "mul.wide.u32 %wide, %lane, " +
         std::to_string(form.count * form.register_bits / 8) + ";\nadd.u64 %v, %v, %wide;\n";
}

// Copies the table to shared memory (all lanes together) or to each lane's own, or back.
std::string copy(const std::string& space, bool back) {
  const bool local = space == "local";
  const std::string loop = std::string(back ? "BACK" : "TO") + (local ? "_LOCAL" : "_SHARED");
  // In local memory a lane has its own 128 bytes of the table.
  std::string text = local ? "mul.wide.u32 %at, %lane, 128;\nadd.u64 %at, %at, %t;\n"
                             "mov.u64 %a, own;\n"
                           : "mul.wide.u32 %at, %lane, 128;\ncvt.u32.u64 %m, %at;\n"
                             "add.u64 %at, %at, %t;\nadd.u32 %m, %m, %s;\ncvt.u64.u32 %a, %m;\n";
  text += "mov.u32 %m, 16;\n" + loop + ":\n";
  const std::string other = local ? "local" : "shared";
  text += back ? "ld." + other + ".b64 %w, [%a];\nst.global.b64 [%at], %w;\n"
               : "ld.global.b64 %w, [%at];\nst." + other + ".b64 [%a], %w;\n";
  return text + "add.u64 %at, %at, 8;\nadd.u64 %a, %a, 8;\nsub.u32 %m, %m, 1;\n" +
         "setp.ne.u32 %q, %m, 0;\n@%q bra " + loop + ";\nbar.warp.sync -1;\n";
}

// Puts the address of the lane's access into %a (or %i, 32 bits, for shared memory).
std::string address(const std::string& space) {
  if (space == "shared") return "add.u32 %i, %i, %s;\n";
  if (space == "local") return "mov.u64 %a, own;\nadd.u64 %a, %a, %o;\n";
  if (space == "const") return "mov.u64 %a, fixed;\nadd.u64 %a, %a, %o;\n";
  if (space == "/shared")
    return "mov.u64 %a, room;\ncvta.shared.u64 %a, %a;\nadd.u64 %a, %a, %o;\n";
  if (space == "/local") return "mov.u64 %a, own;\ncvta.local.u64 %a, %a;\nadd.u64 %a, %a, %o;\n";
  return "add.u64 %a, %t, %o;\n";
}

std::string at_space(const std::string& space) {
  return space.empty() || space[0] == '/' ? "" : "." + space;
}
bool is_local(const std::string& space) {
  return space == "local" || space == "/local";
}

std::string load_kernel(const Form& form, const std::string& space, const std::string& order) {
  std::string text = head(form, "k", is_local(space) ? 128 : 8) + ".reg .pred %q;\n";
  if (space == "shared" || space == "/shared") text += copy("shared", false);
  if (is_local(space)) text += copy("local", false);
  text += "mov.b64 %at, %v;\n" + registers(form, true) + address(space) + "@%p ld" + order +
          at_space(space) + vector_word(form) + "." + form.type + " " + values(form) + ", [" +
          (space == "shared" ? "%i" : "%a") + "];\nmov.b64 %at, %v;\n" + registers(form, false);
  return text + "ret;\n}\n";
}

std::string store_kernel(const Form& form, const std::string& space, const std::string& order) {
  std::string text = head(form, "k", is_local(space) ? 128 : 8) + ".reg .pred %q;\n";
  if (space == "shared" || space == "/shared") text += copy("shared", false);
  if (is_local(space)) text += copy("local", false);
  text += "mov.b64 %at, %v;\n" + registers(form, true) + address(space) + "@%p st" + order +
          at_space(space) + vector_word(form) + "." + form.type + " [" +
          (space == "shared" ? "%i" : "%a") + "], " + values(form) + ";\nbar.warp.sync -1;\n";
  if (space == "shared" || space == "/shared") text += copy("shared", true);
  if (is_local(space)) text += copy("local", true);
  return text + "ret;\n}\n";
}

enum class Pattern { kSideBySide, kBackwards, kEqual, kApart, kAnywhere, kShifted };
constexpr Pattern kPatterns[] = {Pattern::kSideBySide, Pattern::kBackwards, Pattern::kEqual,
                                 Pattern::kApart,      Pattern::kAnywhere,  Pattern::kShifted};

// Offsets of the lanes' accesses in the table (of each lane's own 128 bytes in local memory).
std::vector<u32> offsets(Pattern pattern, u32 bytes, bool local, std::mt19937_64& random) {
  std::vector<u32> all(32);
  const u32 room = local ? 128 : kTableBytes;
  for (u32 i = 0; i < 32; ++i) {
    switch (pattern) {
      case Pattern::kSideBySide:
        all[i] = i * bytes;
        break;
      case Pattern::kBackwards:
        all[i] = (31 - i) * bytes;
        break;
      case Pattern::kEqual:
        all[i] = 3 * bytes;
        break;
      case Pattern::kApart:
        all[i] = i * 128;
        break;
      case Pattern::kAnywhere:
        all[i] = static_cast<u32>(random() % (room / bytes)) * bytes;
        break;
      case Pattern::kShifted:
        all[i] = (i + 1) * bytes;
        break;
    }
    all[i] %= room;
  }
  return all;
}

Bytes table() {
  Bytes bytes(kTableBytes);
  std::mt19937_64 random(3);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

std::string constant_table(const Bytes& bytes) {
  std::string text = ".const .align 32 .b8 fixed[4096] = {";
  for (std::size_t i = 0; i < bytes.size(); ++i)
    text += (i == 0 ? "" : ",") + std::to_string(bytes[i]);
  return text + "};\n";
}

u32 mask_of(int round, std::mt19937_64& random) {
  return round == 0 ? 0xFFFFFFFFu : round == 1 ? 0x0000FFFFu : static_cast<u32>(random());
}

// The bytes of a register after a load of `form` from `from`.
void load(const Form& form, const std::uint8_t* from, std::uint8_t* to) {
  const u32 width = form.register_bits / 8;
  std::memcpy(to, from, form.bytes);
  const bool negative = form.is_signed() && (from[form.bytes - 1] & 0x80) != 0;
  if (width > form.bytes) std::memset(to + form.bytes, negative ? 0xFF : 0, width - form.bytes);
}

void check_load(const Form& form, const std::string& space, const std::string& order) {
  INFO("ld" << order << " space '" << space << "' v" << form.count << " " << form.type << " into "
            << form.register_bits << " bits");
  const Bytes bytes = table();
  Bench bench((space == "const" ? constant_table(bytes) : "") + load_kernel(form, space, order));
  REQUIRE(bench.program.function("k")->unsupported == std::vector<std::string>{});
  std::mt19937_64 random(4);
  const u32 size = form.count * form.register_bits / 8;
  for (const Pattern pattern : kPatterns) {
    for (int round = 0; round < 3; ++round) {
      const u32 mask = mask_of(round, random);
      const std::vector<u32> at = offsets(pattern, form.lane_bytes(), is_local(space), random);
      Bytes expected(32 * size, 0x5A);
      const u64 out = bench.upload(expected);
      const LaunchResult result =
          bench.run("k", {}, {32, 1, 1}, bench.upload(bytes), bench.upload(at), out, mask);
      REQUIRE((result.fault ? result.fault->text() : "") == "");
      for (u32 lane = 0; lane < 32; ++lane) {
        if ((mask >> lane & 1) == 0) continue;
        const u32 begin = at[lane] + (is_local(space) ? lane * 128 : 0);
        for (u32 i = 0; i < form.count; ++i) {
          load(form, &bytes[begin + i * form.bytes],
               &expected[lane * size + i * form.register_bits / 8]);
        }
      }
      INFO("pattern " << static_cast<int>(pattern) << std::hex << " mask " << mask);
      CHECK((bench.download<std::uint8_t>(out, expected.size()) == expected));
    }
  }
}

void check_store(const Form& form, const std::string& space, const std::string& order) {
  INFO("st" << order << " space '" << space << "' v" << form.count << " " << form.type << " from "
            << form.register_bits << " bits");
  Bench bench(store_kernel(form, space, order));
  REQUIRE(bench.program.function("k")->unsupported == std::vector<std::string>{});
  std::mt19937_64 random(4);
  const u32 size = form.count * form.register_bits / 8;
  for (const Pattern pattern : kPatterns) {
    // Of several writers of one place any may win.
    if (pattern == Pattern::kEqual || pattern == Pattern::kAnywhere) continue;
    if (!is_local(space) && pattern == Pattern::kApart && form.lane_bytes() > 128) continue;
    for (int round = 0; round < 3; ++round) {
      const u32 mask = mask_of(round, random);
      const std::vector<u32> at = offsets(pattern, form.lane_bytes(), is_local(space), random);
      Bytes expected = table(), values(32 * size);
      for (auto& byte : values) byte = static_cast<std::uint8_t>(random());
      const u64 out = bench.upload(expected);
      const LaunchResult result =
          bench.run("k", {}, {32, 1, 1}, out, bench.upload(at), bench.upload(values), mask);
      REQUIRE((result.fault ? result.fault->text() : "") == "");
      for (u32 lane = 0; lane < 32; ++lane) {
        if ((mask >> lane & 1) == 0) continue;
        const u32 begin = at[lane] + (is_local(space) ? lane * 128 : 0);
        for (u32 i = 0; i < form.count; ++i) {
          std::memcpy(&expected[begin + i * form.bytes],
                      &values[lane * size + i * form.register_bits / 8], form.bytes);
        }
      }
      INFO("pattern " << static_cast<int>(pattern) << std::hex << " mask " << mask);
      CHECK((bench.download<std::uint8_t>(out, expected.size()) == expected));
    }
  }
}

}  // namespace

TEST_CASE("loads of every width, space and pattern give the bytes of memory", "[ptx]") {
  for (const Form& form : forms()) {
    for (const std::string space : kSpaces) check_load(form, space, "");
  }
}

TEST_CASE("stores of every width, space and pattern write their bytes and no others", "[ptx]") {
  for (const Form& form : forms()) {
    for (const std::string space : kSpaces) {
      if (space != "const") check_store(form, space, "");
    }
  }
}

TEST_CASE("loads and stores with an order or a hint move the same bytes", "[ptx]") {
  for (const Form& form : {Form{"u8", 1, 1, 32}, Form{"s16", 2, 2, 32}, Form{"b32", 4, 1, 32},
                           Form{"f32", 4, 4, 32}, Form{"u64", 8, 2, 64}}) {
    for (const char* order : {".volatile", ".relaxed.gpu", ".relaxed.sys", ".acquire.cta",
                              ".acquire.gpu", ".weak", ".ca", ".cg", ".cs", ".lu", ".cv"}) {
      // A volatile or ordered vector is legal; caching words stand before the vector too.
      check_load(form, "global", order);
    }
    check_load(form, "", ".volatile");
    check_load(form, "shared", ".volatile");
    check_load(form, "shared", ".relaxed.cta");
    for (const char* order : {".volatile", ".relaxed.gpu", ".release.gpu", ".release.sys", ".weak",
                              ".wb", ".cg", ".cs", ".wt"}) {
      check_store(form, "global", order);
    }
    check_store(form, "shared", ".volatile");
    check_store(form, "shared", ".release.cta");
  }
}

namespace {

// After one that makes the allocation known, an access of 4 bytes by all lanes of `mask`, at their
// own addresses; the fault's text.
std::string fault_of_access(bool store, bool shared, const std::vector<u32>& at, u32 mask) {
  const Form form{"b32", 4, 1, 32};
  const std::string space = shared ? "shared" : "global";
  std::string text = head(form, "k", 8) + ".reg .pred %q;\nld.global.u32 %x0, [%t];\n" +
                     address(space) + "mov.u32 %x0, 7;\n" +
                     (store ? "@%p st." + space + ".u32 [" + (shared ? "%i" : "%a") + "], %x0;\n"
                            : "@%p ld." + space + ".u32 %x0, [" + (shared ? "%i" : "%a") + "];\n") +
                     "ret;\n}\n";
  Bench bench(text);
  const u64 table = bench.upload(Bytes(kTableBytes)), offsets = bench.upload(at);
  const LaunchResult result = bench.run("k", {}, {32, 1, 1}, table, offsets, table, mask);
  return result.fault ? result.fault->text() : "";
}

}  // namespace

TEST_CASE("one lane of many that is out of bounds or misaligned is found", "[ptx]") {
  for (const bool store : {false, true}) {
    for (const bool shared : {false, true}) {
      for (const u32 mask : {0xFFFFFFFFu, 0x00F0FF10u}) {
        INFO("store " << store << " shared " << shared << std::hex << " mask " << mask);
        for (const u32 stride : {4u, 64u, 128u}) {
          std::vector<u32> at(32);
          for (u32 i = 0; i < 32; ++i) at[i] = (i * stride) % kTableBytes;
          CHECK(fault_of_access(store, shared, at, mask) == "");
          at[21] = kTableBytes - 2;
          CHECK_THAT(fault_of_access(store, shared, at, mask), Catch::Contains("thread (21,0,0)"));
          at[21] = kTableBytes;
          CHECK_THAT(fault_of_access(store, shared, at, mask),
                     Catch::Contains("thread (21,0,0)") && Catch::Contains("out of bounds"));
          at[21] = 0xFFFFFFFCu;
          CHECK_THAT(fault_of_access(store, shared, at, mask), Catch::Contains("thread (21,0,0)"));
          at[21] = 66;
          CHECK_THAT(fault_of_access(store, shared, at, mask), Catch::Contains("misaligned"));
        }
        // Lanes that do nothing may point anywhere.
        std::vector<u32> idle(32);
        for (u32 i = 0; i < 32; ++i) idle[i] = (mask >> i & 1) != 0 ? i * 8 : 0x7FFFFFFFu;
        CHECK(fault_of_access(store, shared, idle, mask) == "");
      }
    }
  }
}

}  // namespace ptx_emulator::testing
