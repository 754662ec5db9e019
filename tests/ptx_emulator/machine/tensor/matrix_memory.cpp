// ldmatrix, stmatrix, movmatrix: matrices of 8 x 8 numbers of 16 bits between shared memory and
// registers.
#include <array>
#include <cstring>

#include "tests/ptx_emulator/machine/tensor/addresses.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

constexpr std::uint32_t kRows = 8;
constexpr std::uint32_t kRowBytes = 16;
constexpr std::size_t kMostMatrices = 4;

struct MatrixForm {
  Pointer pointer;
  std::uint32_t count = 1;  // of matrices; lanes 8 i to 8 i + 7 point to the rows of matrix i
  std::array<Place, kMostMatrices> registers{};
};

// Lane l of a register holds row l / 4, columns 2 (l % 4) and the next: as 32 words, the matrix row
// by row. The transposed one holds rows 2 (l % 4) and the next of column l / 4.
void transpose(const std::uint16_t* matrix, std::uint32_t* lanes) {
  for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
    const std::uint32_t row = 2 * (lane % 4);
    const std::uint32_t column = lane / 4;
    lanes[lane] = matrix[8 * row + column] | (std::uint32_t{matrix[8 * (row + 1) + column]} << 16);
  }
}

std::uint32_t pointing_lanes(std::uint32_t count) {
  return count == 4 ? kAllLanes : (1u << (kRows * count)) - 1;
}

template <bool kTranspose>
const Op* execute_ldmatrix(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  const auto& form = *static_cast<const MatrixForm*>(op->extra);
  std::uint64_t addresses[kWarpLanes];
  std::byte* pointers[kWarpLanes];
  form.pointer.all(warp, addresses);
  const AccessForm access{.space = form.pointer.space,
                          .kind = AccessKind::kRead,
                          .bytes = kRowBytes,
                          .alignment = kRowBytes};
  resolve(warp, op, access, pointing_lanes(form.count), addresses, pointers);
  // All rows are read before any register is written: a destination may hold the addresses.
  alignas(64) std::uint32_t rows[kMostMatrices * kWarpLanes];
  for (std::uint32_t row = 0; row < kRows * form.count; ++row) {
    std::memcpy(&rows[4 * row], pointers[row], kRowBytes);
  }
  for (std::uint32_t i = 0; i < form.count; ++i) {
    auto* lanes = write<std::uint32_t>(warp, form.registers[i]);
    if constexpr (kTranspose) {
      std::uint16_t matrix[64];
      std::memcpy(matrix, rows + kWarpLanes * i, sizeof matrix);
      transpose(matrix, lanes);
    } else {
      std::memcpy(lanes, rows + kWarpLanes * i, 4 * kWarpLanes);
    }
  }
  return op + 1;
}

template <bool kTranspose>
const Op* execute_stmatrix(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  const auto& form = *static_cast<const MatrixForm*>(op->extra);
  std::uint64_t addresses[kWarpLanes];
  std::byte* pointers[kWarpLanes];
  form.pointer.all(warp, addresses);
  const AccessForm access{.space = form.pointer.space,
                          .kind = AccessKind::kWrite,
                          .bytes = kRowBytes,
                          .alignment = kRowBytes};
  resolve(warp, op, access, pointing_lanes(form.count), addresses, pointers);
  for (std::uint32_t i = 0; i < form.count; ++i) {
    const auto* lanes = read<std::uint32_t>(warp, form.registers[i]);
    alignas(64) std::uint32_t rows[kWarpLanes];
    if constexpr (kTranspose) {
      std::uint16_t matrix[64];
      std::memcpy(matrix, lanes, sizeof matrix);
      transpose(matrix, rows);
    } else {
      std::memcpy(rows, lanes, sizeof rows);
    }
    for (std::uint32_t row = 0; row < kRows; ++row) {
      std::memcpy(pointers[kRows * i + row], rows + 4 * row, kRowBytes);
    }
  }
  return op + 1;
}

const Op* execute_movmatrix(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  std::uint16_t matrix[64];
  std::memcpy(matrix, read<std::uint32_t>(warp, op->a), sizeof matrix);
  transpose(matrix, write<std::uint32_t>(warp, op->d));
  return op + 1;
}

struct MatrixWords {
  std::uint32_t count = 0;
  bool transpose = false;
};

MatrixWords matrix_words(const ptx::Instruction& instruction) {
  MatrixWords words;
  bool is_square = false;
  for (const std::string& word : instruction.modifiers) {
    if (word == "x1") {
      words.count = 1;
    } else if (word == "x2") {
      words.count = 2;
    } else if (word == "x4") {
      words.count = 4;
    } else if (word == "trans") {
      words.transpose = true;
    } else if (word == "m8n8") {
      is_square = true;
    } else if (word != "sync" && word != "aligned" && word != "b16" &&
               !word.starts_with("shared")) {
      Assembler::unsupported("modifier ." + word + " of " + instruction.opcode);
    }
  }
  if (!is_square || words.count == 0) {
    Assembler::unsupported(instruction.opcode + " without .m8n8 and .x1, .x2 or .x4");
  }
  return words;
}

void check_registers(const std::vector<Place>& places, const MatrixWords& words) {
  if (places.size() != words.count) {
    Assembler::unsupported("number of registers other than that of matrices");
  }
}

}  // namespace

void decode_ldmatrix(Assembler& assembler) {
  const MatrixWords words = matrix_words(assembler.instruction());
  const std::vector<Place> places = destinations(assembler, 0, ptx::Type::kB32);
  check_registers(places, words);
  MatrixForm form;
  form.count = words.count;
  std::copy(places.begin(), places.end(), form.registers.begin());
  form.pointer = pointer(assembler, assembler.operand(1), space_word(assembler.instruction()));
  Op& op = assembler.emit(words.transpose ? execute_ldmatrix<true> : execute_ldmatrix<false>);
  op.extra = assembler.keep(form);
}

void decode_stmatrix(Assembler& assembler) {
  const MatrixWords words = matrix_words(assembler.instruction());
  MatrixForm form;
  form.count = words.count;
  form.pointer = pointer(assembler, assembler.operand(0), space_word(assembler.instruction()));
  const std::vector<Place> places = sources(assembler, 1, ptx::Type::kB32);
  check_registers(places, words);
  std::copy(places.begin(), places.end(), form.registers.begin());
  Op& op = assembler.emit(words.transpose ? execute_stmatrix<true> : execute_stmatrix<false>);
  op.extra = assembler.keep(form);
}

void decode_movmatrix(Assembler& assembler) {
  if (assembler.instruction().full_name() != "movmatrix.sync.aligned.m8n8.trans.b16") {
    Assembler::unsupported("movmatrix of another shape");
  }
  const Place from = assembler.source(1, ptx::Type::kB32);
  const Place to = assembler.destination(0, ptx::Type::kB32);
  Op& op = assembler.emit(execute_movmatrix);
  op.a = from;
  op.d = to;
}

}  // namespace ptx_emulator::tensor
