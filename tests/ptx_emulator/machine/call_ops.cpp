// Calls: a new frame of registers and of local memory, arguments copied into it.

#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/builtins.h"
#include "tests/ptx_emulator/machine/control_families.h"
#include "tests/ptx_emulator/machine/function_decoder.h"
#include "tests/ptx_emulator/machine/simt.h"
#include "tests/ptx_emulator/machine/text.h"

namespace ptx_emulator {
namespace {

// One argument or result on the caller's side.
struct Actual {
  bool in_register = false;
  Place place;               // of a register or immediate
  std::uint32_t offset = 0;  // of a variable in the call's local memory
  std::uint32_t bytes = 0;
};

struct CallRecord {
  const Code* callee = nullptr;  // nullptr: the pointer at Op::a says
  Builtin builtin = nullptr;
  BuiltinCall builtin_call;
  std::vector<Actual> arguments, results;
};

[[noreturn]] void mismatched(const Code& callee, const char* what) {
  throw DeviceFault(FaultKind::kInvalidOperand, std::string("the call and the function ") +
                                                    callee.name + " disagree about its " + what);
}

std::byte* local_of(const Warp& warp, std::uint32_t lane, std::uint64_t offset) {
  return warp.local + lane * warp.block->grid->local_bytes + offset;
}

void copy_local(const Warp& warp, std::uint32_t lanes, std::uint64_t to, std::uint64_t from,
                std::uint32_t bytes) {
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    std::memcpy(local_of(warp, lane, to), local_of(warp, lane, from), bytes);
  }
}

void copy_lanes(std::uint32_t lanes, std::byte* to, const std::byte* from,
                std::uint32_t lane_bytes) {
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto offset = static_cast<std::uint32_t>(std::countr_zero(rest)) * lane_bytes;
    std::memcpy(to + offset, from + offset, lane_bytes);
  }
}

void check_stack(const Warp& warp, const Code& caller, const Code& callee, const std::byte* frame) {
  const Grid& grid = *warp.block->grid;
  const auto used = static_cast<std::uint64_t>(frame - warp.registers);
  if (used + callee.frame_bytes > grid.register_bytes ||
      warp.local_offset + caller.local_bytes + callee.local_bytes > grid.local_bytes) {
    throw DeviceFault(FaultKind::kStackOverflow,
                      "the call of " + callee.name + " at depth " +
                          std::to_string(warp.splits[warp.current].call_depth + 1) +
                          " exceeds the stack of " + std::to_string(grid.local_bytes) +
                          " bytes a thread");
  }
}

const Op* enter(Warp& warp, const Op* op, const CallRecord& record, const Code& callee) {
  const Code& caller = *warp.splits[warp.current].code;
  if (record.arguments.size() != callee.formals.size()) mismatched(callee, "parameters");
  if (callee.ops.empty()) {
    throw DeviceFault(FaultKind::kUnknownInstruction,
                      "call of " + callee.name + ", which has no body");
  }
  std::byte* callee_frame = next_frame(warp);
  check_stack(warp, caller, callee, callee_frame);
  const std::uint64_t callee_local = warp.local_offset + caller.local_bytes;
  for (std::size_t i = 0; i < record.arguments.size(); ++i) {
    const Actual& actual = record.arguments[i];
    const Code::Formal& formal = callee.formals[i];
    if (actual.in_register != formal.in_register || actual.bytes != formal.bytes)
      mismatched(callee, "parameters");
    if (actual.in_register) {
      copy_lanes(warp.active, callee_frame + formal.offset,
                 warp.bases[static_cast<std::uint32_t>(actual.place.base)] + actual.place.offset,
                 formal.bytes);
    } else {
      copy_local(warp, warp.active, callee_local + formal.offset, warp.local_offset + actual.offset,
                 formal.bytes);
    }
  }
  enter_call(warp, op + 1, callee, callee_frame);
  return callee.ops.data();
}

// The lanes whose guard does not hold go on behind the call, where the others will join them.
const Op* divide(Warp& warp, const Op* op, std::uint32_t lanes) {
  const Way ways[2] = {{lanes, op}, {warp.active & ~lanes, op + 1}};
  return diverge(warp, ways, 2, op + 1);
}

const Op* call(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  if (lanes != warp.active) return divide(warp, op, lanes);
  const auto& record = *static_cast<const CallRecord*>(op->extra);
  return enter(warp, op, record, *record.callee);
}

const Op* call_pointer(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  if (lanes != warp.active) return divide(warp, op, lanes);
  const std::uint64_t* target = read<std::uint64_t>(warp, op->a);
  const auto first = static_cast<std::uint32_t>(std::countr_zero(lanes));
  std::uint32_t same = 0;
  for (std::uint32_t i = 0; i < kWarpLanes; ++i)
    same |= static_cast<std::uint32_t>(target[i] == target[first]) << i;
  same &= lanes;
  if (same != lanes) {
    const Way ways[2] = {{same, op}, {lanes & ~same, op}};
    return diverge(warp, ways, 2, op + 1);
  }
  const Code* callee = warp.block->grid->launch->program->function_at(target[first]);
  if (callee == nullptr) {
    throw DeviceFault(
        FaultKind::kInvalidOperand,
        "call of " + hexadecimal(target[first]) + ", which is no function of this program", first);
  }
  const auto& record = *static_cast<const CallRecord*>(op->extra);
  if (record.results.size() != callee->results.size()) mismatched(*callee, "results");
  return enter(warp, op, record, *callee);
}

// Behind the join of a call: results from what was the callee's frame.
const Op* take_results(Warp& warp, const Op* op) {
  const auto& record = *static_cast<const CallRecord*>(op->extra);
  const std::uint32_t lanes = lanes_of(warp, op);
  const Code& caller = *warp.splits[warp.current].code;
  for (std::size_t i = 0; i < record.results.size(); ++i) {
    const Actual& actual = record.results[i];
    // A pointer's callee has its one result at the begin of its local memory, as every function
    // has.
    const std::uint32_t offset = record.callee == nullptr ? 0 : record.callee->results[i].offset;
    if (actual.in_register) {
      copy_lanes(lanes, warp.bases[0] + actual.place.offset, warp.returned_frame + offset,
                 actual.bytes);
    } else {
      copy_local(warp, lanes, warp.local_offset + actual.offset,
                 warp.local_offset + caller.local_bytes + offset, actual.bytes);
    }
  }
  return op + 1;
}

const Op* call_builtin(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  const auto& record = *static_cast<const CallRecord*>(op->extra);
  if (lanes != 0) record.builtin(warp, op, lanes, record.builtin_call);
  return op + 1;
}

std::vector<Actual> actuals(FunctionDecoder& decoder, const ptx::Operand& list, bool results) {
  std::vector<Actual> all;
  for (const ptx::Operand& part : list.parts) {
    Actual actual;
    if (part.kind == ptx::Operand::Kind::kSymbol) {
      const ResolvedSymbol at = decoder.symbol(part.name);
      if (at.kind != ResolvedSymbol::Kind::kLocal)
        Assembler::unsupported(part.name + " is no parameter variable");
      actual.offset = static_cast<std::uint32_t>(at.value);
      actual.bytes = static_cast<std::uint32_t>(at.bytes);
    } else {
      const std::uint32_t bits = decoder.register_bits(part);
      if (bits == 0)
        Assembler::unsupported("an argument that is neither a variable nor a register");
      const ptx::Type type = bits == 1    ? ptx::Type::kPred
                             : bits <= 32 ? ptx::Type::kB32
                             : bits <= 64 ? ptx::Type::kB64
                                          : ptx::Type::kB128;
      if (bits == 1) Assembler::unsupported("a predicate as an argument");
      actual.in_register = true;
      actual.place = results ? decoder.destination(part, type) : decoder.source(part, type);
      actual.bytes = slot_bytes(bits) / kWarpLanes;
    }
    all.push_back(actual);
  }
  return all;
}

void fill_builtin(CallRecord& record, const std::string& name) {
  record.builtin = find_builtin(name);
  if (record.builtin == nullptr) {
    Assembler::unsupported("the function " + name +
                           " has no body and the machine does not provide it");
  }
  for (const Actual& actual : record.arguments) {
    if (actual.in_register) Assembler::unsupported("register arguments of " + name);
    record.builtin_call.arguments.push_back({actual.offset, actual.bytes});
  }
  for (const Actual& actual : record.results) {
    if (actual.in_register) Assembler::unsupported("a register result of " + name);
    record.builtin_call.results.push_back({actual.offset, actual.bytes});
  }
  if (record.builtin_call.arguments.size() != num_arguments(record.builtin)) {
    Assembler::unsupported("wrong number of arguments of " + name);
  }
}

}  // namespace

void decode_call(Assembler& assembler) {
  auto& decoder = static_cast<FunctionDecoder&>(assembler);
  const auto& operands = assembler.instruction().operands;
  std::size_t at = 0;
  CallRecord record;
  if (assembler.operand(0).kind == ptx::Operand::Kind::kList)
    record.results = actuals(decoder, operands[at++], true);
  for (const Actual& result : record.results) {
    // Lanes that do not call would meet the others too late to find the registers of the function.
    if (result.in_register && !assembler.instruction().guard.empty()) {
      Assembler::unsupported("a guarded call with a result in a register");
    }
  }
  const ptx::Operand& callee = assembler.operand(at++);
  if (at < operands.size() && operands[at].kind == ptx::Operand::Kind::kList) {
    record.arguments = actuals(decoder, operands[at], false);
  }
  if (callee.kind == ptx::Operand::Kind::kSymbol) {
    if (!decoder.has_body(callee.name)) {
      fill_builtin(record, callee.name);
      const auto* kept = assembler.keep(std::move(record));
      assembler.emit(call_builtin).extra = kept;
      return;
    }
    record.callee = &decoder.code_of(callee.name);
    if (record.results.size() != record.callee->results.size())
      Assembler::unsupported("wrong number of results");
    const auto* kept = assembler.keep(std::move(record));
    assembler.emit(call).extra = kept;
    decoder.emit_join();
    if (!kept->results.empty()) assembler.emit(take_results).extra = kept;
    return;
  }
  if (callee.kind != ptx::Operand::Kind::kRegister)
    Assembler::unsupported("a callee of an unknown kind");
  if (record.results.size() > 1 || (record.results.size() == 1 && record.results[0].in_register)) {
    Assembler::unsupported("a call by pointer with such results");
  }
  const Place pointer = assembler.source(callee, ptx::Type::kB64);
  const auto* kept = assembler.keep(std::move(record));
  Op& op = assembler.emit(call_pointer);
  op.a = pointer;
  op.extra = kept;
  decoder.emit_join();
  if (!kept->results.empty()) assembler.emit(take_results).extra = kept;
}

}  // namespace ptx_emulator
