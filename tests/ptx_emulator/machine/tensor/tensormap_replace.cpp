// tensormap.replace: changes one field of a tensor map in memory; tensormap.cp_fenceproxy: copies a
// map from shared memory to global memory.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>

#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/tensor/addresses.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/tensor/tensor_map.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

enum class Field : std::uint8_t {
  kAddress,
  kRank,
  kBox,
  kSize,
  kStride,
  kElementStride,
  kType,
  kInterleave,
  kSwizzle,
  kFill,
};

struct ReplaceForm {
  Pointer map;
  Field field = Field::kAddress;
  std::uint32_t index = 0;
  Place value;
  bool is_64_bits = false;
};

[[noreturn]] void refuse(const char* what, std::uint64_t value, std::uint32_t lane) {
  throw DeviceFault(FaultKind::kInvalidOperand,
                    std::string("tensormap.replace with ") + what + " " + std::to_string(value),
                    lane);
}

void replace(TensorMap& map, const ReplaceForm& form, std::uint64_t value, std::uint32_t lane) {
  switch (form.field) {
    case Field::kAddress:
      if (value % 16 != 0) refuse("a misaligned address", value, lane);
      map.address = value;
      break;
    case Field::kRank:  // holds the rank less one
      if (value >= kMostTensorDimensions) refuse("rank", value + 1, lane);
      map.rank = static_cast<std::uint8_t>(value + 1);
      break;
    case Field::kBox:
      if (value == 0 || value > 256) refuse("box", value, lane);
      map.box[form.index] = static_cast<std::uint16_t>(value);
      break;
    case Field::kSize:
      if (value == 0) refuse("size", value, lane);
      map.sizes[form.index] = static_cast<std::uint32_t>(value - 1);
      break;
    case Field::kStride:
      if (value % 16 != 0 || value >= std::uint64_t{1} << 40) refuse("stride", value, lane);
      map.strides[form.index] = value;
      break;
    case Field::kElementStride:
      if (value == 0 || value > 8) refuse("element stride", value, lane);
      map.element_strides[form.index] = static_cast<std::uint8_t>(value);
      break;
    case Field::kType: {
      // PTX numbers the types from 8 to 10 in another order than the driver: f32.ftz, f64, bf16.
      static constexpr TensorDataType kMoved[] = {TensorDataType::kF32Ftz, TensorDataType::kF64,
                                                  TensorDataType::kBf16};
      const auto type = value >= 8 && value <= 10 ? kMoved[value - 8]
                                                  : static_cast<TensorDataType>(value & 0xFFu);
      if (value > 12) refuse("type", value, lane);
      map.data_type = static_cast<std::uint8_t>(type);
      break;
    }
    case Field::kInterleave:
      if (value != 0) refuse("interleaved layout", value, lane);
      break;
    case Field::kSwizzle:
      if (value > 3) refuse("swizzle mode", value, lane);
      map.swizzle = static_cast<std::uint8_t>(value);
      break;
    case Field::kFill:
      if (value > 1) refuse("fill mode", value, lane);
      map.fill = static_cast<std::uint8_t>(value);
      break;
  }
}

const Op* execute_replace(Warp& warp, const Op* op) {
  const auto& form = *static_cast<const ReplaceForm*>(op->extra);
  for (std::uint32_t rest = lanes_of(warp, op); rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctz(rest));
    std::byte* at =
        resolve_one(warp, op, form.map, AccessKind::kWrite, lane, sizeof(TensorMap), 64);
    TensorMap map;
    std::memcpy(&map, at, sizeof map);
    if (!is_sealed(map)) {
      throw DeviceFault(FaultKind::kInvalidOperand,
                        "tensormap.replace on bytes that cuTensorMapEncodeTiled did not make",
                        lane);
    }
    replace(map, form,
            form.is_64_bits ? read<std::uint64_t>(warp, form.value)[lane]
                            : read<std::uint32_t>(warp, form.value)[lane],
            lane);
    seal(map);
    std::memcpy(at, &map, sizeof map);
  }
  return op + 1;
}

struct CopyForm {
  Pointer to, from;
};

// The whole warp copies one map. The order that the instruction also gives between proxies holds
// here without it.
const Op* execute_copy(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  const auto& form = *static_cast<const CopyForm*>(op->extra);
  const std::byte* from =
      resolve_one(warp, op, form.from, AccessKind::kRead, 0, sizeof(TensorMap), 128);
  std::byte* to = resolve_one(warp, op, form.to, AccessKind::kWrite, 0, sizeof(TensorMap), 128);
  std::memcpy(to, from, sizeof(TensorMap));
  return op + 1;
}

void decode_copy(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  static constexpr std::string_view kWords[] = {
      "cp_fenceproxy", "global", "shared::cta", "tensormap::generic",
      "release",       "cta",    "cluster",     "gpu",
      "sys",           "sync",   "aligned"};
  for (const std::string& word : instruction.modifiers) {
    if (std::find(std::begin(kWords), std::end(kWords), word) == std::end(kWords))
      Assembler::unsupported("modifier ." + word + " of tensormap.cp_fenceproxy");
  }
  if (assembler.integer(2) != sizeof(TensorMap)) Assembler::unsupported("a size other than 128");
  CopyForm form;
  form.to = pointer(assembler, assembler.operand(0), "global");
  form.from = pointer(assembler, assembler.operand(1), "shared::cta");
  assembler.emit(execute_copy).extra = assembler.keep(form);
}

struct FieldName {
  std::string_view word;
  Field field;
  std::uint32_t limit;  // of the index; 0: the field has none
};
constexpr FieldName kFields[] = {
    {"global_address", Field::kAddress, 0},
    {"rank", Field::kRank, 0},
    {"box_dim", Field::kBox, kMostTensorDimensions},
    {"global_dim", Field::kSize, kMostTensorDimensions},
    {"global_stride", Field::kStride, kMostTensorDimensions - 1},
    {"element_stride", Field::kElementStride, kMostTensorDimensions},
    {"elemtype", Field::kType, 0},
    {"interleave_layout", Field::kInterleave, 0},
    {"swizzle_mode", Field::kSwizzle, 0},
    {"fill_mode", Field::kFill, 0},
};

}  // namespace

void decode_tensormap(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  if (instruction.has("cp_fenceproxy")) return decode_copy(assembler);
  if (!instruction.has("replace")) Assembler::unsupported("tensormap without .replace");
  ReplaceForm form;
  const FieldName* found = nullptr;
  for (const std::string& word : instruction.modifiers) {
    bool known = word == "replace" || word == "tile" || word == "global" || word == "shared::cta" ||
                 word == "b1024" || word == "b32" || word == "b64";
    for (const FieldName& name : kFields) {
      if (name.word != word) continue;
      found = &name;
      known = true;
    }
    if (!known) Assembler::unsupported("modifier ." + word + " of tensormap.replace");
  }
  if (found == nullptr) Assembler::unsupported("tensormap.replace of no field");
  form.field = found->field;
  form.map = pointer(assembler, assembler.operand(0), space_word(instruction));
  std::size_t next = 1;
  if (found->limit != 0) {
    const std::int64_t index = assembler.integer(next++);
    if (index < 0 || index >= found->limit) Assembler::unsupported("a dimension of this number");
    form.index = static_cast<std::uint32_t>(index);
  }
  form.is_64_bits = instruction.has("b64");
  form.value = assembler.source(next, form.is_64_bits ? ptx::Type::kB64 : ptx::Type::kB32);
  assembler.emit(execute_replace).extra = assembler.keep(form);
}

}  // namespace ptx_emulator::tensor
