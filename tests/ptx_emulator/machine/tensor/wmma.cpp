// wmma.load, wmma.store and wmma.mma. Their fragments are opaque to programs; here they are those
// of mma.sync side by side: with R = rows / 8 (of B, columns take the place of rows), register i of
// A or B holds rows 8 (i % R) + g and k = 4 E (i / R) + E t + j, and register i of C holds tile i /
// (2 R) of 8 columns, rows 8 (i / 2 % R) + g, column 2 t + i % 2 (of f16, both columns in register
// i of half as many). Where a fragment has more registers than that (f16), they repeat.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "tests/ptx_emulator/machine/tensor/addresses.h"
#include "tests/ptx_emulator/machine/tensor/fragments.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/tensor/product_form.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

// How a fragment's registers map to a matrix in memory.
struct FragmentForm {
  Pointer pointer;
  Element type = Element::kF16;
  bool is_accumulator = false;
  bool along_rows =
      true;  // memory holds the elements of one row (of B: of one column) side by side
  std::uint32_t row_groups = 1;  // R
  std::uint32_t distinct = 0;    // registers that do not repeat others
  std::uint32_t leading =
      0;  // elements between rows (or columns), where the instruction names none
  bool has_stride = false;
  Place stride;
  std::vector<Place> registers;
};

struct Element2d {
  std::uint32_t row, column;
};

// Element j of register i in `lane`.
Element2d position(const FragmentForm& form, std::uint32_t i, std::uint32_t lane, std::uint32_t j) {
  const std::uint32_t g = lane / 4;
  const std::uint32_t t = lane % 4;
  const std::uint32_t R = form.row_groups;
  const std::uint32_t bits = bits_of(form.type);
  if (!form.is_accumulator) {
    const std::uint32_t E = bits >= 32 ? 1 : 32 / bits;
    return {8 * (i % R) + g, 4 * E * (i / R) + E * t + j};
  }
  if (bits == 16) return {8 * (i % R) + g, 8 * (i / R) + 2 * t + j};
  return {8 * (i / 2 % R) + g, 8 * (i / (2 * R)) + 2 * t + i % 2};
}

// Moves the fragment one access at a time: one word where elements of a register lie side by side,
// else one element.
template <AccessKind kKind>
const Op* execute_move(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  const auto& form = *static_cast<const FragmentForm*>(op->extra);
  const std::uint32_t bits = bits_of(form.type);
  const std::uint32_t in_register = bits >= 32 ? 1 : 32 / bits;
  const bool whole = in_register == 1 || form.along_rows;
  const std::uint32_t accesses = whole ? 1 : in_register;
  const std::uint32_t bytes = whole ? (bits == 64 ? 8u : 4u) : bits / 8;
  const std::uint64_t base = form.pointer.at(warp, 0);
  const std::uint64_t leading =
      form.has_stride ? read<std::uint32_t>(warp, form.stride)[0] : form.leading;
  const AccessForm access{
      .space = form.pointer.space, .kind = kKind, .bytes = bytes, .alignment = bytes};
  for (std::uint32_t i = 0; i < form.distinct; ++i) {
    // Stores may have immediates for registers, which are only read.
    auto* lanes = const_cast<std::byte*>(read<std::byte>(warp, form.registers[i]));
    const std::size_t lane_bytes = bits == 64 ? 8 : 4;
    for (std::uint32_t j = 0; j < accesses; ++j) {
      std::uint64_t addresses[kWarpLanes];
      std::byte* pointers[kWarpLanes];
      for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
        const Element2d at = position(form, i, lane, j);
        const std::uint64_t index =
            form.along_rows ? at.row * leading + at.column : at.column * leading + at.row;
        addresses[lane] = base + index * bits / 8;
      }
      resolve(warp, op, access, kAllLanes, addresses, pointers);
      for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane) {
        std::byte* element = lanes + lane_bytes * lane + std::size_t{j} * bytes;
        if constexpr (kKind == AccessKind::kRead) {
          std::memcpy(element, pointers[lane], bytes);
        } else {
          std::memcpy(pointers[lane], element, bytes);
        }
      }
    }
  }
  if constexpr (kKind == AccessKind::kRead) {
    for (std::size_t i = form.distinct; i < form.registers.size(); ++i) {
      std::memcpy(write<std::byte>(warp, form.registers[i]),
                  read<std::byte>(warp, form.registers[i % form.distinct]), 4 * kWarpLanes);
    }
  }
  return op + 1;
}

struct WmmaWords {
  std::string_view action;    // load, store, mma
  std::string_view fragment;  // a, b, c, d
  Shape shape;
  std::vector<Element> types;
  std::vector<bool> by_rows;  // one for each layout word
  bool saturate = false;
  bool bit_and = false;
};

WmmaWords wmma_words(const ptx::Instruction& instruction) {
  WmmaWords words;
  for (const std::string& word : instruction.modifiers) {
    if (word == "load" || word == "store" || word == "mma") {
      words.action = word;
    } else if (word.size() == 1) {
      words.fragment = word;
    } else if (word == "row" || word == "col") {
      words.by_rows.push_back(word == "row");
    } else if (const auto shape = shape_named(word)) {
      words.shape = *shape;
    } else if (const auto element = element_named(word)) {
      words.types.push_back(*element);
    } else if (word == "satfinite") {
      words.saturate = true;
    } else if (word == "and") {
      words.bit_and = true;
    } else if (word != "sync" && word != "aligned" && word != "xor" && word != "popc" &&
               word != "rn" && word != "global" && !word.starts_with("shared")) {
      Assembler::unsupported("modifier ." + word + " of wmma");
    }
  }
  const Shape& s = words.shape;
  const bool known = s == Shape{16, 16, 16} || s == Shape{32, 8, 16} || s == Shape{8, 32, 16} ||
                     s == Shape{16, 16, 8} || s == Shape{8, 8, 4} || s == Shape{8, 8, 32} ||
                     s == Shape{8, 8, 128};
  if (!known) Assembler::unsupported("wmma of this shape");
  return words;
}

std::uint32_t registers_of(std::uint32_t elements, Element type) {
  const std::uint32_t bits = bits_of(type);
  return elements * bits / (bits == 64 ? 64 : 32) / kWarpLanes;
}

ptx::Type register_type(Element element) {
  if (element == Element::kF64) return ptx::Type::kF64;
  return element == Element::kF32 ? ptx::Type::kF32 : ptx::Type::kB32;
}

void decode_move(Assembler& assembler, const WmmaWords& words) {
  if (words.types.size() != 1 || words.by_rows.size() != 1) {
    Assembler::unsupported("wmma.load or wmma.store without one type and one layout");
  }
  const bool is_load = words.action == "load";
  const Shape& s = words.shape;
  const bool is_b = words.fragment == "b";
  FragmentForm form;
  form.type = words.types[0];
  form.is_accumulator = words.fragment == "c" || words.fragment == "d";
  const std::uint32_t rows = is_b ? s.N : s.M;
  const std::uint32_t columns = form.is_accumulator ? s.N : s.K;
  form.row_groups = rows / 8;
  form.distinct = registers_of(rows * columns, form.type);
  // A column of B is one "row" of the fragment.
  form.along_rows = words.by_rows[0] != is_b;
  form.leading = form.along_rows ? columns : rows;
  const std::size_t pointer_at = is_load ? 1 : 0;
  const std::size_t registers_at = is_load ? 0 : 1;
  form.pointer =
      pointer(assembler, assembler.operand(pointer_at), space_word(assembler.instruction()));
  if (assembler.num_operands() > 2) {
    form.has_stride = true;
    form.stride = assembler.source(2, ptx::Type::kB32);
  }
  const ptx::Type type = register_type(form.type);
  form.registers = is_load ? destinations(assembler, registers_at, type)
                           : sources(assembler, registers_at, type);
  if (form.registers.size() < form.distinct || form.distinct == 0 ||
      form.registers.size() % form.distinct != 0) {
    Assembler::unsupported("a wmma fragment of " + std::to_string(form.registers.size()) +
                           " registers");
  }
  if (!form.along_rows && bits_of(form.type) < 8) {
    Assembler::unsupported("a wmma fragment of less than a byte in this layout");
  }
  assembler.emit(is_load ? execute_move<AccessKind::kRead> : execute_move<AccessKind::kWrite>)
      .extra = assembler.keep(std::move(form));
}

struct CopyForm {
  std::vector<Place> from, to;
  std::size_t bytes;
};

const Op* execute_copies(Warp& warp, const Op* op) {
  if (lanes_of(warp, op) == 0) return op + 1;
  const auto& form = *static_cast<const CopyForm*>(op->extra);
  for (std::size_t i = 0; i < form.from.size(); ++i) {
    std::memcpy(write<std::byte>(warp, form.to[i]), read<std::byte>(warp, form.from[i]),
                form.bytes);
  }
  return op + 1;
}

// The products of mma.sync that make up one wmma.mma.
class Composition {
 public:
  Composition(Assembler& assembler, const WmmaWords& words) : assembler_(assembler) {
    whole_.shape = words.shape;
    whole_.saturate = words.saturate;
    whole_.bit_and = words.bit_and;
    if (words.types.size() == 4) {
      whole_.d_type = words.types[0];
      whole_.a_type = words.types[1];
      whole_.b_type = words.types[2];
      whole_.c_type = words.types[3];
    } else if (words.types.size() == 2) {
      whole_.d_type = words.types[0];
      whole_.c_type = words.types[1];
    } else {
      Assembler::unsupported("wmma.mma without two or four types");
    }
    if (whole_.saturate && whole_.d_type != Element::kS32) {
      Assembler::unsupported("wmma.mma.satfinite of floats");
    }
    const Shape& s = words.shape;
    d_ = destinations(assembler, 0, register_type(whole_.d_type));
    a_ = sources(assembler, 1, register_type(whole_.a_type));
    b_ = sources(assembler, 2, register_type(whole_.b_type));
    c_ = sources(assembler, 3, register_type(whole_.c_type));
    if (a_.size() < registers_of(s.M * s.K, whole_.a_type) ||
        b_.size() < registers_of(s.K * s.N, whole_.b_type) ||
        c_.size() != registers_of(s.M * s.N, whole_.c_type) ||
        d_.size() != registers_of(s.M * s.N, whole_.d_type)) {
      Assembler::unsupported("wmma.mma with numbers of registers that do not fit the shape");
    }
  }

  void emit() {
    // Results go to scratch first: a result may share its slot with an operand of a later product.
    for (std::size_t i = 0; i < d_.size(); ++i) {
      results_.push_back(assembler_.temporary(register_type(whole_.d_type)));
    }
    const Shape& s = whole_.shape;
    const bool small = s.N == 8 && s.M == 8;
    const std::uint32_t tall = std::max(1u, s.M / 16);
    for (std::uint32_t m = 0; m < tall; ++m) {
      for (std::uint32_t n = 0; n < s.N / 8; ++n) emit_part(m, n, small);
    }
    CopyForm copy{results_, d_, (whole_.d_type == Element::kF64 ? 8u : 4u) * kWarpLanes};
    assembler_.emit(execute_copies).extra = assembler_.keep(std::move(copy));
  }

 private:
  void emit_part(std::uint32_t m, std::uint32_t n, bool small) {
    const Shape& s = whole_.shape;
    const std::uint32_t row_groups = s.M / 8;
    const std::uint32_t column_groups = s.N / 8;
    // Shapes of 8 rows that mma.sync has go as they are; others get eight rows of zeros.
    const std::uint32_t groups = small ? 1 : 2;
    ProductForm part = whole_;
    part.shape = {8 * groups, 8, s.K};
    const std::uint32_t bits = bits_of(whole_.a_type);
    const std::uint32_t k_blocks = std::max(1u, s.K / (4 * (bits >= 32 ? 1 : 32 / bits)));
    for (std::uint32_t k = 0; k < k_blocks; ++k) {
      for (std::uint32_t r = 0; r < groups; ++r) {
        const std::uint32_t row = 2 * m + r;
        part.a[part.num_a++] = row < row_groups ? a_[row + row_groups * k] : zero();
      }
      part.b[part.num_b++] = b_[n + column_groups * k];
    }
    const auto accumulators = [&](Element type, const std::vector<Place>& all, bool is_result,
                                  std::array<Place, kMostProductRegisters>& to) {
      const std::uint32_t per_group = type == Element::kF16 ? 1 : 2;
      std::uint8_t count = 0;
      for (std::uint32_t r = 0; r < groups; ++r) {
        for (std::uint32_t i = 0; i < per_group; ++i) {
          const std::uint32_t row = 2 * m + r;
          to[count++] = row < row_groups ? all[(n * row_groups + row) * per_group + i]
                        : is_result      ? assembler_.temporary(ptx::Type::kB32)
                                         : zero();
        }
      }
      return count;
    };
    part.num_c = accumulators(whole_.c_type, c_, false, part.c);
    part.num_d = accumulators(whole_.d_type, results_, true, part.d);
    emit_product(assembler_, part);
  }

  Place zero() { return assembler_.constant(0, ptx::Type::kB32); }

  Assembler& assembler_;
  ProductForm whole_;
  std::vector<Place> a_, b_, c_, d_, results_;
};

}  // namespace

void decode_wmma(Assembler& assembler) {
  const WmmaWords words = wmma_words(assembler.instruction());
  if (words.action == "mma") {
    Composition(assembler, words).emit();
  } else {
    decode_move(assembler, words);
  }
}

}  // namespace ptx_emulator::tensor
