// What the PTX parser makes of texts: the tree, unique names, source lines, errors with their
// place.

#include "tests/ptx_emulator/ptx/parser.h"

#include <string>

#include "tests/catch.h"

namespace ptx_emulator::ptx {
namespace {

const std::string kHead = ".version 9.0\n.target sm_90a\n.address_size 64\n";

// The function `k` whose body this is, with registers at hand.
Function body(const std::string& text) {
  const Module module = parse(
      kHead +
          ".global .align 16 .b8 data[64];\n.visible .entry k(.param .u64 in, .param .u32 n)\n{\n" +
          ".reg .b32 %r<10>; .reg .b64 %rd<4>; .reg .f32 %f<8>; .reg .pred %p<4>; .reg .v4 .f32 "
          "%v;\n" +
          text + "\n}\n",
      "test");
  REQUIRE(module.functions.size() == 1);
  return module.functions[0];
}

Instruction instruction(const std::string& text) {
  const Function function = body(text);
  REQUIRE(function.instructions.size() == 1);
  return function.instructions[0];
}

std::string error_of(const std::string& text) {
  try {
    parse(text, "test");
  } catch (const ParseError& error) {
    return error.what();
  }
  return "no error";
}

using Kind = Operand::Kind;

}  // namespace

TEST_CASE("an instruction keeps its modifiers and operands in order") {
  const Instruction load = instruction(
      "@!%p1 ld.global.L1::no_allocate.L2::128B.v4.f32 {%f0, _, %f2, %f3}, [%rd1+-16];");
  CHECK(load.full_name() == "ld.global.L1::no_allocate.L2::128B.v4.f32");
  CHECK(load.has("L2::128B"));
  CHECK_FALSE(load.has("L2"));
  CHECK(load.guard == "%p1");
  CHECK(load.guard_negated);
  REQUIRE(load.operands.size() == 2);
  REQUIRE(load.operands[0].kind == Kind::kVector);
  CHECK(load.operands[0].parts[1].kind == Kind::kRegister);
  CHECK(load.operands[0].parts[1].name.empty());
  CHECK(load.operands[0].parts[3].name == "%f3");
  CHECK(load.operands[1].kind == Kind::kAddress);
  CHECK(load.operands[1].base_is_register);
  CHECK(load.operands[1].name == "%rd1");
  CHECK(load.operands[1].value == -16);
  CHECK(load.location.line == 8);
}

TEST_CASE("pairs, negations, special registers, components and tensor addresses are operands") {
  const Instruction compare = instruction("setp.lt.and.s32 %p1|_, %r1, %ntid.x, !%p2;");
  CHECK(compare.operands[0].kind == Kind::kPair);
  CHECK(compare.operands[0].parts[1].name.empty());
  CHECK(compare.operands[2].kind == Kind::kSpecial);
  CHECK(compare.operands[2].name == "%ntid.x");
  CHECK(compare.operands[3].kind == Kind::kNegated);
  CHECK(compare.operands[3].parts[0].name == "%p2");

  const Instruction move = instruction("mov.f32 %v.w, %v.g;");
  CHECK(move.operands[0].component == "w");
  CHECK(move.operands[1].component == "y");
  CHECK(move.operands[1].name == "%v");
  CHECK(instruction("vadd.s32.u32.u32 %r1, %r2.b3, %r3.h1;").operands[1].component == "b3");

  const Instruction copy = instruction(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], "
      "[%rd1, {%r2, 8}], [%r4];");
  CHECK(copy.modifiers[2] == "tensor");
  CHECK(copy.modifiers[3] == "2d");
  CHECK(copy.modifiers[6] == "mbarrier::complete_tx::bytes");
  REQUIRE(copy.operands[1].parts.size() == 1);
  CHECK(copy.operands[1].parts[0].kind == Kind::kList);
  CHECK(copy.operands[1].parts[0].parts[1].value == 8);

  const Instruction symbol = instruction("ld.global.u32 %r1, [data+4];");
  CHECK_FALSE(symbol.operands[1].base_is_register);
  CHECK(symbol.operands[1].name == "data");
  CHECK(symbol.operands[1].value == 4);
  CHECK(instruction("mov.u64 %rd1, data+12;").operands[1].kind == Kind::kSymbol);
  CHECK(instruction("mov.u64 %rd1, data+12;").operands[1].value == 12);
}

TEST_CASE("constants of every form have their values") {
  const auto integer = [](const std::string& text) {
    const Operand operand = instruction("mov.b64 %rd1, " + text + ";").operands[1];
    REQUIRE(operand.kind == Kind::kInteger);
    return operand.value;
  };
  CHECK(integer("0x1F") == 31);
  CHECK(integer("0b101") == 5);
  CHECK(integer("017") == 15);
  CHECK(integer("0") == 0);
  CHECK(integer("42U") == 42);
  CHECK(integer("-1") == -1);
  CHECK(integer("0xFFFFFFFFFFFFFFFF") == -1);
  CHECK(integer("WARP_SZ") == 32);
  CHECK(integer("1 + 2 * 3 - -4") == 11);
  CHECK(integer("(1 + 2) * 3") == 9);
  CHECK(integer("1 << 3 | 1") == 9);
  CHECK(integer("-7 / 2") == -3);
  CHECK(integer("-1 >> 63") == -1);
  CHECK(integer("(.u64)-1 >> 63") == 1);
  CHECK(integer("-1 < 0") == 1);
  CHECK(integer("-1 < 0U") == 0);
  CHECK(integer("2 > 1 ? 10 : 20") == 10);
  CHECK(integer("!0 + ~0") == 0);
  CHECK(integer("0x8000000000000000 / -1") == 0);
  CHECK(integer("(.s64)0x8000000000000000 / (.s64)(-1)") == INT64_MIN);

  const Operand single = instruction("mov.f32 %f1, 0f3F800000;").operands[1];
  CHECK(single.kind == Kind::kFloat32);
  CHECK(single.value == 0x3F800000);
  CHECK(instruction("mov.f32 %f1, -0f3F800000;").operands[1].value == 0xBF800000);
  const Operand twice = instruction("mov.f64 %rd1, 0dBFF0000000000000;").operands[1];
  CHECK(twice.kind == Kind::kFloat64);
  CHECK(static_cast<std::uint64_t>(twice.value) == 0xBFF0000000000000);
  CHECK(instruction("mov.f64 %rd1, -1.5e0;").operands[1].value ==
        static_cast<std::int64_t>(0xBFF8000000000000));
}

TEST_CASE("names of inner braces are unique in their function") {
  const Function function = body(
      "L: { .reg .b32 %r<3>; .reg .pred t; mov.u32 %r2, %r5; @t bra L; L: @t bra L; { bra L; } }\n"
      "{ .reg .pred t; .param .b32 a; st.param.b32 [a], %r2; @t bra L; }");
  const auto& code = function.instructions;
  REQUIRE(code.size() == 6);
  // The inner family has three members: %r5 is the outer one.
  CHECK(code[0].operands[0].name != "%r2");
  CHECK(code[0].operands[1].name == "%r5");
  CHECK(code[4].operands[1].name == "%r2");
  CHECK(code[1].guard != code[5].guard);
  CHECK(code[1].operands[0].name == code[2].operands[0].name);
  CHECK(code[3].operands[0].name == code[2].operands[0].name);
  CHECK(code[5].operands[0].name == "L");
  REQUIRE(function.labels.size() == 2);
  CHECK(function.labels[0].instruction == 0);
  CHECK(function.labels[1].instruction == 2);
  CHECK(code[1].operands[0].name == function.labels[1].name);
  REQUIRE(function.variables.size() == 1);
  CHECK(code[4].operands[0].name == function.variables[0].name);
}

TEST_CASE("a function's head gives its parameters and bounds") {
  const Module module = parse(
      kHead +
          ".func (.param .b32 out) twice(.reg .u32 %a) ;\n"
          ".weak .func (.param .b32 out) twice(.reg .u32 %a) .noreturn { st.param.b32 [out], %a; "
          "ret; }\n"
          ".visible .entry k(.param .u64 .ptr .global .align 16 p, .param .align 8 .b8 big[24],\n"
          "  .param .v2 .f32 pair)\n"
          ".maxntid 128, 2 .minnctapersm 3 .reqnctapercluster 2, 1, 1 .pragma \"nounroll\";\n"
          "{ .reg .b32 %r<3>; .reg .b64 %f; call.uni (%r1), twice, (%r2); \n"
          "  proto: .callprototype (.param .b32 _) _ (.param .b64 _) .noreturn;\n"
          "  list: .branchtargets A, B;\n"
          "  { .param .b64 a; call (%r1), %f, (a, 5), proto; }\n"
          "  A: brx.idx %r1, list; B: exit; }\n"
          ".alias same, twice;\n",
      "test");
  CHECK(module.version == 90);
  CHECK(module.target == "sm_90a");
  REQUIRE(module.functions.size() == 3);
  const Function& twice = module.functions[0];
  CHECK_FALSE(twice.is_external);
  CHECK(twice.is_weak);
  CHECK(twice.parameters[0].space == Space::kRegister);
  CHECK(twice.registers[0].name == "%a");
  CHECK(module.functions[2].name == "same");
  CHECK(module.functions[2].instructions.size() == 2);
  const Function& kernel = module.functions[1];
  CHECK(kernel.is_entry);
  REQUIRE(kernel.parameters.size() == 3);
  CHECK(kernel.parameters[0].alignment == 8);
  CHECK(kernel.parameters[1].alignment == 8);
  CHECK(kernel.parameters[1].size_bytes() == 24);
  CHECK(kernel.parameters[2].size_bytes() == 8);
  CHECK(kernel.parameters[2].alignment == 8);
  CHECK(kernel.bounds.max_threads[0] == 128);
  CHECK(kernel.bounds.max_threads[1] == 2);
  CHECK(kernel.bounds.max_threads[2] == 1);
  CHECK(kernel.bounds.min_blocks == 3);
  CHECK(kernel.bounds.required_cluster[0] == 2);
  CHECK(kernel.instructions[0].operands[0].kind == Kind::kList);
  CHECK(kernel.instructions[0].operands[1].name == "twice");
  CHECK(kernel.instructions[1].operands[2].parts[1].value == 5);
  CHECK(kernel.instructions[1].operands[3].name == "proto");
  REQUIRE(kernel.prototypes.size() == 1);
  CHECK(kernel.prototypes[0].parameters.size() == 1);
  REQUIRE(kernel.target_lists.size() == 1);
  CHECK(kernel.target_lists[0].targets == std::vector<std::string>{"A", "B"});
}

TEST_CASE("variables get their bytes and the places of addresses") {
  const Module module =
      parse(kHead +
                ".global .b32 foo = -2, bar;\n"
                ".extern .shared .align 1024 .b8 tile[];\n"
                ".const .align 4 .f32 table[] = {1, 0f40000000, -0.5};\n"
                ".global .u16 grid[2][3] = {{1}, {2, 0xFFFF}};\n"
                ".global .align 8 .u64 places[3] = {generic(foo)+8, bar-4, 7};\n"
                ".global .u8 bytes[2] = {0xff(foo), 0xff00(foo)};\n"
                ".visible .global .attribute(.managed) .v4 .f32 quad = {0f00000001, 0, 0, 1.0};\n"
                ".section .debug_other { .b8 1, 2 }\n",
            "test");
  REQUIRE(module.variables.size() == 8);
  const auto& v = module.variables;
  CHECK(v[0].initial ==
        std::vector<std::byte>{std::byte{0xFE}, std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}});
  CHECK(v[1].initial.empty());
  CHECK_FALSE(v[2].num_elements);
  CHECK(v[2].alignment == 1024);
  CHECK(v[2].is_external);
  CHECK(v[3].space == Space::kConstant);
  CHECK(v[3].size_bytes() == 12);
  CHECK(v[3].initial[3] == std::byte{0x3F});
  CHECK(v[3].initial[11] == std::byte{0xBF});
  CHECK(v[4].size_bytes() == 12);
  REQUIRE(v[4].initial.size() == 10);
  CHECK(v[4].initial[6] == std::byte{2});
  CHECK(v[4].initial[8] == std::byte{0xFF});
  REQUIRE(v[5].relocations.size() == 2);
  CHECK(v[5].relocations[0].generic);
  CHECK(v[5].relocations[0].addend == 8);
  CHECK(v[5].relocations[1].offset == 8);
  CHECK(v[5].relocations[1].symbol == "bar");
  CHECK(v[5].relocations[1].addend == -4);
  CHECK(v[5].initial[16] == std::byte{7});
  CHECK(v[6].relocations[1].bytes == 1);
  CHECK(v[6].relocations[1].shift == 8);
  CHECK(v[7].is_managed);
  CHECK(v[7].size_bytes() == 16);
  CHECK(v[7].initial[15] == std::byte{0x3F});
}

TEST_CASE("source lines follow the chain of inlining") {
  const Module module = parse(
      kHead +
          ".visible .entry k()\n{\n.loc 1 10 3\ntrap;\n"
          ".loc 2 20 5, function_name $name0, inlined_at 1 10 3\ntrap;\n"
          ".loc 2 30 7, function_name $name1+2, inlined_at 2 20 5\ntrap;\n.loc 1 11 1\nret;\n}\n"
          ".file 1 \"kernel.cu\"\n.file 2 \"math.h\", 123, 456\n"
          ".section .debug_str\n{\n$name0:\n.b8 111,117,116\n.b8 0\n$name1:\n.b8 "
          "120,120,105,110,0\n}\n",
      "test");
  CHECK(module.files.at(2) == "math.h");
  const auto& code = module.functions.at(0).instructions;
  CHECK(code[0].location.source_line == 10);
  CHECK(code[0].location.inlined_at == 0);
  CHECK(code[2].location.source_file == 2);
  CHECK(code[2].location.source_line == 30);
  const InlineSite& inner = module.inline_sites.at(code[2].location.inlined_at - 1);
  CHECK(inner.function == "in");
  CHECK(inner.location.source_line == 20);
  const InlineSite& outer = module.inline_sites.at(inner.location.inlined_at - 1);
  CHECK(outer.function == "out");
  CHECK(outer.location.source_line == 10);
  CHECK(outer.location.inlined_at == 0);
  CHECK(code[3].location.inlined_at == 0);
}

TEST_CASE("an error names line and column and points at the place") {
  CHECK(error_of(kHead + ".entry k()\n{\n  .reg .b32 %r<2>;\n  mov.u32 %r1, ;\n}") ==
        "test:7:16: expected an operand, found ';'\n    mov.u32 %r1, ;\n                 ^");
  const auto fails = [](const std::string& text, const std::string& message) {
    INFO(text);
    CHECK_THAT(error_of(text), Catch::Matchers::Contains(message));
  };
  const auto in_body = [&](const std::string& text, const std::string& message) {
    fails(kHead + ".global .b32 g;\n.entry k() { .reg .b32 %r<2>; .reg .pred p;\n" + text + "\n}",
          message);
  };
  fails("", "the end of the text");
  fails("nonsense", "begins with .version");
  fails(".version x", "expected a version");
  fails(".version 9.0 .target sm_80 .address_size 32", "only 64-bit programs");
  fails(kHead + ".global .align 3 .b8 x;", "a power of two");
  fails(kHead + ".global .b8 x; .global .b8 x;", "defined twice");
  fails(kHead + ".global .b8 x[99999999999][99999999999];", "more than 2^48 bytes");
  fails(kHead + ".global .b8 x[2] = {1, 2, 3};", "more initial values (3)");
  fails(kHead + ".global .b8 x[1000000000][1000] = {{}, {1}, {}};", "no error");
  fails(kHead + ".global .b8 x[3][1000000000] = {{}, {1}};", "more than 64 MiB");
  // Also where no single variable has too many.
  std::string many = kHead;
  for (int i = 0; i < 9; ++i) {
    many += ".global .b8 x" + std::to_string(i) + "[2][8000000] = {{}, {1}};";
  }
  fails(many, "more than 64 MiB");
  fails(kHead + ".global .u64 x = y;", "nothing declares 'y'");
  fails(kHead + ".entry k() {} .entry k() {}", "defined twice");
  fails(kHead + ".entry k() {", "expected '}', found the end of the text");
  fails(kHead + ".alias a, b;", "no function of this module");
  fails(kHead + ".global .b8 x = \"text", "closing quote");
  in_body("add.s32 %r1, %r0, nowhere;", "nothing declares 'nowhere'");
  in_body("@%r9 trap;", "is not declared as a register");
  in_body("bra L;", "nothing declares 'L'");
  in_body("L: L:", "declared twice");
  in_body(".reg .b32 p;", "declared twice");
  in_body(".reg .b32 %x<4000000000>;", "the largest is 1048576");
  in_body("mov.u32 %r1, 1/0;", "division by zero");
  in_body("mov.u32 %r1, 99999999999999999999;", "does not fit into 64 bits");
  in_body("mov.u32 %r1, 0f12;", "8 hexadecimal digits");
  in_body("mov.u32 %r1, 12ab;", "followed by");
  in_body("ld.global.u32 %r1, [%tid.x];", "an address begins with");
  in_body(std::string(500, '{'), "less nesting");
  in_body("mov.u32 %r1, " + std::string(5000, '('), "nested too deeply");
  in_body("mov.u32 %r1, " + std::string(5000, '-') + "1;", "nested too deeply");
}

TEST_CASE("a text cut off anywhere is refused and never read past its end") {
  const std::string text =
      kHead +
      ".global .align 8 .u64 x[2] = {generic(x)+8, 0d3FF0000000000000};\n.file 1 \"a.cu\"\n"
      ".visible .entry k(.param .u64 p) .maxntid 32 {\n.reg .b32 %r<4>; .reg .pred q;\n"
      ".loc 1 2 3, function_name $n, inlined_at 1 1 1\n"
      "@q ld.param.v2.u32 {%r1, %r2}, [p+4]; /* c */ L: bra L; // end\n}\n.section .debug_str { "
      "$n: .b8 1 }";
  for (std::size_t size = 0; size < text.size(); ++size) {
    try {
      parse(text.substr(0, size), "cut");
    } catch (const ParseError&) {
    }
  }
  CHECK(parse(text + std::string(3, '\0') + "padding", "whole").functions.size() == 1);
}

TEST_CASE("units link by their visible names and keep private ones apart") {
  const std::string first =
      kHead +
      ".file 1 \"one.cu\"\n.extern .global .b32 shared_value;\n.global .b32 own = 1;\n"
      ".extern .func (.param .b32 r) vprintf(.param .b64 a);\n"
      ".extern .func there();\n.func local() { ret; }\n"
      ".weak .func common() { trap; ret; }\n"
      ".visible .entry k() { .reg .b64 %r; mov.u64 %r, own; call there; call local; ret; }";
  const std::string second =
      kHead +
      ".file 1 \"two.cu\"\n.visible .global .b32 shared_value = 5;\n.global .b32 own = 2;\n"
      ".global .u64 pointer = own;\n"
      ".func local() { trap; ret; }\n.weak .func common() { ret; }\n"
      ".visible .func there() { .reg .b64 %r;\n.loc 1 7 1\nmov.u64 %r, own; call local; ret; }";
  const Module linked = link({parse(first, "one"), parse(second, "two")});
  const auto variable = [&](const std::string& name) {
    for (const Variable& v : linked.variables) {
      if (v.name == name) return v;
    }
    FAIL("no variable " << name);
    return Variable();
  };
  CHECK(variable("shared_value").initial.at(0) == std::byte{5});
  CHECK_FALSE(variable("shared_value").is_external);
  CHECK(variable("own").initial.at(0) == std::byte{1});
  CHECK(variable("own@unit2").initial.at(0) == std::byte{2});
  CHECK(variable("pointer").relocations.at(0).symbol == "own@unit2");
  std::size_t num_common = 0;
  for (const Function& function : linked.functions) {
    if (function.name == "there") {
      CHECK(function.instructions[0].operands[1].name == "own@unit2");
      CHECK(function.instructions[1].operands[0].name == "local@unit2");
      CHECK(linked.files.at(function.instructions[0].location.source_file) == "two.cu");
    }
    if (function.name == "common") {
      ++num_common;
      CHECK(function.instructions.size() == 2);
    }
    if (function.name == "vprintf") CHECK(function.is_external);
  }
  CHECK(num_common == 1);

  const std::string defined = kHead + ".visible .global .b32 x;";
  CHECK_THROWS_WITH(link({parse(defined, "a"), parse(defined, "b")}),
                    Catch::Matchers::Contains("'x' is defined in an earlier unit"));
  CHECK_THROWS_WITH(link({parse(kHead + ".extern .global .b32 x;", "a"), parse(kHead, "b")}),
                    Catch::Matchers::Contains("no unit defines the variable 'x'"));
}

}  // namespace ptx_emulator::ptx
