#pragma once
// What the decoders of the op families see of the function that is being decoded: operands to
// places, ops to code.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tests/ptx_emulator/machine/op.h"
#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator {

// Thrown by a decoder that does not know a form. The op is replaced by one that faults when
// executed.
struct UnsupportedInstruction {
  std::string why;
};

class Assembler {
 public:
  virtual ~Assembler() = default;

  const ptx::Instruction& instruction() const { return *instruction_; }
  std::size_t num_operands() const { return instruction_->operands.size(); }
  const ptx::Operand& operand(std::size_t i) const;  // throws UnsupportedInstruction where absent

  // Where an operand is read: the register's slot, or a broadcast of the immediate converted to
  // `type` (an integer immediate truncated to its bits; a float immediate of 32 or 64 bits as
  // written), or the address of a symbol, or a special register (materialised by an extra op).
  // `type` gives the lane's width. For kPred: a word; `!p` is materialised.
  virtual Place source(const ptx::Operand& operand, ptx::Type type) = 0;
  Place source(std::size_t i, ptx::Type type) { return source(operand(i), type); }
  // Where a result is written. `_` gives a scratch slot.
  virtual Place destination(const ptx::Operand& operand, ptx::Type type) = 0;
  Place destination(std::size_t i, ptx::Type type) { return destination(operand(i), type); }
  // A scratch slot that lives until the end of this PTX instruction.
  virtual Place temporary(ptx::Type type) = 0;
  // The carry flag of add.cc, addc, madc and the like: a predicate word that lives as long as the
  // call frame. It is no register of the program; every use in one function gives the same word.
  virtual Place carry() { unsupported("no carry flag"); }
  // Bits of the register that an operand names (1 for a predicate), which cvt allows to be wider
  // than its type; 0 for immediates, symbols, special registers and `_`.
  virtual std::uint32_t register_bits(const ptx::Operand& /*operand*/) { return 0; }
  // A broadcast constant.
  virtual Place constant(std::uint64_t bits, ptx::Type type) = 0;
  // The integer of an immediate operand; throws UnsupportedInstruction where it is none.
  std::int64_t integer(std::size_t i) const;

  // Base register and byte offset of an address operand, as the 64-bit (or, of shared memory,
  // 32-bit) place that holds the base and the number to add. A symbol gives a constant base.
  struct Address {
    Place base;
    bool is_32_bits = false;
    std::int64_t offset = 0;
  };
  virtual Address address(const ptx::Operand& operand, bool shared_space) = 0;

  // Appends an op for the current instruction, with its guard filled in. The reference holds until
  // the next emit.
  virtual Op& emit(Handler handler) = 0;
  // Keeps a handler's record alive as long as the code; for Op::extra.
  template <typename T>
  const T* keep(T record) {
    auto owned = std::make_shared<const T>(std::move(record));
    const T* pointer = owned.get();
    keep_alive(std::move(owned));
    return pointer;
  }

  [[noreturn]] static void unsupported(std::string why) {
    throw UnsupportedInstruction{std::move(why)};
  }

 protected:
  virtual void keep_alive(std::shared_ptr<const void> record) = 0;
  const ptx::Instruction* instruction_ = nullptr;
};

// One opcode that a family decodes. `forms` is what the coverage list prints: one line for each
// supported form, such as "add{.sat}.s32" or "shfl.sync.{up,down,bfly,idx}.b32".
struct OpcodeEntry {
  std::string_view opcode;
  void (*decode)(Assembler&);
  std::string_view forms;
};

// The families. An opcode stands in one of them only.
std::span<const OpcodeEntry>
control_opcodes();  // bra, call, ret, exit, bar, barrier, trap, ...   (simt)
std::span<const OpcodeEntry>
memory_opcodes();  // ld, st, atom, red, prefetch, isspacep, cvta, mapa, ...
std::span<const OpcodeEntry>
integer_opcodes();  // add ... of integer types, logic, shifts, video, dp4a, ...
std::span<const OpcodeEntry> float_opcodes();  // those only of floating types: fma, ex2, rcp, ...
std::span<const OpcodeEntry>
mixed_opcodes();  // add, sub, mul, min, max, abs, neg, setp, selp, cvt, mov, ...
std::span<const OpcodeEntry> warp_opcodes();    // shfl, vote, match, redux, activemask, elect
std::span<const OpcodeEntry> tensor_opcodes();  // mma, ldmatrix, stmatrix, movmatrix, wmma, wgmma
std::span<const OpcodeEntry>
async_opcodes();  // cp, mbarrier, cluster transactions, tensormap, griddepcontrol

}  // namespace ptx_emulator
