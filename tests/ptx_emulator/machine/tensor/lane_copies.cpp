// cp.async: copies of 4, 8 or 16 bytes a lane from global to shared memory, delivered at the wait.
#include <cstring>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/tensor/addresses.h"
#include "tests/ptx_emulator/machine/tensor/delivery.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

struct CopyForm {
  Pointer destination, source;
  std::uint32_t bytes = 16;
  bool has_source_bytes = false;
  Place source_bytes;
  bool has_ignore = false;
  Place ignore;  // a predicate
};

bool is_predicate(Assembler& assembler, const ptx::Operand& operand) {
  return operand.kind == ptx::Operand::Kind::kNegated || assembler.register_bits(operand) == 1;
}

void tell_observer(Warp& warp, const LaneCopies& copy, std::uint32_t lanes) {
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctz(rest));
    warp.block->observer->async_delivered(warp, copy.address[lane], copy.bytes);
  }
}

void deliver_lanes(Warp& warp, LaneCopies& copy, std::uint32_t lanes) {
  if (warp.block->observer != nullptr) tell_observer(warp, copy, lanes);
  if (lanes == kAllLanes && copy.bytes == 16) {
    bool whole = true;
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) whole &= copy.source_bytes[lane] == 16;
    if (whole) {
      for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
        std::memcpy(copy.destination[lane], copy.source[lane], 16);
      }
      copy.lanes = 0;
      return;
    }
  }
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctz(rest));
    const std::uint32_t given = copy.source_bytes[lane];
    if (given != 0) std::memcpy(copy.destination[lane], copy.source[lane], given);
    if (given < copy.bytes) std::memset(copy.destination[lane] + given, 0, copy.bytes - given);
  }
  copy.lanes &= ~lanes;
}

// Host addresses of the sources; only bytes that are really read are checked.
void resolve_sources(Warp& warp, const Op* op, const CopyForm& form, LaneCopies& copy) {
  std::uint64_t addresses[kWarpLanes];
  std::byte* pointers[kWarpLanes];
  form.source.all(warp, addresses);
  AccessForm access{.space = form.source.space,
                    .kind = AccessKind::kAsyncRead,
                    .bytes = form.bytes,
                    .alignment = form.bytes};
  for (std::uint32_t rest = copy.lanes; rest != 0;) {
    // Lanes that read the same number of bytes go together.
    const std::uint32_t given = copy.source_bytes[__builtin_ctz(rest)];
    std::uint32_t same = 0;
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      if ((rest >> lane & 1u) != 0 && copy.source_bytes[lane] == given) same |= 1u << lane;
    }
    rest &= ~same;
    if (given == 0) continue;
    access.bytes = given;
    resolve(warp, op, access, same, addresses, pointers);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      if ((same >> lane & 1u) != 0) copy.source[lane] = pointers[lane];
    }
  }
}

const Op* execute_copy(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  const auto& form = *static_cast<const CopyForm*>(op->extra);
  LaneCopies copy;
  copy.lanes = lanes;
  copy.bytes = form.bytes;
  std::memset(copy.source_bytes, static_cast<int>(form.bytes), sizeof copy.source_bytes);
  if (form.has_source_bytes) {
    const auto* given = read<std::uint32_t>(warp, form.source_bytes);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      if ((lanes >> lane & 1u) == 0) continue;
      if (given[lane] > form.bytes) {
        throw DeviceFault(FaultKind::kInvalidOperand,
                          "cp.async reads " + std::to_string(given[lane]) + " bytes to write " +
                              std::to_string(form.bytes),
                          lane);
      }
      copy.source_bytes[lane] = static_cast<std::uint8_t>(given[lane]);
    }
  }
  if (form.has_ignore) {
    const std::uint32_t ignored = read_predicate(warp, form.ignore);
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      if ((ignored >> lane & 1u) != 0) copy.source_bytes[lane] = 0;
    }
  }
  resolve_sources(warp, op, form, copy);
  form.destination.all(warp, copy.address);
  const AccessForm access{.space = form.destination.space,
                          .kind = AccessKind::kAsyncWrite,
                          .bytes = form.bytes,
                          .alignment = form.bytes};
  resolve(warp, op, access, lanes, copy.address, copy.destination);
  // From now on until the wait nobody may read there: whoever does gets NaN.
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    std::memset(copy.destination[__builtin_ctz(rest)], 0xFF, form.bytes);
  }
  WarpAsync& async = async_of(warp);
  std::memcpy(copy.group, async.committed, sizeof copy.group);
  async.copies.push_back(copy);
  return op + 1;
}

const Op* execute_commit(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  WarpAsync& async = async_of(warp);
  for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane)
    async.committed[lane] += lanes >> lane & 1u;
  return op + 1;
}

const Op* execute_wait_group(Warp& warp, const Op* op) {
  deliver_copies(warp, lanes_of(warp, op), op->small, false);
  return op + 1;
}

const Op* execute_wait_all(Warp& warp, const Op* op) {
  deliver_copies(warp, lanes_of(warp, op), 0, true);
  return op + 1;
}

}  // namespace

void deliver_copies(Warp& warp, std::uint32_t lanes, std::uint32_t kept, bool open) {
  if (!warp.async || warp.async->copies.empty()) return;
  WarpAsync& async = *warp.async;
  std::size_t remaining = 0;
  for (std::size_t i = 0; i < async.copies.size(); ++i) {
    LaneCopies& copy = async.copies[i];
    std::uint32_t due = 0;
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
      const bool is_due = open || copy.group[lane] + std::uint64_t{kept} < async.committed[lane];
      due |= static_cast<std::uint32_t>(is_due) << lane;
    }
    due &= copy.lanes & lanes;
    if (due != 0) deliver_lanes(warp, copy, due);
    if (copy.lanes != 0) {
      if (remaining != i) async.copies[remaining] = copy;
      ++remaining;
    }
  }
  async.copies.resize(remaining);
}

void decode_cp_async(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  if (instruction.has("commit_group")) {
    assembler.emit(execute_commit);
    return;
  }
  if (instruction.has("wait_all")) {
    assembler.emit(execute_wait_all);
    return;
  }
  if (instruction.has("wait_group")) {
    const std::int64_t kept = assembler.integer(0);
    if (kept < 0 || kept > 0x7FFFFFFF) Assembler::unsupported("cp.async.wait_group of this number");
    assembler.emit(execute_wait_group).small = static_cast<std::uint32_t>(kept);
    return;
  }
  CopyForm form;
  bool has_hint = false;
  for (const std::string& word : instruction.modifiers) {
    if (word == "L2::cache_hint") {
      has_hint = true;
    } else if (word != "async" && word != "ca" && word != "cg" && word != "global" &&
               word != "shared" && word != "shared::cta" && !word.starts_with("L2::")) {
      Assembler::unsupported("modifier ." + word + " of cp.async");
    }
  }
  form.destination = pointer(assembler, assembler.operand(0), "shared");
  form.source = pointer(assembler, assembler.operand(1), "global");
  const std::int64_t bytes = assembler.integer(2);
  if (bytes != 4 && bytes != 8 && bytes != 16) Assembler::unsupported("cp.async of this size");
  if (bytes != 16 && instruction.has("cg")) Assembler::unsupported("cp.async.cg of this size");
  form.bytes = static_cast<std::uint32_t>(bytes);
  const std::size_t extra = assembler.num_operands() - 3 - (has_hint ? 1 : 0);
  if (extra > 1) Assembler::unsupported("cp.async with so many operands");
  if (extra == 1) {
    form.has_ignore = is_predicate(assembler, assembler.operand(3));
    form.has_source_bytes = !form.has_ignore;
    const ptx::Type type = form.has_ignore ? ptx::Type::kPred : ptx::Type::kB32;
    (form.has_ignore ? form.ignore : form.source_bytes) = assembler.source(3, type);
  }
  assembler.emit(execute_copy).extra = assembler.keep(form);
}

}  // namespace ptx_emulator::tensor
