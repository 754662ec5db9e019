// st.async and red.async: values of single lanes into shared memory of the cluster, counted by an
// mbarrier beside them.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>

#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/tensor/bulk_form.h"
#include "tests/ptx_emulator/machine/tensor/combine.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

constexpr std::size_t kMostElements = 4;

struct AsyncStoreForm {
  Pointer destination, barrier;
  Place values[kMostElements];
  std::uint32_t count = 1;
  std::uint32_t element_bytes = 4;
  BulkCombine combine = nullptr;
};

const Op* execute_store(Warp& warp, const Op* op) {
  const auto& form = *static_cast<const AsyncStoreForm*>(op->extra);
  const std::uint32_t bytes = form.count * form.element_bytes;
  for (std::uint32_t rest = lanes_of(warp, op); rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctz(rest));
    const SharedPlace to = shared_place(warp, form.destination.at(warp, lane));
    const SharedPlace barrier = shared_place(warp, form.barrier.at(warp, lane));
    if (to.rank != barrier.rank) {
      throw DeviceFault(FaultKind::kInvalidBarrier,
                        "the mbarrier is in block " + std::to_string(barrier.rank) +
                            " of the cluster, the value goes to block " + std::to_string(to.rank),
                        lane);
    }
    BulkCopy copy;
    copy.lane = lane;
    copy.combine = form.combine;
    copy.transaction_bytes = bytes;
    copy.barrier = resolve_range(warp, op, AccessSpace::kShared, AccessKind::kAtomic,
                                 shared_address(barrier.rank, barrier.offset), 8, 8);
    std::byte* destination = resolve_range(warp, op, AccessSpace::kShared, AccessKind::kAsyncWrite,
                                           shared_address(to.rank, to.offset), bytes, bytes);
    copy.kept = std::make_unique<std::byte[]>(bytes);
    for (std::uint32_t e = 0; e < form.count; ++e) {
      std::memcpy(copy.kept.get() + std::size_t{e} * form.element_bytes,
                  read<std::byte>(warp, form.values[e]) + lane * form.element_bytes,
                  form.element_bytes);
    }
    copy.pieces.push_back({destination, copy.kept.get(), bytes});
    queue_copy(warp, std::move(copy));
  }
  return op + 1;
}

struct Words {
  std::string operation, type;
  std::uint32_t count = 1;
};

Words words_of(const ptx::Instruction& instruction) {
  static constexpr std::string_view kAccepted[] = {
      "async",           "weak",   "relaxed", "cluster", "mbarrier::complete_tx::bytes",
      "shared::cluster", "release"};
  Words words;
  for (const std::string& word : instruction.modifiers) {
    if (word == "v2" || word == "v4") {
      words.count = static_cast<std::uint32_t>(word[1] - '0');
    } else if (ptx::type_named(word)) {
      words.type = word;
    } else if (word == "add" || word == "min" || word == "max" || word == "inc" || word == "dec" ||
               word == "and" || word == "or" || word == "xor") {
      words.operation = word;
    } else if (std::find(std::begin(kAccepted), std::end(kAccepted), word) == std::end(kAccepted)) {
      Assembler::unsupported("modifier ." + word + " of an asynchronous " + instruction.opcode);
    }
  }
  if (!instruction.has("mbarrier::complete_tx::bytes"))
    Assembler::unsupported("an asynchronous " + instruction.opcode + " without an mbarrier");
  return words;
}

void decode(Assembler& assembler, bool reduces) {
  const ptx::Instruction& instruction = assembler.instruction();
  const Words words = words_of(instruction);
  const auto type = ptx::type_named(words.type);
  const std::uint32_t bits = type ? ptx::bits_of(*type) : 0;
  if (bits != 32 && bits != 64) Assembler::unsupported("a type of 32 or 64 bits");
  AsyncStoreForm form;
  form.count = words.count;
  form.element_bytes = bits / 8;
  if (reduces) {
    form.combine = combine_for(words.operation, words.type);
    if (form.combine == nullptr || words.count != 1)
      Assembler::unsupported("a reduction of this type");
  }
  form.destination = pointer(assembler, assembler.operand(0), "shared::cluster");
  const std::vector<Place> values =
      sources(assembler, 1, bits == 32 ? ptx::Type::kB32 : ptx::Type::kB64);
  if (values.size() != words.count) Assembler::unsupported("as many registers as elements");
  std::copy(values.begin(), values.end(), form.values);
  form.barrier = pointer(assembler, assembler.operand(2), "shared::cluster");
  assembler.emit(execute_store).extra = assembler.keep(form);
}

}  // namespace

void decode_st_async(Assembler& assembler) {
  decode(assembler, false);
}
void decode_red_async(Assembler& assembler) {
  decode(assembler, true);
}

}  // namespace ptx_emulator::tensor
