// mbarrier.*: barriers in shared memory that count arrivals and bytes.
#include <cstring>
#include <optional>
#include <string>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/tensor/addresses.h"
#include "tests/ptx_emulator/machine/tensor/delivery.h"
#include "tests/ptx_emulator/machine/tensor/mbarrier_word.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

namespace ptx_emulator::tensor {
namespace {

struct BarrierForm {
  Pointer pointer;
  std::optional<Place> count;  // arrivals or bytes
  std::optional<Place> state;  // 64 bits, or a parity
  std::optional<Place> result;
  bool by_parity = false;
  bool drops = false;          // arrive_drop
  bool expects_bytes = false;  // .expect_tx on an arrive
  bool may_not_complete = false;
  bool counted_at_init = false;  // .noinc
};

MbarrierWord load(const std::byte* at, std::uint32_t lane) {
  std::uint64_t bits;
  std::memcpy(&bits, at, sizeof bits);
  if (!MbarrierWord::is_valid(bits)) {
    throw DeviceFault(FaultKind::kInvalidBarrier,
                      "the mbarrier was never initialised (or was invalidated or overwritten)",
                      lane);
  }
  return MbarrierWord::unpack(bits);
}
void store(std::byte* at, const MbarrierWord& word) {
  const std::uint64_t bits = word.pack();
  std::memcpy(at, &bits, sizeof bits);
}

void expect(MbarrierWord& word, std::int64_t bytes, std::uint32_t lane) {
  const std::int64_t sum = word.transactions + bytes;
  if (sum > MbarrierWord::kMostTransactions || sum < -MbarrierWord::kMostTransactions) {
    throw DeviceFault(
        FaultKind::kInvalidBarrier,
        "an mbarrier counts at most 1048575 bytes; this would make " + std::to_string(sum), lane);
  }
  word.transactions = static_cast<std::int32_t>(sum);
}

void arrive(MbarrierWord& word, std::uint32_t count, std::uint32_t lane) {
  if (count == 0 || count > word.pending) {
    throw DeviceFault(FaultKind::kInvalidBarrier,
                      "arrival of " + std::to_string(count) + " on an mbarrier that waits for " +
                          std::to_string(word.pending) + " of " + std::to_string(word.expected),
                      lane);
  }
  word.pending -= count;
}

// Calls each(lane, host address of the barrier) for the lanes of the instruction.
template <typename Each>
const Op* for_each_barrier(Warp& warp, const Op* op, Each each,
                           AccessKind kind = AccessKind::kAtomic) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return op + 1;
  const auto& form = *static_cast<const BarrierForm*>(op->extra);
  std::uint64_t addresses[kWarpLanes];
  std::byte* pointers[kWarpLanes];
  form.pointer.all(warp, addresses);
  const AccessForm access{.space = form.pointer.space,
                          .kind = kind,
                          .bytes = 8,
                          .alignment = 8,
                          .cluster = form.pointer.cluster,
                          .volatile_or_strong = true};
  resolve(warp, op, access, lanes, addresses, pointers);
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctz(rest));
    each(form, lane, pointers[lane]);
  }
  return op + 1;
}

std::uint64_t object_of(const std::byte* barrier) {
  return reinterpret_cast<std::uint64_t>(barrier);
}

const Op* execute_init(Warp& warp, const Op* op) {
  return for_each_barrier(
      warp, op,
      [&](const BarrierForm& form, std::uint32_t lane, std::byte* at) {
        const std::uint32_t count = read<std::uint32_t>(warp, *form.count)[lane];
        if (count == 0 || count > MbarrierWord::kMostArrivals) {
          throw DeviceFault(FaultKind::kInvalidBarrier,
                            "mbarrier.init with a count of " + std::to_string(count) +
                                "; it must be 1 to 1048575",
                            lane);
        }
        store(at, {.pending = count, .expected = count});
      },
      AccessKind::kWrite);
}

const Op* execute_inval(Warp& warp, const Op* op) {
  return for_each_barrier(warp, op, [&](const BarrierForm&, std::uint32_t lane, std::byte* at) {
    load(at, lane);
    std::memset(at, 0, 8);
  });
}

const Op* execute_arrive(Warp& warp, const Op* op) {
  return for_each_barrier(
      warp, op, [&](const BarrierForm& form, std::uint32_t lane, std::byte* at) {
        MbarrierWord word = load(at, lane);
        const std::uint64_t before = word.pack();
        std::uint32_t count = form.count ? read<std::uint32_t>(warp, *form.count)[lane] : 1;
        if (form.expects_bytes) {
          expect(word, count, lane);
          count = 1;
        }
        if (form.drops && count <= word.expected) word.expected -= count;
        arrive(word, count, lane);
        if (Observer* observer = warp.block->observer) {
          observer->release(warp, 1u << lane, object_of(at));
        }
        if (word.advance() && form.may_not_complete) {
          throw DeviceFault(FaultKind::kInvalidBarrier,
                            "mbarrier.arrive.noComplete completes the phase", lane);
        }
        store(at, word);
        if (form.result) write<std::uint64_t>(warp, *form.result)[lane] = before;
      });
}

// expect_tx adds to the bytes that are waited for, complete_tx takes away.
template <int kSign>
const Op* execute_transactions(Warp& warp, const Op* op) {
  return for_each_barrier(
      warp, op, [&](const BarrierForm& form, std::uint32_t lane, std::byte* at) {
        MbarrierWord word = load(at, lane);
        expect(word, kSign * std::int64_t{read<std::uint32_t>(warp, *form.count)[lane]}, lane);
        if (kSign < 0) word.advance();
        store(at, word);
      });
}

Block& owner_of(Warp& warp, const std::byte* at) {
  for (Block* block : warp.block->cluster->blocks) {
    if (at >= block->shared && at < block->shared + block->shared_bytes) return *block;
  }
  return *warp.block;
}

bool has_completed(const Warp& warp, const BarrierForm& form, std::uint32_t lane,
                   const std::byte* at) {
  const bool parity = load(at, lane).parity;
  if (form.by_parity) return parity != ((read<std::uint32_t>(warp, *form.state)[lane] & 1u) != 0);
  return parity != (read<std::uint64_t>(warp, *form.state)[lane] >> 63 != 0);
}

const Op* execute_wait(Warp& warp, const Op* op) {
  std::uint32_t done = 0;
  const std::uint32_t lanes = lanes_of(warp, op);
  const Op* next =
      for_each_barrier(warp, op, [&](const BarrierForm& form, std::uint32_t lane, std::byte* at) {
        if (!has_completed(warp, form, lane, at)) {
          // Somebody waits: now the copies come.
          deliver_on(owner_of(warp, at), at);
          if (!has_completed(warp, form, lane, at)) return;
        }
        done |= 1u << lane;
        if (Observer* observer = warp.block->observer) {
          observer->acquire(warp, 1u << lane, object_of(at));
        }
      });
  const auto& form = *static_cast<const BarrierForm*>(op->extra);
  write_predicate(warp, *form.result, lanes, done);
  // The phase depends on others: they get their turn before this warp asks again.
  if (done != lanes) return warp.suspend(Stop::kYield, next);
  return next;
}

const Op* execute_pending_count(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  const auto* states = read<std::uint64_t>(warp, op->a);
  auto* counts = write<std::uint32_t>(warp, op->d);
  std::uint32_t results[kWarpLanes];
  for (std::uint32_t i = 0; i < kWarpLanes; ++i)
    results[i] = MbarrierWord::unpack(states[i]).pending;
  for (std::uint32_t i = 0; i < kWarpLanes; ++i) {
    if ((lanes >> i & 1u) != 0) counts[i] = results[i];
  }
  return op + 1;
}

const Op* execute_arrive_after_copies(Warp& warp, const Op* op) {
  return for_each_barrier(
      warp, op, [&](const BarrierForm& form, std::uint32_t lane, std::byte* at) {
        MbarrierWord word = load(at, lane);
        if (!form.counted_at_init) {
          if (word.pending == MbarrierWord::kMostArrivals) {
            throw DeviceFault(FaultKind::kInvalidBarrier,
                              "an mbarrier waits for at most 1048575 arrivals", lane);
          }
          ++word.pending;
          store(at, word);
        }
        if (Observer* observer = warp.block->observer) {
          observer->release(warp, 1u << lane, object_of(at));
        }
        async_of(owner_of(warp, at)).arrivals.push_back({at, &warp, lane});
      });
}

constexpr std::string_view kWords[] = {
    "mbarrier", "async",   "b64",         "shared",    "shared::cta",  "shared::cluster",
    "release",  "acquire", "relaxed",     "cta",       "cluster",      "init",
    "inval",    "arrive",  "arrive_drop", "expect_tx", "complete_tx",  "test_wait",
    "try_wait", "parity",  "noComplete",  "noinc",     "pending_count"};

void check_words(const ptx::Instruction& instruction) {
  for (const std::string& word : instruction.modifiers) {
    bool known = false;
    for (const std::string_view name : kWords) known |= name == word;
    if (!known) Assembler::unsupported("modifier ." + word + " of " + instruction.opcode);
  }
}

void emit_barrier_op(Assembler& assembler, Handler handler, BarrierForm form) {
  assembler.emit(handler).extra = assembler.keep(std::move(form));
}

void decode_arrive(Assembler& assembler, BarrierForm form) {
  const ptx::Instruction& instruction = assembler.instruction();
  // A remote barrier (.shared::cluster) gives no state: then the address comes first, or after the
  // sink `_`.
  const bool has_result = assembler.operand(0).kind != ptx::Operand::Kind::kAddress;
  const std::size_t address = has_result ? 1 : 0;
  if (has_result && !assembler.operand(0).name.empty()) {
    form.result = assembler.destination(0, ptx::Type::kB64);
  }
  form.pointer = pointer(assembler, assembler.operand(address), space_word(instruction));
  if (assembler.num_operands() > address + 1) {
    form.count = assembler.source(address + 1, ptx::Type::kB32);
  }
  form.expects_bytes = instruction.has("expect_tx");
  if (form.expects_bytes && !form.count) Assembler::unsupported("expect_tx without bytes");
  form.drops = instruction.has("arrive_drop");
  form.may_not_complete = instruction.has("noComplete");
  emit_barrier_op(assembler, execute_arrive, std::move(form));
}

void decode_wait(Assembler& assembler, BarrierForm form) {
  const ptx::Instruction& instruction = assembler.instruction();
  form.by_parity = instruction.has("parity");
  form.pointer = pointer(assembler, assembler.operand(1), space_word(instruction));
  form.state = assembler.source(2, form.by_parity ? ptx::Type::kB32 : ptx::Type::kB64);
  // A fourth operand limits the time of try_wait, which may return at any time.
  form.result = assembler.destination(0, ptx::Type::kPred);
  emit_barrier_op(assembler, execute_wait, std::move(form));
}

}  // namespace

void complete_transactions(std::byte* barrier, std::uint64_t bytes) {
  MbarrierWord word = load(barrier, 32);
  expect(word, -static_cast<std::int64_t>(bytes), 32);
  word.advance();
  store(barrier, word);
}

void arrive_asynchronously(std::byte* barrier) {
  MbarrierWord word = load(barrier, 32);
  arrive(word, 1, 32);
  word.advance();
  store(barrier, word);
}

void decode_mbarrier(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  check_words(instruction);
  const std::string kind = instruction.modifiers.empty() ? "" : instruction.modifiers.front();
  BarrierForm form;
  if (kind == "arrive" || kind == "arrive_drop") return decode_arrive(assembler, form);
  if (kind == "test_wait" || kind == "try_wait") return decode_wait(assembler, form);
  if (kind == "pending_count") {
    const Place state = assembler.source(1, ptx::Type::kB64);
    const Place count = assembler.destination(0, ptx::Type::kB32);
    Op& op = assembler.emit(execute_pending_count);
    op.a = state;
    op.d = count;
    return;
  }
  form.pointer = pointer(assembler, assembler.operand(0), space_word(instruction));
  if (kind == "inval") return emit_barrier_op(assembler, execute_inval, form);
  form.count = assembler.source(1, ptx::Type::kB32);
  if (kind == "init") return emit_barrier_op(assembler, execute_init, form);
  if (kind == "expect_tx") return emit_barrier_op(assembler, execute_transactions<1>, form);
  if (kind == "complete_tx") return emit_barrier_op(assembler, execute_transactions<-1>, form);
  Assembler::unsupported("mbarrier." + kind);
}

void decode_copy_arrival(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  check_words(instruction);
  BarrierForm form;
  form.counted_at_init = instruction.has("noinc");
  form.pointer = pointer(assembler, assembler.operand(0), space_word(instruction));
  emit_barrier_op(assembler, execute_arrive_after_copies, form);
}

}  // namespace ptx_emulator::tensor
