// cp.async.bulk.tensor, cp.reduce.async.bulk.tensor and its prefetch: boxes of tensors that a
// tensor map describes.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/tensor/bulk_form.h"
#include "tests/ptx_emulator/machine/tensor/combine.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/tensor/tensor_map.h"
#include "tests/ptx_emulator/machine/tensor/tensor_walk.h"

namespace ptx_emulator::tensor {
namespace {

constexpr std::uint32_t kBoxAlignment = 128;  // bytes, in shared memory

struct TensorForm {
  BulkRoute route = BulkRoute::kGlobalToShared;
  std::uint32_t rank = 1;
  Pointer map, shared, barrier;
  Place coordinates[kMostTensorDimensions];
  std::optional<Place> mask;
  std::string operation;  // of reductions
};

TensorMap read_map(Warp& warp, const Op* op, const TensorForm& form, std::uint32_t lane) {
  TensorMap map;
  std::memcpy(&map, resolve_one(warp, op, form.map, AccessKind::kRead, lane, sizeof map, 64),
              sizeof map);
  if (!is_sealed(map)) {
    throw DeviceFault(FaultKind::kInvalidOperand,
                      "the tensor map was not made by cuTensorMapEncodeTiled (or was damaged, or "
                      "its address is wrong)",
                      lane);
  }
  if (map.rank != form.rank) {
    throw DeviceFault(FaultKind::kInvalidOperand,
                      "a tensor map of " + std::to_string(map.rank) + " dimensions in a copy of " +
                          std::to_string(form.rank),
                      lane);
  }
  const auto swizzle = static_cast<TensorSwizzle>(map.swizzle);
  const std::uint32_t inner = map.box[0] * bytes_of(static_cast<TensorDataType>(map.data_type));
  const std::uint32_t span = swizzle == TensorSwizzle::kNone ? inner : 16u << map.swizzle;
  if (inner != span) {
    throw DeviceFault(FaultKind::kInvalidOperand,
                      "an inner box of " + std::to_string(inner) + " bytes with a swizzle of " +
                          std::to_string(span) + " is not supported",
                      lane);
  }
  return map;
}

std::uint32_t fill_pattern(const TensorMap& map) {
  if (static_cast<TensorFill>(map.fill) == TensorFill::kZero) return 0;
  switch (static_cast<TensorDataType>(map.data_type)) {
    case TensorDataType::kF16:
    case TensorDataType::kBf16:
      return 0x7FFF7FFFu;
    case TensorDataType::kF64:
      return 0xFFFFFFFFu;  // eight bytes of ones are a NaN too
    default:
      return 0x7FFFFFFFu;
  }
}

// Pieces between a box in shared memory and its place in the tensor, split where the swizzle parts
// them.
class Pieces {
 public:
  Pieces(const TensorMap& map, std::byte* box, std::uint32_t box_address)
      : swizzle_(static_cast<TensorSwizzle>(map.swizzle)), box_(box), address_(box_address) {}

  // Calls use(shared pointer, distance into the run, bytes).
  template <typename Use>
  void split(std::uint64_t offset, std::uint64_t bytes, Use use) const {
    if (swizzle_ == TensorSwizzle::kNone) {
      use(box_ + offset, std::uint64_t{0}, bytes);
      return;
    }
    for (std::uint64_t done = 0; done < bytes;) {
      const std::uint64_t at = address_ + offset + done;
      const std::uint64_t part = std::min<std::uint64_t>(16 - at % 16, bytes - done);
      const std::uint32_t to = swizzled(swizzle_, static_cast<std::uint32_t>(at));
      use(box_ + (to - address_), done, part);
      done += part;
    }
  }

 private:
  TensorSwizzle swizzle_;
  std::byte* box_;
  std::uint64_t address_;
};

void load_box(Warp& warp, const Op* op, const TensorForm& form, std::uint32_t lane,
              const TensorMap& map, const std::int32_t* coordinates) {
  const std::uint64_t bytes = box_bytes(map);
  // Runs once; every receiving block then gets its own pieces.
  struct Run {
    std::uint64_t offset, bytes;
    const std::byte* source;
  };
  std::vector<Run> runs;
  walk_box(map, coordinates,
           [&](std::uint64_t offset, std::uint64_t address, std::uint64_t length, bool inside) {
             const std::byte* source =
                 inside ? resolve_range(warp, op, AccessSpace::kGlobal, AccessKind::kAsyncRead,
                                        address, length, 1)
                        : nullptr;
             runs.push_back({offset, length, source});
           });
  if (form.route == BulkRoute::kPrefetch) return;
  const std::uint64_t destination = form.shared.at(warp, lane);
  const SharedPlace barrier = shared_place(warp, form.barrier.at(warp, lane));
  std::optional<std::uint32_t> mask;
  if (form.mask) mask = read<std::uint32_t>(warp, *form.mask)[lane] & 0xFFFFu;
  for_each_target(warp, mask, destination, [&](std::uint32_t rank) {
    BulkCopy copy;
    copy.lane = lane;
    copy.transaction_bytes = bytes;
    copy.fill = fill_pattern(map);
    copy.barrier = resolve_range(warp, op, AccessSpace::kShared, AccessKind::kAtomic,
                                 shared_address(mask ? rank : barrier.rank, barrier.offset), 8, 8);
    const std::uint32_t offset_in_block = shared_place(warp, destination).offset;
    std::byte* box = resolve_range(warp, op, AccessSpace::kShared, AccessKind::kAsyncWrite,
                                   shared_address(rank, offset_in_block), bytes, kBoxAlignment);
    const Pieces pieces(map, box, offset_in_block);
    for (const Run& run : runs) {
      pieces.split(run.offset, run.bytes,
                   [&](std::byte* to, std::uint64_t distance, std::uint64_t part) {
                     copy.pieces.push_back(
                         {to, run.source == nullptr ? nullptr : run.source + distance, part});
                   });
    }
    queue_copy(warp, std::move(copy));
  });
}

void store_box(Warp& warp, const Op* op, const TensorForm& form, std::uint32_t lane,
               const TensorMap& map, const std::int32_t* coordinates) {
  BulkCopy copy;
  copy.lane = lane;
  AccessKind kind = AccessKind::kAsyncWrite;
  if (!form.operation.empty()) {
    const std::string_view type =
        type_word(static_cast<TensorDataType>(map.data_type), form.operation);
    copy.combine = combine_for(form.operation, type);
    kind = AccessKind::kAtomic;
    if (copy.combine == nullptr) {
      throw DeviceFault(FaultKind::kInvalidOperand,
                        "reduction ." + form.operation + " of a tensor of type " +
                            (type.empty() ? "without reductions" : std::string(type)),
                        lane);
    }
  }
  const std::uint32_t offset = shared_place(warp, form.shared.at(warp, lane)).offset;
  std::byte* box = resolve_one(warp, op, form.shared, AccessKind::kAsyncRead, lane, box_bytes(map),
                               kBoxAlignment);
  const Pieces pieces(map, box, offset);
  walk_box(
      map, coordinates,
      [&](std::uint64_t at, std::uint64_t address, std::uint64_t length, bool inside) {
        if (!inside) return;
        std::byte* to = resolve_range(warp, op, AccessSpace::kGlobal, kind, address, length, 1);
        pieces.split(at, length, [&](std::byte* from, std::uint64_t distance, std::uint64_t part) {
          copy.pieces.push_back({to + distance, from, part});
        });
      });
  queue_copy(warp, std::move(copy));
}

const Op* execute_tensor(Warp& warp, const Op* op) {
  const auto& form = *static_cast<const TensorForm*>(op->extra);
  for (std::uint32_t rest = lanes_of(warp, op); rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctz(rest));
    const TensorMap map = read_map(warp, op, form, lane);
    std::int32_t coordinates[kMostTensorDimensions] = {};
    for (std::uint32_t i = 0; i < form.rank; ++i) {
      coordinates[i] = read<std::int32_t>(warp, form.coordinates[i])[lane];
    }
    if (form.route == BulkRoute::kSharedToGlobal) {
      store_box(warp, op, form, lane, map, coordinates);
    } else {
      load_box(warp, op, form, lane, map, coordinates);
    }
  }
  return op + 1;
}

std::uint32_t rank_of(const ptx::Instruction& instruction) {
  for (const std::string& word : instruction.modifiers) {
    if (word.size() == 2 && word[1] == 'd' && word[0] >= '1' && word[0] <= '5') {
      return static_cast<std::uint32_t>(word[0] - '0');
    }
  }
  Assembler::unsupported("a tensor copy without a number of dimensions");
}

void place_map(Assembler& assembler, const ptx::Operand& operand, TensorForm& form) {
  if (operand.parts.size() != 1 || operand.parts[0].parts.size() != form.rank) {
    Assembler::unsupported("a tensor copy without " + std::to_string(form.rank) + " coordinates");
  }
  form.map = pointer(assembler, operand, "");
  for (std::uint32_t i = 0; i < form.rank; ++i) {
    form.coordinates[i] = assembler.source(operand.parts[0].parts[i], ptx::Type::kS32);
  }
}

}  // namespace

void decode_cp_tensor(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  const BulkWords words = bulk_words(instruction);
  TensorForm form;
  form.route = words.route;
  form.rank = rank_of(instruction);
  std::size_t next = 0;
  if (words.route == BulkRoute::kPrefetch) {
    place_map(assembler, assembler.operand(next++), form);
  } else if (words.route == BulkRoute::kSharedToGlobal) {
    place_map(assembler, assembler.operand(next++), form);
    form.shared = pointer(assembler, assembler.operand(next++), "shared");
    if (instruction.has("reduce")) form.operation = words.operation;
  } else {
    form.shared = pointer(assembler, assembler.operand(next++),
                          words.to_cluster ? "shared::cluster" : "shared");
    place_map(assembler, assembler.operand(next++), form);
    form.barrier = pointer(assembler, assembler.operand(next++), "shared::cluster");
    if (words.multicast) form.mask = assembler.source(next++, ptx::Type::kB16);
  }
  if (instruction.has("reduce") && form.operation.empty()) {
    Assembler::unsupported("a tensor reduction without operation");
  }
  if (assembler.num_operands() != next + (words.has_hint ? 1 : 0)) {
    Assembler::unsupported("a tensor copy with so many operands");
  }
  assembler.emit(execute_tensor).extra = assembler.keep(std::move(form));
}

}  // namespace ptx_emulator::tensor
