// atom and red.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "tests/ptx_emulator/machine/atomic_values.h"
#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/function_decoder.h"
#include "tests/ptx_emulator/machine/lane_memory.h"
#include "tests/ptx_emulator/machine/memory_families.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"

namespace ptx_emulator {
namespace {

struct AtomicRecord {
  AccessForm form;
  AtomicFunction function = nullptr;  // nullptr: 128 bits, exch or cas
  std::uint32_t count = 1;            // vector elements
  std::uint32_t element_bytes = 4;
  std::uint32_t lane_bytes = 4;
  Place results[8], operands[8], swaps;
  bool has_result = true, has_swap = false;
  bool is_f32_add = false;
  bool address_32 = false;
  bool acquires = false, releases = false;
  std::int64_t offset = 0;
};

std::uint64_t lane_value(const Warp& warp, Place place, std::uint32_t lane,
                         std::uint32_t lane_bytes) {
  return lane_bytes == 4 ? read<std::uint32_t>(warp, place)[lane]
                         : read<std::uint64_t>(warp, place)[lane];
}

void take_addresses(const Warp& warp, const Op* op, const AtomicRecord& record,
                    std::uint64_t* addresses) {
  for (std::uint32_t i = 0; i < kWarpLanes; ++i) {
    addresses[i] =
        record.address_32
            ? read<std::uint32_t>(warp, op->a)[i] + static_cast<std::uint32_t>(record.offset)
            : read<std::uint64_t>(warp, op->a)[i] + static_cast<std::uint64_t>(record.offset);
  }
}

void update_wide(const Warp& warp, const AtomicRecord& record, std::uint32_t lane, std::byte* at) {
  Wide operand, swap;
  std::memcpy(&operand, read<std::byte>(warp, record.operands[0]) + lane * 16, 16);
  Wide old;
  if (record.has_swap) {
    std::memcpy(&swap, read<std::byte>(warp, record.swaps) + lane * 16, 16);
    old = compare_exchange_wide(at, operand, swap);
  } else {
    old = exchange_wide(at, operand);
  }
  if (record.has_result)
    std::memcpy(write<std::byte>(warp, record.results[0]) + lane * 16, &old, 16);
}

void update(const Warp& warp, const AtomicRecord& record, std::uint32_t lane, std::byte* at,
            bool flush) {
  if (record.function == nullptr) return update_wide(warp, record, lane, at);
  for (std::uint32_t e = 0; e < record.count; ++e) {
    const std::uint64_t operand = lane_value(warp, record.operands[e], lane, record.lane_bytes);
    const std::uint64_t swap =
        record.has_swap ? lane_value(warp, record.swaps, lane, record.lane_bytes) : 0;
    const std::uint64_t old =
        record.function(at + std::size_t{e} * record.element_bytes, operand, swap, flush);
    if (!record.has_result) continue;
    if (record.lane_bytes == 4) {
      write<std::uint32_t>(warp, record.results[e])[lane] = static_cast<std::uint32_t>(old);
    } else {
      write<std::uint64_t>(warp, record.results[e])[lane] = old;
    }
  }
}

const Op* execute_atomic(Warp& warp, const Op* op) {
  const auto& record = *static_cast<const AtomicRecord*>(op->extra);
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  warp.polled = warp.polled || record.has_result;
  std::uint64_t addresses[kWarpLanes];
  std::byte* pointers[kWarpLanes];
  take_addresses(warp, op, record, addresses);
  resolve(warp, op, record.form, lanes, addresses, pointers);
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    std::uint64_t address = addresses[lane];
    AccessSpace space = record.form.space;
    if (space == AccessSpace::kGeneric) space = sort_generic(address);
    if (warp.block->observer != nullptr) {
      warp.block->observer->synchronise(warp, op, address, space, true, true, record.acquires,
                                        record.releases);
    }
    // Two registers that are the same, and a destination that is an operand: lanes are done one by
    // one, reads first.
    update(warp, record, lane, pointers[lane], record.is_f32_add && space == AccessSpace::kGlobal);
  }
  return op + 1;
}

bool is_accepted(const std::string& word) {
  static constexpr std::array<std::string_view, 12> kWords = {
      "relaxed", "acquire", "release", "acq_rel", "cta",    "gpu",
      "sys",     "cluster", "noftz",   "weak",    "global", "uni"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end() || word.starts_with("L2::");
}

bool is_operation(const std::string& word) {
  static constexpr std::array<std::string_view, 10> kWords = {"add", "min", "max", "inc",  "dec",
                                                              "and", "or",  "xor", "exch", "cas"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

ptx::Type register_type(ptx::Type type) {
  const std::uint32_t bits = ptx::bits_of(type);
  return bits == 16   ? ptx::Type::kB16
         : bits == 32 ? ptx::Type::kB32
         : bits == 64 ? ptx::Type::kB64
                      : ptx::Type::kB128;
}

std::string read_words(const ptx::Instruction& instruction, AtomicRecord& record, ptx::Type& type) {
  std::string operation;
  for (const std::string& word : instruction.modifiers) {
    if (word == "global") {
      record.form.space = AccessSpace::kGlobal;
    } else if (word == "shared" || word == "shared::cta" || word == "shared::cluster") {
      record.form.space = AccessSpace::kShared;
      record.form.cluster = word == "shared::cluster";
    } else if (word == "v2" || word == "v4" || word == "v8") {
      record.count = static_cast<std::uint32_t>(word[1] - '0');
    } else if (is_operation(word)) {
      operation = word;
    } else if (const auto named = ptx::type_named(word)) {
      type = *named;
    } else if (!is_accepted(word)) {
      Assembler::unsupported("the modifier ." + word);
    }
  }
  return operation;
}

void take_parts(Assembler& assembler, const ptx::Operand& operand, ptx::Type type,
                std::uint32_t count, bool results, Place* places) {
  const bool is_vector = operand.kind == ptx::Operand::Kind::kVector;
  if ((is_vector ? operand.parts.size() : 1) != count)
    Assembler::unsupported("as many registers as elements");
  for (std::uint32_t i = 0; i < count; ++i) {
    const ptx::Operand& part = is_vector ? operand.parts[i] : operand;
    places[i] = results ? assembler.destination(part, type) : assembler.source(part, type);
  }
}

void decode(Assembler& assembler, bool has_result) {
  const ptx::Instruction& instruction = assembler.instruction();
  AtomicRecord record;
  ptx::Type type = ptx::Type::kNone;
  const std::string operation = read_words(instruction, record, type);
  const std::uint32_t bits = ptx::bits_of(type);
  record.function = atomic_function(operation, type);
  const bool wide = type == ptx::Type::kB128 && (operation == "exch" || operation == "cas");
  if (record.function == nullptr && !wide) Assembler::unsupported("the operation on this type");
  record.has_result = has_result;
  record.has_swap = operation == "cas";
  record.is_f32_add = operation == "add" && type == ptx::Type::kF32;
  record.element_bytes = bits / 8;
  record.lane_bytes = slot_bytes(bits) / kWarpLanes;
  record.form.kind = AccessKind::kAtomic;
  record.form.bytes = record.count * record.element_bytes;
  record.form.alignment = record.form.bytes;
  record.form.volatile_or_strong = true;
  if (!std::has_single_bit(record.form.bytes) || record.form.bytes > 32)
    Assembler::unsupported("such a vector");
  record.acquires = instruction.has("acquire") || instruction.has("acq_rel");
  record.releases = instruction.has("release") || instruction.has("acq_rel");
  const ptx::Type lanes = register_type(type);
  std::size_t at = 0;
  if (has_result)
    take_parts(assembler, assembler.operand(at++), lanes, record.count, true, record.results);
  const Assembler::Address address =
      assembler.address(assembler.operand(at++), record.form.space == AccessSpace::kShared);
  take_parts(assembler, assembler.operand(at++), lanes, record.count, false, record.operands);
  if (record.has_swap) record.swaps = assembler.source(at, lanes);
  record.address_32 = address.is_32_bits;
  record.offset = address.offset;
  const auto* kept = assembler.keep(record);
  Op& op = assembler.emit(execute_atomic);
  op.a = address.base;
  op.extra = kept;
}

}  // namespace

void decode_atom(Assembler& assembler) {
  decode(assembler, true);
}
void decode_red(Assembler& assembler) {
  if (assembler.instruction().has("async")) return tensor::decode_red_async(assembler);
  decode(assembler, false);
}

}  // namespace ptx_emulator
