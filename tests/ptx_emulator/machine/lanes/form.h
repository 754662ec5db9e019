#pragma once
// Forms: PTX instructions whose operands map one to one to a handler's places. The lane loops
// register them by pattern, and one decoder serves them all.

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/ptx_emulator/machine/assembler.h"
#include "tests/ptx_emulator/machine/op.h"

namespace ptx_emulator::lanes {

// One instruction form. `operands` has a letter for each operand, destination first:
//   h w d q  16, 32, 64 or 128 bits     f g  f32, f64     p  predicate     n  an immediate integer,
//   put in Op::small
// The destination goes to Op::d, sources to a, b, c; a fourth source to a kept Place at Op::extra.
struct Form {
  std::string operands;
  Handler handler = nullptr;
};

// Where the lane loops register themselves. Its member functions are compiled for every x86-64
// processor, so that the files with wider instruction sets need no library code of their own.
class FormSink {
 public:
  // Registers every expansion of the joined pieces: "add{,.rn}.{s32,u32}" stands for four names. A
  // name that begins with `$` is internal: found by decoders, absent from the coverage list. Throws
  // std::logic_error where a name occurs twice.
  void add(std::initializer_list<const char*> pieces, const char* operands, Handler handler);
  void add(const char* pattern, const char* operands, Handler handler) {
    add({pattern}, operands, handler);
  }

  std::unordered_map<std::string, Form> forms;
  std::vector<std::string> patterns;  // in order of registration
};

// The forms of the instruction set in use: avx512 where the processor has it and PTX_EMULATOR_ISA
// is not "avx2". Throws std::runtime_error where the processor lacks AVX2, FMA or F16C.
const FormSink& forms();
// "avx512" or "avx2".
std::string_view isa_name();

// The form of this name; throws UnsupportedInstruction where there is none.
const Form& form(const std::string& name);
inline Handler handler(const std::string& name) {
  return form(name).handler;
}

// Decodes the current instruction by its full name. Throws UnsupportedInstruction.
void decode_form(Assembler& assembler);
// The same under another name, for instructions that mean what another says.
void decode_as(Assembler& assembler, const std::string& name);

// Whether `name` begins with the opcode `opcode`.
bool is_of_opcode(std::string_view name, std::string_view opcode);

}  // namespace ptx_emulator::lanes
