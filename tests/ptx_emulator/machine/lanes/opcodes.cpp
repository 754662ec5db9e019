#include "tests/ptx_emulator/machine/lanes/opcodes.h"

#include <array>
#include <map>
#include <string>

#include "tests/ptx_emulator/machine/lanes/form.h"

namespace ptx_emulator {
namespace lanes {
namespace {

// An opcode with a decoder of its own, and the forms that the registered patterns do not show.
struct Special {
  std::string_view opcode;
  void (*decode)(Assembler&);
  std::string_view forms;
};

constexpr std::string_view kCarryForms =
    "add.cc, addc{.cc}, sub.cc, subc{.cc}, mad{.lo,.hi}.cc, madc{.lo,.hi}{.cc} .{u32,s32,u64,s64}";
constexpr Special kSpecials[] = {
    {"mov", decode_mov, "mov.{b16,b32,b64,b128} with vectors of 2 or 4 on one side"},
    {"cvt", decode_cvt,
     "cvt{.rn,.rz,.rm,.rp,.rni,.rzi,.rmi,.rpi}{.ftz}{.sat} between "
     "{u8,s8,u16,s16,u32,s32,u64,s64,f16,bf16,f32,f64}\n"
     "cvt{.rn,.rz,.rna}{.relu}{.satfinite}.tf32.f32\n"
     "cvt{.rn,.rz}{.relu}{.satfinite}.{f16x2,bf16x2}.f32\n"
     "cvt.rn.satfinite{.relu}.{e4m3x2,e5m2x2}.{f32,f16x2}\n"
     "cvt.rn{.relu}.f16x2.{e4m3x2,e5m2x2}"},
    {"setp", decode_setp,
     "setp.{eq,ne,lt,le,gt,ge,lo,ls,hi,hs,equ,neu,ltu,leu,gtu,geu,num,nan}{.and,.or,.xor}{.ftz}."
     "{b16,b32,b64,u16,u32,u64,s16,s32,s64,f16,bf16,f32,f64,f16x2,bf16x2} with a second predicate"},
    {"set", decode_set,
     "set.CMP{.and,.or,.xor}{.ftz}.{u16,s16,u32,s32,f16,bf16,f32}.TYPE, "
     "set...{f16x2,bf16x2,u32,s32}.{f16x2,bf16x2}"},
    {"lop3", decode_lop3, "lop3{.and,.or}.b32"},
    {"add", decode_carry, kCarryForms},
    {"addc", decode_carry, kCarryForms},
    {"sub", decode_carry, kCarryForms},
    {"subc", decode_carry, kCarryForms},
    {"mad", decode_carry, kCarryForms},
    {"madc", decode_carry, kCarryForms},
    {"min", decode_extreme, "min{.ftz}{.NaN}.f32 of three"},
    {"max", decode_extreme, "max{.ftz}{.NaN}.f32 of three"},
};

constexpr Special kExchanges[] = {
    {"shfl", decode_shfl, "shfl.sync.{up,down,bfly,idx}.b32 with a predicate"},
    {"vote", decode_exchange, "vote.sync.{all,any,uni}.pred\nvote.sync.ballot.b32"},
    {"match", decode_exchange, "match.{any,all}.sync.{b32,b64}"},
    {"redux", decode_exchange,
     "redux.sync.{add,min,max}.{u32,s32}\nredux.sync.{and,or,xor}.b32\n"
     "redux.sync.{min,max}{.abs}{.NaN}.f32"},
    {"elect", decode_exchange, "elect.sync"},
    {"activemask", decode_exchange, "activemask.b32"},
};

constexpr std::array kIntegerOpcodes = {
    "addc",  "subc",  "madc",  "mul24", "mad24",  "div",   "rem",      "sad",   "and",
    "or",    "xor",   "not",   "cnot",  "lop3",   "shl",   "shr",      "shf",   "bfe",
    "bfi",   "bfind", "brev",  "fns",   "popc",   "clz",   "prmt",     "dp2a",  "dp4a",
    "bmsk",  "szext", "vadd2", "vsub2", "vmin2",  "vmax2", "vavrg2",   "vset2", "vabsdiff2",
    "vadd4", "vsub4", "vmin4", "vmax4", "vavrg4", "vset4", "vabsdiff4"};
constexpr std::array kFloatOpcodes = {"fma", "rcp", "sqrt", "rsqrt", "sin",     "cos",
                                      "lg2", "ex2", "tanh", "testp", "copysign"};

enum class Family { kInteger, kFloat, kMixed };

Family family_of(std::string_view opcode) {
  for (const std::string_view known : kIntegerOpcodes) {
    if (known == opcode) return Family::kInteger;
  }
  for (const std::string_view known : kFloatOpcodes) {
    if (known == opcode) return Family::kFloat;
  }
  return Family::kMixed;
}

// Opcode tables made from the registered forms, with the strings that they point to.
struct Tables {
  struct Text {
    void (*decode)(Assembler&) = decode_form;
    std::string forms;
  };
  std::map<std::string, Text> texts;
  std::vector<OpcodeEntry> integer, floating, mixed, exchange;
};

void append_line(std::string& text, std::string_view line) {
  if (!text.empty()) text += '\n';
  text += line;
}

Tables make_tables() {
  Tables tables;
  for (const std::string& pattern : forms().patterns) {
    // "{fma,mad}.rn..." stands for two opcodes.
    const bool both = pattern.starts_with("{fma,mad}");
    for (const std::string& text :
         both ? std::vector<std::string>{"fma" + pattern.substr(9), "mad" + pattern.substr(9)}
              : std::vector<std::string>{pattern}) {
      append_line(tables.texts[text.substr(0, text.find_first_of(".{"))].forms, text);
    }
  }
  for (const Special& special : kSpecials) {
    Tables::Text& text = tables.texts[std::string(special.opcode)];
    text.decode = special.decode;
    append_line(text.forms, special.forms);
  }
  for (const auto& [opcode, text] : tables.texts) {
    const OpcodeEntry entry{opcode, text.decode, text.forms};
    switch (family_of(opcode)) {
      case Family::kInteger:
        tables.integer.push_back(entry);
        break;
      case Family::kFloat:
        tables.floating.push_back(entry);
        break;
      case Family::kMixed:
        tables.mixed.push_back(entry);
        break;
    }
  }
  for (const Special& special : kExchanges) {
    tables.exchange.push_back({special.opcode, special.decode, special.forms});
  }
  return tables;
}

const Tables& tables() {
  static const Tables all = make_tables();
  return all;
}

}  // namespace
}  // namespace lanes

std::span<const OpcodeEntry> integer_opcodes() {
  return lanes::tables().integer;
}
std::span<const OpcodeEntry> float_opcodes() {
  return lanes::tables().floating;
}
std::span<const OpcodeEntry> mixed_opcodes() {
  return lanes::tables().mixed;
}
std::span<const OpcodeEntry> warp_opcodes() {
  return lanes::tables().exchange;
}

}  // namespace ptx_emulator
