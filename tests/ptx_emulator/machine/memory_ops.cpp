// ld and st: decoding, and the handlers that serve every form.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/function_decoder.h"
#include "tests/ptx_emulator/machine/lane_memory.h"
#include "tests/ptx_emulator/machine/memory_families.h"
#include "tests/ptx_emulator/machine/memory_record.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"

namespace ptx_emulator {
namespace {

void take_addresses(const Warp& warp, const Op* op, const MemoryRecord& record,
                    std::uint64_t* addresses) {
  if (record.address_32) {
    const std::uint32_t* base = read<std::uint32_t>(warp, op->a);
    const auto offset = static_cast<std::uint32_t>(record.offset);
    for (std::uint32_t i = 0; i < kWarpLanes; ++i) addresses[i] = base[i] + offset;
  } else {
    const std::uint64_t* base = read<std::uint64_t>(warp, op->a);
    const auto offset = static_cast<std::uint64_t>(record.offset);
    for (std::uint32_t i = 0; i < kWarpLanes; ++i) addresses[i] = base[i] + offset;
  }
}

std::uint64_t extend(std::uint64_t value, const MemoryRecord& record) {
  if (record.is_signed && record.element_bytes < 8) {
    const std::uint32_t shift = 64 - 8 * record.element_bytes;
    value = static_cast<std::uint64_t>(static_cast<std::int64_t>(value << shift) >> shift);
    if (record.value_bytes < 8) value &= (std::uint64_t{1} << (8 * record.value_bytes)) - 1;
  }
  return value;
}

void put(const Warp& warp, const MemoryRecord& record, std::uint32_t element, std::uint32_t lane,
         const std::byte* from) {
  std::byte* to = write<std::byte>(warp, record.values[element]) + lane * record.lane_bytes;
  if (record.element_bytes == 16) {
    std::memcpy(to, from, 16);
    return;
  }
  std::uint64_t value[2] = {0, 0};
  std::memcpy(value, from, record.element_bytes);
  value[0] = extend(value[0], record);
  std::memcpy(to, value, record.lane_bytes);
}

// A strong access is told to observers, and may be one turn of a loop that waits.
void tell_strong(Warp& warp, const Op* op, const MemoryRecord& record, std::uint32_t lanes,
                 const std::uint64_t* addresses, bool is_load) {
  warp.polled = true;
  Observer* observer = warp.block->observer;
  if (observer == nullptr) return;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    std::uint64_t address = addresses[std::countr_zero(rest)];
    AccessSpace space = record.form.space;
    if (space == AccessSpace::kGeneric) space = sort_generic(address);
    observer->synchronise(warp, op, address, space, is_load, !is_load, record.acquires,
                          record.releases);
  }
}

}  // namespace

const Op* load_general(Warp& warp, const Op* op) {
  const auto& record = *static_cast<const MemoryRecord*>(op->extra);
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  std::uint64_t addresses[kWarpLanes];
  std::byte* pointers[kWarpLanes];
  take_addresses(warp, op, record, addresses);
  resolve(warp, op, record.form, lanes, addresses, pointers);
  for (std::uint32_t e = 0; e < record.count; ++e) {
    if (record.lane_bytes == 4 && record.element_bytes == 4) {
      auto* to = write<std::uint32_t>(warp, record.values[e]);
      for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
        const int lane = std::countr_zero(rest);
        std::memcpy(to + lane, pointers[lane] + std::size_t{e} * 4, 4);
      }
      continue;
    }
    for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
      put(warp, record, e, lane, pointers[lane] + std::size_t{e} * record.element_bytes);
    }
  }
  if (record.form.volatile_or_strong) tell_strong(warp, op, record, lanes, addresses, true);
  return op + 1;
}

const Op* store_general(Warp& warp, const Op* op) {
  const auto& record = *static_cast<const MemoryRecord*>(op->extra);
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  std::uint64_t addresses[kWarpLanes];
  std::byte* pointers[kWarpLanes];
  take_addresses(warp, op, record, addresses);
  // Before the value can be seen, as the release that it may be.
  if (record.form.volatile_or_strong) tell_strong(warp, op, record, lanes, addresses, false);
  resolve(warp, op, record.form, lanes, addresses, pointers);
  for (std::uint32_t e = 0; e < record.count; ++e) {
    const std::byte* from = read<std::byte>(warp, record.values[e]);
    for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
      std::byte* to = pointers[lane] + std::size_t{e} * record.element_bytes;
      const std::byte* value = from + lane * record.lane_bytes;
      switch (record.element_bytes) {
        case 4:
          std::memcpy(to, value, 4);
          break;
        case 8:
          std::memcpy(to, value, 8);
          break;
        default:
          std::memcpy(to, value, record.element_bytes);
          break;
      }
    }
  }
  return op + 1;
}

// ld.param of a kernel: the same for all lanes.
const Op* load_parameter(Warp& warp, const Op* op) {
  const auto& record = *static_cast<const MemoryRecord*>(op->extra);
  const std::uint32_t lanes = lanes_of(warp, op);
  const std::byte* from = warp.block->grid->parameters.data() + record.offset;
  for (std::uint32_t e = 0; e < record.count; ++e, from += record.element_bytes) {
    if (lanes == kAllLanes && record.lane_bytes != 16) {
      std::uint64_t value = 0;
      std::memcpy(&value, from, record.element_bytes);
      value = extend(value, record);
      if (record.lane_bytes == 4) {
        std::fill_n(write<std::uint32_t>(warp, record.values[e]), kWarpLanes,
                    static_cast<std::uint32_t>(value));
      } else {
        std::fill_n(write<std::uint64_t>(warp, record.values[e]), kWarpLanes, value);
      }
      continue;
    }
    for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
      put(warp, record, e, static_cast<std::uint32_t>(std::countr_zero(rest)), from);
    }
  }
  return op + 1;
}

namespace {

bool is_hint(const std::string& modifier) {
  static constexpr std::array<std::string_view, 19> kHints = {
      "ca",      "cg",      "cs",      "lu",  "cv",      "wb",  "wt",  "nc",   "weak", "volatile",
      "relaxed", "acquire", "release", "cta", "cluster", "gpu", "sys", "mmio", "uni"};
  return std::find(kHints.begin(), kHints.end(), modifier) != kHints.end() ||
         modifier.starts_with("L1::") || modifier.starts_with("L2::");
}

// The words of ld or st behind the opcode.
struct Words {
  AccessSpace space = AccessSpace::kGeneric;
  bool is_parameter = false;
  bool cluster = false;
  ptx::Type type = ptx::Type::kNone;
  std::uint32_t count = 1;
};

Words read_words(const ptx::Instruction& instruction) {
  Words words;
  for (const std::string& modifier : instruction.modifiers) {
    if (modifier == "global") {
      words.space = AccessSpace::kGlobal;
    } else if (modifier == "shared" || modifier == "shared::cta" || modifier == "shared::cluster") {
      words.space = AccessSpace::kShared;
      words.cluster = modifier == "shared::cluster";
    } else if (modifier == "local") {
      words.space = AccessSpace::kLocal;
    } else if (modifier == "const") {
      words.space = AccessSpace::kConstant;
    } else if (modifier == "param" || modifier == "param::entry" || modifier == "param::func") {
      words.is_parameter = true;
    } else if (modifier == "v2" || modifier == "v4" || modifier == "v8") {
      words.count = static_cast<std::uint32_t>(modifier[1] - '0');
    } else if (const auto type = ptx::type_named(modifier)) {
      words.type = *type;
    } else if (!is_hint(modifier)) {
      Assembler::unsupported("the modifier ." + modifier);
    }
  }
  const std::uint32_t bits = ptx::bits_of(words.type);
  if (bits < 8) Assembler::unsupported("no type that memory holds");
  if (bits * words.count > 256) Assembler::unsupported("over 32 bytes a thread");
  return words;
}

ptx::Type type_of_bits(std::uint32_t bits) {
  return bits <= 16   ? ptx::Type::kB16
         : bits <= 32 ? ptx::Type::kB32
         : bits <= 64 ? ptx::Type::kB64
                      : ptx::Type::kB128;
}

void decode_values(Assembler& assembler, const ptx::Operand& operand, bool is_load,
                   const Words& words, MemoryRecord& record) {
  const bool is_vector = operand.kind == ptx::Operand::Kind::kVector;
  const std::size_t count = is_vector ? operand.parts.size() : 1;
  if (count != words.count) Assembler::unsupported("as many registers as the vector has elements");
  const std::uint32_t element_bits = ptx::bits_of(words.type);
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < count; ++i) {
    bits = std::max(bits, assembler.register_bits(is_vector ? operand.parts[i] : operand));
  }
  if (bits == 1) Assembler::unsupported("a predicate register");
  if (bits == 0) bits = std::max(16u, element_bits);
  if (bits < element_bits) Assembler::unsupported("a register narrower than the type");
  const ptx::Type type = type_of_bits(bits);
  record.lane_bytes = slot_bytes(bits) / kWarpLanes;
  record.value_bytes = ptx::bits_of(type) / 8;
  for (std::size_t i = 0; i < count; ++i) {
    const ptx::Operand& part = is_vector ? operand.parts[i] : operand;
    record.values[i] = is_load ? assembler.destination(part, type) : assembler.source(part, type);
  }
}

MemoryRecord make_record(Assembler& assembler, const Words& words, bool is_load) {
  const ptx::Instruction& instruction = assembler.instruction();
  MemoryRecord record;
  record.count = words.count;
  record.element_bytes = ptx::bits_of(words.type) / 8;
  record.is_signed = words.type == ptx::Type::kS8 || words.type == ptx::Type::kS16 ||
                     words.type == ptx::Type::kS32;
  record.form.space = words.space;
  record.form.kind = is_load ? AccessKind::kRead : AccessKind::kWrite;
  record.form.bytes = record.count * record.element_bytes;
  record.form.alignment = record.form.bytes;
  record.form.cluster = words.cluster;
  record.acquires = instruction.has("acquire");
  record.releases = instruction.has("release");
  record.form.volatile_or_strong = record.acquires || record.releases ||
                                   instruction.has("volatile") || instruction.has("relaxed") ||
                                   instruction.has("mmio");
  return record;
}

void decode_access(Assembler& assembler, bool is_load) {
  auto& decoder = static_cast<FunctionDecoder&>(assembler);
  const Words words = read_words(assembler.instruction());
  MemoryRecord record = make_record(assembler, words, is_load);
  const ptx::Operand& address = assembler.operand(is_load ? 1 : 0);
  decode_values(assembler, assembler.operand(is_load ? 0 : 1), is_load, words, record);
  if (words.is_parameter) {
    if (address.base_is_register) {
      // An address in the parameter space of the kernel is an offset.
      record.form.space = AccessSpace::kGeneric;
      record.offset = static_cast<std::int64_t>(kParameterWindow);
    } else {
      const ResolvedSymbol at = decoder.symbol(address.name);
      const std::uint64_t offset = static_cast<std::uint64_t>(address.value);
      if (offset > at.bytes || record.form.bytes > at.bytes - offset) {
        Assembler::unsupported("an access beyond the parameter " + address.name);
      }
      if (at.kind == ResolvedSymbol::Kind::kParameter) {
        if (!is_load) Assembler::unsupported("a store to a kernel's parameter");
        record.offset = static_cast<std::int64_t>(at.value + offset);
        const auto* kept = assembler.keep(record);
        const Handler fast = fast_parameter(record);
        assembler.emit(fast != nullptr ? fast : load_parameter).extra = kept;
        return;
      }
      if (at.kind != ResolvedSymbol::Kind::kLocal)
        Assembler::unsupported(address.name + " is no parameter");
      record.form.space = AccessSpace::kLocal;
      record.form.alignment = 1;
    }
  }
  const Assembler::Address base =
      assembler.address(address, record.form.space == AccessSpace::kShared);
  record.address_32 = base.is_32_bits;
  record.offset += base.offset;
  const auto* kept = assembler.keep(record);
  Handler handler = is_load ? fast_load(record) : fast_store(record);
  if (handler == nullptr || record.form.volatile_or_strong)
    handler = is_load ? load_general : store_general;
  Op& op = assembler.emit(handler);
  op.a = base.base;
  op.extra = kept;
}

}  // namespace

void decode_ld(Assembler& assembler) {
  decode_access(assembler, true);
}
void decode_st(Assembler& assembler) {
  if (assembler.instruction().has("async")) return tensor::decode_st_async(assembler);
  decode_access(assembler, false);
}

}  // namespace ptx_emulator
