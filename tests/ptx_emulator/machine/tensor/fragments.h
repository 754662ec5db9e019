#pragma once
// Register fragments of mma.sync as the PTX manual lays them out. With g = lane / 4, t = lane % 4
// and E elements in a register (one for f64), element j of register i is
//   A: row g + 8 (i % 2), k = 4 E (i / 2) + E t + j        (shapes of 8 rows: row g, k = 4 E i + E
//   t + j)
//   B: k = 4 E i + E t + j, column g
//   C: row g + 8 (i / 2), column 2 t + i % 2; of f16 two columns to a register.

#include "tests/ptx_emulator/machine/assembler.h"
#include "tests/ptx_emulator/machine/tensor/product_form.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator::tensor {

// Fills in the registers of operands d, a, b, c. Throws UnsupportedInstruction where their numbers
// do not fit the shape.
void place_fragments(Assembler& assembler, ProductForm& form);

// Emits the op of a product whose registers are placed. Throws UnsupportedInstruction where
// mma.sync has no such shape.
void emit_product(Assembler& assembler, ProductForm form);

// d = a b + c for a whole warp; outputs may be inputs.
void multiply_floats(Warp& warp, const ProductForm& form);  // tf32, 8-bit floats, f16 accumulators
void multiply_integers(Warp& warp, const ProductForm& form);  // wraps, or saturates once at the end
void multiply_bits(Warp& warp, const ProductForm& form);
void multiply_doubles(Warp& warp, const ProductForm& form);

}  // namespace ptx_emulator::tensor
