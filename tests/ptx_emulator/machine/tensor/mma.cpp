// mma.sync: register fragments times register fragments.
#include <algorithm>
#include <bit>
#include <string>

#include "tests/ptx_emulator/machine/tensor/fragments.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/tensor/product_form.h"
#include "tests/ptx_emulator/machine/tensor/products.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

using Run = void (*)(Warp&, const ProductForm&);

template <Run kRun>
const Op* execute_product(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  const auto& form = *static_cast<const ProductForm*>(op->extra);
  kRun(warp, form);
  count_product(warp, op, form.flops());
  return op + 1;
}

// The forms of attention and linear layers, straight on the registers.
template <int kDepth>
void multiply_halves(Warp& warp, const ProductForm& form) {
  // Filled in at once: to clear it first takes a tenth of the product's time. Of k8 the second half
  // repeats the first, and nobody reads it.
  constexpr std::size_t kA = kDepth == 16 ? 2 : 0;
  const auto a = [&](std::size_t i) { return read<std::uint32_t>(warp, form.a[i]); };
  const auto b = [&](std::size_t i) { return read<std::uint32_t>(warp, form.b[i]); };
  const auto c = [&](std::size_t i) { return read<float>(warp, form.c[i]); };
  const auto d = [&](std::size_t i) { return write<float>(warp, form.d[i]); };
  const HalfProduct product{{a(0), a(1), a(kA), a(kA + 1)},
                            {b(0), b(kDepth == 16 ? 1 : 0)},
                            {c(0), c(1), c(2), c(3)},
                            {d(0), d(1), d(2), d(3)}};
  form.half_kernel(product);
}

bool is(const ProductForm& form, Shape shape, Element input, Element output) {
  return form.shape == shape && form.a_type == input && form.b_type == input &&
         form.c_type == output && form.d_type == output;
}

// Chooses the handler, and the kernel where it is one of the halves'.
Handler handler_for(ProductForm& form) {
  constexpr Shape kK16{16, 8, 16};
  constexpr Shape kK8{16, 8, 8};
  const ProductKernels& kernels = product_kernels();
  if (is(form, kK16, Element::kBf16, Element::kF32)) form.half_kernel = kernels.bf16_k16;
  if (is(form, kK16, Element::kF16, Element::kF32)) form.half_kernel = kernels.f16_k16;
  if (is(form, kK8, Element::kBf16, Element::kF32)) form.half_kernel = kernels.bf16_k8;
  if (is(form, kK8, Element::kF16, Element::kF32)) form.half_kernel = kernels.f16_k8;
  if (form.half_kernel != nullptr) {
    return form.shape == kK16 ? execute_product<multiply_halves<16>>
                              : execute_product<multiply_halves<8>>;
  }
  if (form.c_type == Element::kF64) return execute_product<multiply_doubles>;
  if (form.a_type == Element::kB1) return execute_product<multiply_bits>;
  if (form.c_type == Element::kS32) return execute_product<multiply_integers>;
  return execute_product<multiply_floats>;
}

// Whether the ISA has the combination; anything else is refused by name.
bool exists(const ProductForm& form) {
  const Element a = form.a_type;
  const Element b = form.b_type;
  const auto shaped = [&](std::initializer_list<Shape> shapes) {
    return std::find(shapes.begin(), shapes.end(), form.shape) != shapes.end();
  };
  const bool float_out = (form.c_type == Element::kF32 || form.c_type == Element::kF16) &&
                         (form.d_type == Element::kF32 || form.d_type == Element::kF16);
  const bool single_out = form.c_type == Element::kF32 && form.d_type == Element::kF32;
  const bool integer_out = form.c_type == Element::kS32 && form.d_type == Element::kS32;
  const auto in = [](Element e, Element x, Element y) { return e == x || e == y; };
  if (a == Element::kF16 && b == a) return float_out && shaped({{16, 8, 8}, {16, 8, 16}});
  if (a == Element::kBf16 && b == a) return single_out && shaped({{16, 8, 8}, {16, 8, 16}});
  if (a == Element::kTf32 && b == a) return single_out && shaped({{16, 8, 4}, {16, 8, 8}});
  if (a == Element::kF64 && b == a) {
    return form.c_type == a && form.d_type == a &&
           shaped({{8, 8, 4}, {16, 8, 4}, {16, 8, 8}, {16, 8, 16}});
  }
  if (in(a, Element::kE4m3, Element::kE5m2) && in(b, Element::kE4m3, Element::kE5m2)) {
    return float_out && form.c_type == form.d_type && shaped({{16, 8, 16}, {16, 8, 32}});
  }
  if (in(a, Element::kS8, Element::kU8) && in(b, Element::kS8, Element::kU8)) {
    return integer_out && shaped({{8, 8, 16}, {16, 8, 16}, {16, 8, 32}});
  }
  if (in(a, Element::kS4, Element::kU4) && in(b, Element::kS4, Element::kU4)) {
    return integer_out && shaped({{8, 8, 32}, {16, 8, 32}, {16, 8, 64}});
  }
  return a == Element::kB1 && b == a && integer_out &&
         shaped({{8, 8, 128}, {16, 8, 128}, {16, 8, 256}});
}

}  // namespace

void emit_product(Assembler& assembler, ProductForm form) {
  if (!exists(form)) Assembler::unsupported("a product of this shape and these types");
  const Handler handler = handler_for(form);
  assembler.emit(handler).extra = assembler.keep(form);
}

void decode_mma(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  ProductForm form;
  std::vector<Element> types;
  for (const std::string& word : instruction.modifiers) {
    if (const auto element = element_named(word)) {
      types.push_back(*element);
    } else if (const auto shape = shape_named(word)) {
      form.shape = *shape;
    } else if (word == "satfinite") {
      form.saturate = true;
    } else if (word == "and") {
      form.bit_and = true;
    } else if (word == "sp" || word.starts_with("sp::")) {
      Assembler::unsupported("sparse matrix products are not implemented");
    } else if (word == "col") {
      // Only A by rows and B by columns exist in the shapes below.
    } else if (word != "sync" && word != "aligned" && word != "row" && word != "xor" &&
               word != "popc" && word != "rn") {
      Assembler::unsupported("modifier ." + word + " of mma");
    }
  }
  if (types.size() != 4) Assembler::unsupported("mma without four types");
  form.d_type = types[0];
  form.a_type = types[1];
  form.b_type = types[2];
  form.c_type = types[3];
  // Checked first: place_fragments divides by what the shape implies.
  if (!exists(form)) Assembler::unsupported("mma of this shape and these types");
  place_fragments(assembler, form);
  emit_product(assembler, form);
}

}  // namespace ptx_emulator::tensor
