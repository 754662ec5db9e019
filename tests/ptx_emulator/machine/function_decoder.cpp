#include "tests/ptx_emulator/machine/function_decoder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/simt.h"

namespace ptx_emulator {
namespace {

// Bytes of a lane's storage of a type, 32 lanes together; a predicate's is a word.
std::uint32_t storage_bytes(ptx::Type type) {
  const std::uint32_t bits = ptx::bits_of(type);
  if (bits == 0 || bits > 128)
    Assembler::unsupported("a register of type " + std::string(ptx::name_of(type)));
  return slot_bytes(bits);
}

std::uint64_t immediate_bits(const ptx::Operand& operand, ptx::Type type) {
  const auto value = static_cast<std::uint64_t>(operand.value);
  const bool is_f64 = type == ptx::Type::kF64;
  if (operand.kind == ptx::Operand::Kind::kFloat64 &&
      (type == ptx::Type::kF32 || type == ptx::Type::kTf32)) {
    return std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(value)));
  }
  if (operand.kind == ptx::Operand::Kind::kFloat32 && is_f64) {
    return std::bit_cast<std::uint64_t>(
        static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value))));
  }
  return value;
}

const OpcodeEntry* find_opcode(const std::string& opcode) {
  static const std::unordered_map<std::string_view, const OpcodeEntry*> all = [] {
    std::unordered_map<std::string_view, const OpcodeEntry*> result;
    for (const auto family :
         {control_opcodes(), memory_opcodes(), integer_opcodes(), float_opcodes(), mixed_opcodes(),
          warp_opcodes(), tensor_opcodes(), async_opcodes()}) {
      for (const OpcodeEntry& entry : family) result.emplace(entry.opcode, &entry);
    }
    return result;
  }();
  const auto found = all.find(opcode);
  return found == all.end() ? nullptr : found->second;
}

std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

FunctionDecoder::FunctionDecoder(const ptx::Module& module, const ptx::Function& function,
                                 const ProgramLayout& layout, Code& code,
                                 const std::vector<std::unique_ptr<Code>>& codes)
    : module_(module), function_(function), layout_(layout), code_(code), codes_(codes) {}

void FunctionDecoder::find_joins() {
  const std::size_t count = function_.instructions.size();
  is_join_.assign(count + 1, false);
  join_of_.assign(count, -1);
  for (const BasicBlock& block : flow_.blocks) {
    if (block.successors.empty() || block.post_dominator == kNoBlock) continue;
    const std::uint32_t at = flow_.blocks[block.post_dominator].first;
    const ptx::Instruction& first = function_.instructions[at];
    // Lanes that branch to a shared end leave at once: others may wait for them at a barrier.
    if ((first.opcode == "ret" || first.opcode == "exit") && first.guard.empty()) continue;
    const ptx::Instruction& branch = function_.instructions[block.last - 1];
    if (branch.opcode != "brx" && (branch.opcode != "bra" || branch.guard.empty())) continue;
    is_join_[at] = true;
    join_of_[block.last - 1] = static_cast<std::int32_t>(at);
  }
}

void FunctionDecoder::decode() {
  find_joins();
  const auto count = static_cast<std::uint32_t>(function_.instructions.size());
  for (std::uint32_t i = 0; i < count; ++i) {
    first_op_.push_back(code_.ops.size());
    decode_instruction(i);
  }
  first_op_.push_back(code_.ops.size());
  // A body that ends without ret returns.
  ptx::Instruction end;
  end.opcode = "ret";
  if (count > 0) end.location = function_.instructions.back().location;
  instruction_ = &end;
  index_ = count == 0 ? 0 : count - 1;
  find_opcode("ret")->decode(*this);
  patch();
  write_constants();
  const auto is_product = [](const ptx::Instruction& i) { return i.opcode == "wgmma"; };
  if (std::any_of(function_.instructions.begin(), function_.instructions.end(), is_product)) {
    for (const ptx::Instruction& instruction : function_.instructions)
      code_.reads.push_back(registers_read(instruction, frame_));
  }
  code_.frame_bytes =
      static_cast<std::uint32_t>(align_up(frame_.bytes + most_temporary_bytes_, 64));
  instruction_ = nullptr;
}

// mov of a special register, straight into its destination.
bool FunctionDecoder::decode_special_move() {
  using Kind = ptx::Operand::Kind;
  const std::vector<ptx::Operand>& operands = instruction_->operands;
  if (instruction_->opcode != "mov" || !instruction_->guard.empty() || operands.size() != 2 ||
      operands[0].kind != Kind::kRegister || operands[1].kind != Kind::kSpecial ||
      operands[0].name.empty() || instruction_->modifiers.size() != 1)
    return false;
  const auto type = ptx::type_named(instruction_->modifiers[0]);
  if (!type || (ptx::bits_of(*type) != 32 && ptx::bits_of(*type) != 64)) return false;
  emit_special_register(*this, operands[1].name, destination(operands[0], *type), *type);
  return true;
}

void FunctionDecoder::decode_instruction(std::uint32_t index) {
  index_ = index;
  instruction_ = &function_.instructions[index];
  temporary_bytes_ = 0;
  if (is_join_[index]) emit_join();
  const std::size_t ops = code_.ops.size();
  const std::size_t num_fixups = fixups_.size();
  try {
    const OpcodeEntry* entry = find_opcode(instruction_->opcode);
    if (entry == nullptr) unsupported("unknown instruction");
    if (!decode_special_move()) entry->decode(*this);
  } catch (const UnsupportedInstruction& reason) {
    code_.ops.resize(ops);
    code_.op_lines.resize(ops);
    fixups_.resize(num_fixups);
    code_.unsupported.push_back("line " + std::to_string(instruction_->location.line) + ": " +
                                instruction_->full_name() + ": " + reason.why);
    Op& op = emit(execute_unsupported);
    op.extra = keep(reason.why);
  }
}

// Constants are written when all are known: where they begin depends on where their storage ends
// up.
void FunctionDecoder::write_constants() {
  code_.constants.assign(constant_bytes_ + 64, std::byte{0});
  for (const auto& [key, offset] : constants_) {
    std::byte* at = code_.constants_base() + offset;
    const auto [bits, bytes] = key;
    const std::uint32_t lane_bytes = bytes / kWarpLanes;
    if (lane_bytes == 0) {
      std::memcpy(at, &bits, bytes);
      continue;
    }
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      std::memcpy(at + lane * lane_bytes, &bits, std::min(lane_bytes, 8u));
    }
  }
}

void FunctionDecoder::patch() {
  for (const Fixup& fixup : fixups_) {
    const auto distance =
        static_cast<std::int32_t>(static_cast<std::int64_t>(first_op_[fixup.instruction]) -
                                  static_cast<std::int64_t>(fixup.op));
    if (fixup.distance != nullptr) {
      *fixup.distance = distance;
    } else if (fixup.join) {
      code_.ops[fixup.op].d.offset = distance;
    } else {
      code_.ops[fixup.op].small = static_cast<std::uint32_t>(distance);
    }
  }
}

const RegisterSlot& FunctionDecoder::slot(const std::string& register_name) const {
  const auto found = frame_.slots.find(register_name);
  if (found == frame_.slots.end())
    throw UnsupportedInstruction{"register " + register_name + " is not declared"};
  return found->second;
}

std::uint32_t FunctionDecoder::register_bits(const ptx::Operand& operand) {
  if (operand.kind != ptx::Operand::Kind::kRegister || operand.name.empty()) return 0;
  return slot(operand.name).bits;
}

Place FunctionDecoder::source(const ptx::Operand& operand, ptx::Type type) {
  using Kind = ptx::Operand::Kind;
  switch (operand.kind) {
    case Kind::kRegister: {
      if (operand.name.empty()) unsupported("`_` is no value");
      const RegisterSlot& at = slot(operand.name);
      if (slot_bytes(at.bits) != storage_bytes(type)) {
        unsupported(operand.name + " has " + std::to_string(at.bits) +
                    " bits, the instruction reads " + std::string(ptx::name_of(type)));
      }
      return {at.offset, Base::kRegisters};
    }
    case Kind::kInteger:
    case Kind::kFloat32:
    case Kind::kFloat64:
      return constant(immediate_bits(operand, type), type);
    case Kind::kSpecial: {
      const Place place = temporary(type);
      emit_special_register(*this, operand.name, place, type);
      return place;
    }
    case Kind::kSymbol:
      return symbol_value(operand.name, operand.value, type);
    case Kind::kNegated: {
      const Place from = source(operand.parts.at(0), ptx::Type::kPred);
      const Place place = temporary(ptx::Type::kPred);
      Op& op = emit_unguarded(execute_not);
      op.d = place;
      op.a = from;
      return place;
    }
    default:
      unsupported("an operand of a kind that it does not take");
  }
}

Place FunctionDecoder::symbol_value(const std::string& name, std::int64_t offset, ptx::Type type) {
  const ResolvedSymbol at = symbol(name);
  const std::uint64_t value = at.value + static_cast<std::uint64_t>(offset);
  const bool wide = storage_bytes(type) == 256;
  switch (at.kind) {
    case ResolvedSymbol::Kind::kLocal:
      if (function_.is_entry) return constant(value, type);
      return materialise_local(value, !wide);
    case ResolvedSymbol::Kind::kDynamicShared: {
      const Place place = temporary(wide ? ptx::Type::kB64 : ptx::Type::kB32);
      Op& op = emit_unguarded(wide ? execute_dynamic_shared_64 : execute_dynamic_shared);
      op.d = place;
      op.small = static_cast<std::uint32_t>(value);
      return place;
    }
    default:
      if (!wide && value >> 32 != 0)
        unsupported("the address of " + name + " does not fit in 32 bits");
      return constant(value, type);
  }
}

Place FunctionDecoder::materialise_local(std::uint64_t offset, bool is_32_bits) {
  const Place place = temporary(is_32_bits ? ptx::Type::kB32 : ptx::Type::kB64);
  const std::uint64_t* record = keep(offset);
  Op& op = emit_unguarded(is_32_bits ? execute_local_address_32 : execute_local_address);
  op.d = place;
  op.extra = record;
  return place;
}

Place FunctionDecoder::destination(const ptx::Operand& operand, ptx::Type type) {
  if (operand.kind != ptx::Operand::Kind::kRegister) unsupported("a result that is no register");
  if (operand.name.empty()) return temporary(type);
  const RegisterSlot& at = slot(operand.name);
  if (slot_bytes(at.bits) != storage_bytes(type)) {
    unsupported(operand.name + " has " + std::to_string(at.bits) +
                " bits, the instruction writes " + std::string(ptx::name_of(type)));
  }
  return {at.offset, Base::kRegisters};
}

Place FunctionDecoder::temporary(ptx::Type type) {
  // Every scratch slot begins a cache line, predicates' too.
  const std::uint32_t bytes = std::max(64u, storage_bytes(type));
  const Place place{static_cast<std::int32_t>(frame_.bytes + temporary_bytes_), Base::kRegisters};
  temporary_bytes_ += bytes;
  most_temporary_bytes_ = std::max(most_temporary_bytes_, temporary_bytes_);
  return place;
}

Place FunctionDecoder::carry() {
  return {static_cast<std::int32_t>(frame_.carry_offset), Base::kRegisters};
}

Place FunctionDecoder::constant(std::uint64_t bits, ptx::Type type) {
  const std::uint32_t bytes = storage_bytes(type);
  const std::uint32_t width = ptx::bits_of(type);
  if (type == ptx::Type::kPred) bits = bits != 0 ? 0xFFFFFFFFu : 0;
  if (width < 64 && type != ptx::Type::kPred) bits &= (std::uint64_t{1} << width) - 1;
  const auto [place, added] =
      constants_.try_emplace({bits, bytes}, static_cast<std::int32_t>(constant_bytes_));
  if (added) {
    constant_bytes_ += std::max(64u, bytes);
  }
  return {place->second, Base::kConstants};
}

Assembler::Address FunctionDecoder::address(const ptx::Operand& operand, bool shared_space) {
  if (operand.kind != ptx::Operand::Kind::kAddress && operand.kind != ptx::Operand::Kind::kSymbol) {
    unsupported("an operand that is no address");
  }
  if (operand.base_is_register) {
    const RegisterSlot& at = slot(operand.name);
    if (at.bits != 32 && at.bits != 64)
      unsupported("an address in a register of " + std::to_string(at.bits) + " bits");
    return {{at.offset, Base::kRegisters}, at.bits == 32, operand.value};
  }
  const ptx::Type type = shared_space ? ptx::Type::kB32 : ptx::Type::kB64;
  if (operand.name.empty())
    return {constant(static_cast<std::uint64_t>(operand.value), type), shared_space, 0};
  return {symbol_value(operand.name, operand.value, type), shared_space, 0};
}

ResolvedSymbol FunctionDecoder::symbol(const std::string& name) const {
  if (const auto own = own_.find(name); own != own_.end()) return own->second;
  const PlacedSymbol* placed = layout_.find(function_, name);
  if (placed == nullptr) throw UnsupportedInstruction{name + " is not declared"};
  switch (placed->kind) {
    case PlacedSymbol::Kind::kShared:
      return {ResolvedSymbol::Kind::kShared, placed->address, placed->bytes};
    case PlacedSymbol::Kind::kDynamicShared:
      return {ResolvedSymbol::Kind::kDynamicShared, 0, 0};
    default:
      return {ResolvedSymbol::Kind::kAddress, placed->address, placed->bytes};
  }
}

Op& FunctionDecoder::emit(Handler handler) {
  Op& op = emit_unguarded(handler);
  if (!instruction_->guard.empty()) {
    op.guard = slot(instruction_->guard).offset;
    op.guard_flip = instruction_->guard_negated ? 0xFFFFFFFFu : 0;
  }
  return op;
}

Op& FunctionDecoder::emit_unguarded(Handler handler) {
  Op& op = code_.ops.emplace_back();
  code_.op_lines.push_back(instruction_->location.line);
  op.execute = handler;
  op.instruction = index_;
  return op;
}

void FunctionDecoder::emit_branch(Handler handler, const std::string& label) {
  const std::size_t at = code_.ops.size();
  emit(handler);
  later(at, label, nullptr);
  later_join(at, nullptr);
}

void FunctionDecoder::later(std::size_t op, const std::string& label, std::int32_t* distance) {
  const auto found = flow_.labels.find(label);
  if (found == flow_.labels.end()) unsupported("there is no label " + label);
  fixups_.push_back({op, found->second, distance, false});
}

void FunctionDecoder::later_join(std::size_t op, std::int32_t* distance) {
  if (join_of_[index_] >= 0)
    fixups_.push_back({op, static_cast<std::uint32_t>(join_of_[index_]), distance, true});
}

void FunctionDecoder::emit_join() {
  emit_unguarded(join_lanes);
}

const Code& FunctionDecoder::code_of(const std::string& function_name) const {
  const PlacedSymbol* placed = layout_.find_global(function_name);
  if (placed == nullptr || placed->kind != PlacedSymbol::Kind::kFunction) {
    unsupported("there is no function " + function_name);
  }
  return *codes_[(placed->address - kFunctionWindow) / 16 - 1];
}

bool FunctionDecoder::has_body(const std::string& function_name) const {
  return !code_of(function_name).function->is_external;
}

void FunctionDecoder::keep_alive(std::shared_ptr<const void> record) {
  code_.records.push_back(std::move(record));
}

}  // namespace ptx_emulator
