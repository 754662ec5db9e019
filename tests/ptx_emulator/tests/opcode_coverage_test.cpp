// Every form that the coverage list prints has a reference that it was compared with.

#include <set>

#include "tests/catch.h"
#include "tests/ptx_emulator/machine/lanes/form.h"
#include "tests/ptx_emulator/tests/opcode_harness.h"

namespace ptx_emulator::testing {

TEST_CASE("every registered form has a scalar reference", "[ptx]") {
  std::set<std::string> tested = {"mov.b128"};  // tested with its packing
  for (const auto& table : {integer_cases(), logic_cases(), rare_integer_cases(), float_cases(),
                            approximate_cases(), half_cases(), move_cases()}) {
    for (const Case& each : table) {
      for (std::string& name : expand(each.pattern)) tested.insert(std::move(name));
    }
  }
  for (const char* type : {"f16", "f16x2", "bf16", "bf16x2"}) {
    tested.insert(std::string("tanh.approx.") + type);
    tested.insert(std::string("ex2.approx.") + type);
    tested.insert(std::string("ex2.approx.ftz.") + type);
  }
  std::size_t count = 0;
  for (const std::string& pattern : lanes::forms().patterns) {
    for (const std::string& name : expand(pattern)) {
      INFO(name);
      CHECK(tested.contains(name));
      ++count;
    }
  }
  CHECK(count > 500);
}

TEST_CASE("an opcode stands in one family and lists its forms", "[ptx]") {
  std::set<std::string> seen;
  for (const auto table : {integer_opcodes(), float_opcodes(), mixed_opcodes(), warp_opcodes()}) {
    for (const OpcodeEntry& entry : table) {
      INFO(entry.opcode);
      CHECK(seen.insert(std::string(entry.opcode)).second);
      CHECK(entry.decode != nullptr);
      CHECK(!entry.forms.empty());
    }
  }
}

TEST_CASE("unknown forms are unsupported by name", "[ptx]") {
  for (const char* text :
       {"add.sat.u32 %w0, %w1, %w2", "cvt.f32.s32 %f0, %w1", "fma.f32 %f0, %f1, %f2, %f3",
        "shfl.up.b32 %w0, %w1, 1, 31", "mul.wide.u64 %d0, %d1, %d2", "add.u32 %w0, %w1",
        "set.lt.f64.f64 %g0, %g1, %g2"}) {
    INFO(text);
    CHECK_THROWS_AS(SingleInstruction(text), UnsupportedInstruction);
  }
}

}  // namespace ptx_emulator::testing
