// wgmma: products of four warps that run behind the instructions. What they read and write is
// touched at wgmma.wait_group; until then the accumulators hold kNotReady, so that a missing wait
// shows.
#include <algorithm>
#include <cstring>
#include <string>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/tensor/warp_group.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

constexpr std::uint32_t kNotReady = 0x7FBADBADu;  // a NaN of f32, and of f16 in the upper half

std::uint32_t* slot(std::byte* frame, Place place) {
  return reinterpret_cast<std::uint32_t*>(frame + place.offset);
}

bool same_accumulators(const PendingProduct& pending, const WgmmaForm& form,
                       const std::byte* frame) {
  return pending.frame == frame &&
         std::equal(pending.form->d.begin(), pending.form->d.end(), form.d.begin(), form.d.end(),
                    [](Place x, Place y) { return x.offset == y.offset; });
}

bool overlaps(const PendingProduct& pending, const WgmmaForm& form, const std::byte* frame) {
  if (pending.frame != frame) return false;
  for (const Place x : pending.form->d) {
    for (const Place y : form.d) {
      if (x.offset == y.offset) return true;
    }
  }
  return false;
}

// Registers must be fenced between other instructions' use and wgmma's; those that a wait delivered
// and nobody changed are the exception.
void check_fence(const Warp& warp, const WarpAsync& async, const WgmmaForm& form) {
  if (async.fenced) return;
  bool unchanged = async.ever_fenced && !form.a_in_registers;
  if (unchanged) {
    unchanged = false;
    for (const auto& old : async.delivered) {
      if (!same_accumulators(*old, form, warp.bases[0])) continue;
      unchanged = true;
      for (std::size_t i = 0; i < form.d.size(); ++i) {
        unchanged &= std::memcmp(slot(warp.bases[0], form.d[i]), &old->accumulators[32 * i],
                                 4 * kWarpLanes) == 0;
      }
    }
  }
  if (!unchanged) {
    throw DeviceFault(FaultKind::kAsyncNotReady,
                      "wgmma.mma_async uses registers that other instructions wrote, without "
                      "wgmma.fence in between");
  }
}

PendingProduct& accumulators_of(Warp& warp, WarpAsync& async, const WgmmaForm& form) {
  for (const auto& pending : async.products) {
    if (same_accumulators(*pending, form, warp.bases[0])) return *pending;
    if (overlaps(*pending, form, warp.bases[0])) {
      throw DeviceFault(FaultKind::kAsyncNotReady,
                        "wgmma.mma_async shares some of its accumulators with one of another "
                        "shape that was not waited for");
    }
  }
  check_fence(warp, async, form);
  auto pending = std::make_unique<PendingProduct>();
  pending->form = &form;
  pending->frame = warp.bases[0];
  pending->accumulators.resize(kWarpLanes * form.d.size());
  for (std::size_t i = 0; i < form.d.size(); ++i) {
    std::uint32_t* registers = slot(warp.bases[0], form.d[i]);
    std::memcpy(&pending->accumulators[32 * i], registers, 4 * kWarpLanes);
    std::fill_n(registers, kWarpLanes, kNotReady);
  }
  async.products.push_back(std::move(pending));
  return *async.products.back();
}

std::uint32_t first_warp_of(const Warp& warp) {
  return warp.index / kWarpsOfGroup * kWarpsOfGroup;
}

const Op* execute_product(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  const auto& form = *static_cast<const WgmmaForm*>(op->extra);
  if (first_warp_of(warp) + kWarpsOfGroup > warp.block->warps.size()) {
    throw DeviceFault(FaultKind::kInvalidOperand,
                      "wgmma needs groups of four whole warps; warp " + std::to_string(warp.index) +
                          " belongs to a group that the block does not have");
  }
  IssuedProduct product;
  product.form = &form;
  product.op = op;
  product.b_descriptor = read<std::uint64_t>(warp, form.b_descriptor)[0];
  if (form.a_in_registers) {
    for (std::size_t i = 0; i < form.a.size(); ++i) {
      std::memcpy(product.a[i].data(), read<std::uint32_t>(warp, form.a[i]), 4 * kWarpLanes);
    }
  } else {
    product.a_descriptor = read<std::uint64_t>(warp, form.a_descriptor)[0];
  }
  product.accumulate = !form.has_scale_d || read_predicate(warp, form.scale_d) != 0;
  WarpAsync& async = async_of(warp);
  product.number = async.products_started++;
  product.group = async.products_committed;
  const bool first = async.products.empty();
  accumulators_of(warp, async, form).products.push_back(product);
  // From here on every instruction is looked at, which the run loop does.
  return first ? warp.suspend(Stop::kSwitch, op + 1) : op + 1;
}

const Op* execute_fence(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  WarpAsync& async = async_of(warp);
  async.fenced = true;
  async.ever_fenced = true;
  return op + 1;
}

const Op* execute_commit(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  ++async_of(warp).products_committed;
  return op + 1;
}

// Whether the other warps of the group have issued what is to be waited for; warps that have ended
// do not count.
bool others_have_issued(const Warp& warp, std::uint64_t groups) {
  const std::uint32_t first = first_warp_of(warp);
  for (std::uint32_t i = first; i < first + kWarpsOfGroup && i < warp.block->warps.size(); ++i) {
    const Warp& other = warp.block->warps[i];
    if (other.exited == kAllLanes) continue;
    if ((other.async ? other.async->products_committed : 0) < groups) return false;
  }
  return true;
}

void write_results(Warp& warp, const PendingProduct& pending) {
  (void)warp;
  for (std::size_t i = 0; i < pending.form->d.size(); ++i) {
    std::uint32_t* registers = slot(pending.frame, pending.form->d[i]);
    std::uint32_t different = 0;
    for (std::uint32_t lane = 0; lane < kWarpLanes; ++lane)
      different |= registers[lane] ^ kNotReady;
    for (std::uint32_t lane = 0; different != 0 && lane < kWarpLanes; ++lane) {
      if (registers[lane] != kNotReady) {
        throw DeviceFault(FaultKind::kAsyncNotReady,
                          "accumulator " + std::to_string(i) +
                              " of a wgmma.mma_async was written before wgmma.wait_group",
                          lane);
      }
    }
    std::memcpy(registers, &pending.accumulators[32 * i], 4 * kWarpLanes);
  }
}

const Op* execute_wait(Warp& warp, const Op* op) {
  const Entry entry = enter(warp, op);
  if (entry != Entry::kExecute) return entry == Entry::kSkip ? op + 1 : nullptr;
  if (!warp.async || warp.async->products.empty()) return op + 1;
  WarpAsync& async = *warp.async;
  if (async.products_committed <= op->small) return op + 1;
  const std::uint64_t groups = async.products_committed - op->small;
  // The hardware multiplies for all four warps at once: the one that waits first waits for the
  // others' instructions.
  if (!others_have_issued(warp, groups)) return warp.suspend(Stop::kYield, op);
  compute_groups(*warp.block, first_warp_of(warp), groups);
  std::vector<std::unique_ptr<PendingProduct>> remaining;
  std::vector<std::unique_ptr<PendingProduct>> delivered;
  for (auto& pending : async.products) {
    if (pending->computed < pending->products.size()) {
      remaining.push_back(std::move(pending));
      continue;
    }
    write_results(warp, *pending);
    pending->products.clear();
    delivered.push_back(std::move(pending));
  }
  async.products = std::move(remaining);
  if (!delivered.empty()) {
    async.delivered = std::move(delivered);
    async.fenced = false;
  }
  return op + 1;
}

bool exists(const WgmmaForm& form) {
  const Element a = form.a_type;
  const Element b = form.b_type;
  const Element d = form.d_type;
  const Shape& s = form.shape;
  if (s.M != 64 || s.N % 8 != 0 || s.N == 0 || s.N > 256) return false;
  const auto is_e = [](Element e) { return e == Element::kE4m3 || e == Element::kE5m2; };
  const auto is_i = [](Element e) { return e == Element::kS8 || e == Element::kU8; };
  if (a == Element::kF16 && b == a) return s.K == 16 && (d == Element::kF16 || d == Element::kF32);
  if (a == Element::kBf16 && b == a) return s.K == 16 && d == Element::kF32;
  if (a == Element::kTf32 && b == a) return s.K == 8 && d == Element::kF32;
  if (is_e(a) && is_e(b)) return s.K == 32 && (d == Element::kF16 || d == Element::kF32);
  return is_i(a) && is_i(b) && s.K == 32 && d == Element::kS32;
}

bool one_or(Assembler& assembler, std::size_t i, std::int64_t other) {
  const std::int64_t value = assembler.integer(i);
  if (value != 1 && value != other) Assembler::unsupported("an immediate of this value in wgmma");
  return value == other;
}

void place_operands(Assembler& assembler, WgmmaForm& form) {
  const ptx::Type type = form.d_type == Element::kF32 ? ptx::Type::kF32 : ptx::Type::kB32;
  form.d = destinations(assembler, 0, type);
  if (form.d.size() != form.shape.N / (form.d_type == Element::kF16 ? 4 : 2)) {
    Assembler::unsupported("a number of accumulators that does not fit the shape");
  }
  form.a_in_registers = assembler.operand(1).kind == ptx::Operand::Kind::kVector;
  if (form.a_in_registers) {
    const std::vector<Place> a = sources(assembler, 1, ptx::Type::kB32);
    if (a.size() != form.a.size()) Assembler::unsupported("A of other than four registers");
    std::copy(a.begin(), a.end(), form.a.begin());
  } else {
    form.a_descriptor = assembler.source(1, ptx::Type::kB64);
  }
  form.b_descriptor = assembler.source(2, ptx::Type::kB64);
  std::size_t next = 3;
  if (assembler.num_operands() > next) {
    form.has_scale_d = true;
    form.scale_d = assembler.source(next++, ptx::Type::kPred);
  }
  if (form.d_type != Element::kS32 && assembler.num_operands() > next) {
    form.negate_a = one_or(assembler, next++, -1);
    form.negate_b = one_or(assembler, next++, -1);
  }
  const bool halves = form.a_type == Element::kF16 || form.a_type == Element::kBf16;
  if (halves && assembler.num_operands() > next) {
    if (!form.a_in_registers) form.transpose_a = !one_or(assembler, next++, 0);
    form.transpose_b = !one_or(assembler, next++, 0);
  }
  if (assembler.num_operands() != next) Assembler::unsupported("wgmma with so many operands");
}

}  // namespace

void decode_wgmma(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  if (instruction.has("fence")) {
    assembler.emit(execute_fence);
    return;
  }
  if (instruction.has("commit_group")) {
    assembler.emit(execute_commit);
    return;
  }
  if (instruction.has("wait_group")) {
    const std::int64_t kept = assembler.integer(0);
    if (kept < 0 || kept > 0x7FFFFFFF) Assembler::unsupported("wgmma.wait_group of this number");
    assembler.emit(execute_wait).small = static_cast<std::uint32_t>(kept);
    return;
  }
  WgmmaForm form;
  std::vector<Element> types;
  for (const std::string& word : instruction.modifiers) {
    if (const auto element = element_named(word)) {
      types.push_back(*element);
    } else if (const auto shape = shape_named(word)) {
      form.shape = *shape;
    } else if (word == "satfinite") {
      form.saturate = true;
    } else if (word != "mma_async" && word != "sync" && word != "aligned") {
      Assembler::unsupported("modifier ." + word + " of wgmma");
    }
  }
  if (types.size() != 3) Assembler::unsupported("wgmma without three types");
  form.d_type = types[0];
  form.a_type = types[1];
  form.b_type = types[2];
  if (!exists(form)) Assembler::unsupported("wgmma of this shape and these types");
  place_operands(assembler, form);
  assembler.emit(execute_product).extra = assembler.keep(std::move(form));
}

}  // namespace ptx_emulator::tensor
