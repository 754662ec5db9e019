#pragma once
// Decodes one function: the concrete Assembler.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/ptx_emulator/machine/assembler.h"
#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/machine/control_flow.h"
#include "tests/ptx_emulator/machine/program_layout.h"
#include "tests/ptx_emulator/machine/registers.h"

namespace ptx_emulator {

// Where a name is, for the decoders of memory and calls.
struct ResolvedSymbol {
  enum class Kind : std::uint8_t {
    kAddress,        // value: of global or constant memory, or of a function
    kShared,         // value: offset in the block's shared memory
    kDynamicShared,  // of a function that several kernels call: the launch knows
    kLocal,          // value: offset in the call's local memory
    kParameter,      // value: offset in the launch's parameters
  };
  Kind kind = Kind::kAddress;
  std::uint64_t value = 0;
  std::uint64_t bytes = 0;  // 0: unknown
};

class FunctionDecoder final : public Assembler {
 public:
  // `code` is filled in; its address must stay. `codes`: of all functions of the module, by their
  // number.
  FunctionDecoder(const ptx::Module& module, const ptx::Function& function,
                  const ProgramLayout& layout, Code& code,
                  const std::vector<std::unique_ptr<Code>>& codes);

  // What callers must know before any function is decoded: formals, local memory, parameters.
  void lay_out();
  // Decodes the body. A form that no family knows becomes an op that faults by name when executed.
  void decode();

  using Assembler::destination;
  using Assembler::source;
  Place source(const ptx::Operand& operand, ptx::Type type) override;
  Place destination(const ptx::Operand& operand, ptx::Type type) override;
  Place temporary(ptx::Type type) override;
  Place carry() override;
  std::uint32_t register_bits(const ptx::Operand& operand) override;
  Place constant(std::uint64_t bits, ptx::Type type) override;
  Address address(const ptx::Operand& operand, bool shared_space) override;
  Op& emit(Handler handler) override;

  // For the families of memory and control flow.
  ResolvedSymbol symbol(const std::string& name) const;
  const ptx::Function& function() const { return function_; }
  const RegisterSlot& slot(const std::string& register_name) const;
  // A branch to `label` whose distance in ops is put into Op::small, and into Op::d.offset that of
  // the join op where its lanes meet again (0: none).
  void emit_branch(Handler handler, const std::string& label);
  // Distance from the op with this number to the first op of a label, filled in when all is
  // decoded; in kept records.
  void later(std::size_t op, const std::string& label, std::int32_t* distance);
  void later_join(std::size_t op, std::int32_t* distance);
  std::size_t num_ops() const { return code_.ops.size(); }
  // A join op where the lanes of a call meet.
  void emit_join();
  const Code& code_of(
      const std::string& function_name) const;  // throws UnsupportedInstruction where there is none
  bool has_body(const std::string& function_name) const;
  Code& code() { return code_; }
  // An op that is executed by all active lanes, whatever the guard.
  Op& emit_unguarded(Handler handler);

 protected:
  void keep_alive(std::shared_ptr<const void> record) override;

 private:
  void decode_instruction(std::uint32_t index);
  bool decode_special_move();
  void find_joins();
  void patch();
  void write_constants();
  Place materialise_local(std::uint64_t offset, bool is_32_bits);
  Place symbol_value(const std::string& name, std::int64_t offset, ptx::Type type);
  void lay_out_parameters();
  void lay_out_locals();

  const ptx::Module& module_;
  const ptx::Function& function_;
  const ProgramLayout& layout_;
  Code& code_;
  const std::vector<std::unique_ptr<Code>>& codes_;
  ControlFlow flow_;
  RegisterFrame frame_;
  std::unordered_map<std::string, ResolvedSymbol> own_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::int32_t>
      constants_;  // (bits, bytes of the slot) to offset
  std::uint32_t constant_bytes_ = 0;
  std::uint32_t temporary_bytes_ = 0, most_temporary_bytes_ = 0;
  std::uint32_t index_ = 0;
  std::vector<bool> is_join_;  // by instruction: a join op stands before it
  std::vector<std::int32_t>
      join_of_;  // by instruction: the instruction where its ways meet; -1: none
  std::vector<std::size_t> first_op_;  // by instruction, one past the last included
  struct Fixup {
    std::size_t op;
    std::uint32_t instruction;  // whose first op is meant
    std::int32_t* distance;     // nullptr: into the op itself
    bool join;
  };
  std::vector<Fixup> fixups_;
};

// The handlers that the decoder itself emits.
const Op* execute_unsupported(Warp& warp, const Op* op);  // extra: const std::string*, the reason
const Op* execute_not(Warp& warp, const Op* op);          // d = !a, predicates
const Op* execute_local_address(Warp& warp,
                                const Op* op);  // d = local offset of the call + *extra (64 bits)
const Op* execute_local_address_32(Warp& warp, const Op* op);
const Op* execute_dynamic_shared(
    Warp& warp, const Op* op);  // d = begin of dynamic shared memory + small (32 bits)
const Op* execute_dynamic_shared_64(Warp& warp, const Op* op);

// machine/special_registers.cpp: emits what reads a special register into `place`. Throws
// UnsupportedInstruction.
void emit_special_register(FunctionDecoder& decoder, const std::string& name, Place place,
                           ptx::Type type);

}  // namespace ptx_emulator
