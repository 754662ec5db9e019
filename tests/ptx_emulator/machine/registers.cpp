#include "tests/ptx_emulator/machine/registers.h"

#include <algorithm>
#include <queue>
#include <stdexcept>
#include <unordered_set>

namespace ptx_emulator {
namespace {

// Every register of a function by number, with its declared width.
class Registers {
 public:
  explicit Registers(const ptx::Function& function) {
    for (const ptx::RegisterDeclaration& declaration : function.registers) {
      declared_.emplace(declaration.name, &declaration);
    }
    for (const auto* list : {&function.parameters, &function.return_parameters}) {
      for (const ptx::Variable& variable : *list) {
        if (variable.space == ptx::Space::kRegister)
          number(variable.name, ptx::bits_of(variable.type));
      }
    }
  }
  std::uint32_t number(const std::string& name) {
    const auto found = numbers_.find(name);
    if (found != numbers_.end()) return found->second;
    return number(name, declared_bits(name));
  }
  std::size_t count() const { return names_.size(); }
  const std::string& name(std::uint32_t number) const { return names_[number]; }
  std::uint32_t bits(std::uint32_t number) const { return bits_[number]; }

 private:
  std::uint32_t number(const std::string& name, std::uint32_t bits) {
    const auto [place, added] = numbers_.emplace(name, static_cast<std::uint32_t>(names_.size()));
    if (added) {
      names_.push_back(name);
      bits_.push_back(bits);
    }
    return place->second;
  }
  std::uint32_t declared_bits(const std::string& name) const {
    auto found = declared_.find(name);
    if (found == declared_.end()) {
      // %r12 of `%r<18>`; of several declarations that fit (%r<9>, %r1<3>) the one that covers the
      // number.
      for (std::size_t end = name.size(); end > 1 && name[end - 1] >= '0' && name[end - 1] <= '9';
           --end) {
        const auto range = declared_.find(name.substr(0, end - 1));
        if (range == declared_.end() || !range->second->count || name.size() - end > 9) continue;
        if (std::stoul(name.substr(end - 1)) < *range->second->count) found = range;
      }
    }
    if (found == declared_.end()) throw std::runtime_error("register " + name + " is not declared");
    const ptx::RegisterDeclaration& declaration = *found->second;
    if (declaration.vector_length != 1)
      throw std::runtime_error("vector register " + name + " is not supported");
    const std::uint32_t bits = ptx::bits_of(declaration.type);
    if (bits == 0) throw std::runtime_error("register " + name + " has a type without a size");
    return bits;
  }

  std::unordered_map<std::string, const ptx::RegisterDeclaration*> declared_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<std::string> names_;
  std::vector<std::uint32_t> bits_;
};

struct Uses {
  std::vector<std::uint32_t> reads, writes;
  bool kills = true;  // the writes replace the old value in every lane
};

void collect(const ptx::Operand& operand, Registers& registers, std::vector<std::uint32_t>& into) {
  if (operand.kind == ptx::Operand::Kind::kRegister) {
    if (!operand.name.empty()) into.push_back(registers.number(operand.name));
  } else if (operand.kind == ptx::Operand::Kind::kAddress) {
    if (operand.base_is_register) into.push_back(registers.number(operand.name));
  }
  for (const ptx::Operand& part : operand.parts) collect(part, registers, into);
}

bool is_partial(const ptx::Operand& operand) {
  return !operand.component.empty() ||
         std::any_of(operand.parts.begin(), operand.parts.end(),
                     [](const ptx::Operand& p) { return is_partial(p); });
}

Uses uses_of(const ptx::Instruction& instruction, Registers& registers) {
  Uses uses;
  if (!instruction.guard.empty()) {
    uses.reads.push_back(registers.number(instruction.guard));
    uses.kills = false;
  }
  for (std::size_t i = 0; i < instruction.operands.size(); ++i) {
    const ptx::Operand& operand = instruction.operands[i];
    const bool results =
        i == 0 && operand.kind != ptx::Operand::Kind::kAddress &&
        (writes_first_operand(instruction.opcode) ||
         (instruction.opcode == "call" && operand.kind == ptx::Operand::Kind::kList &&
          instruction.operands.size() > 1));
    if (results) {
      collect(operand, registers, uses.writes);
      if (is_partial(operand)) uses.kills = false;
    } else {
      collect(operand, registers, uses.reads);
    }
  }
  return uses;
}

using Bits = std::vector<std::uint64_t>;
bool has(const Bits& bits, std::uint32_t i) {
  return (bits[i / 64] >> (i % 64) & 1) != 0;
}
void add(Bits& bits, std::uint32_t i) {
  bits[i / 64] |= std::uint64_t{1} << (i % 64);
}

// First and last instruction at which each register holds something that is needed.
struct Interval {
  std::uint32_t first = 0xFFFFFFFFu, last = 0;
  void cover(std::uint32_t i) {
    first = std::min(first, i);
    last = std::max(last, i);
  }
};

std::vector<Interval> live_intervals(const ControlFlow& flow, const std::vector<Uses>& uses,
                                     std::size_t count) {
  const std::size_t words = (count + 63) / 64;
  std::vector<Bits> exposed(flow.blocks.size(), Bits(words)), killed = exposed, in = exposed,
                                                              out = exposed;
  for (std::size_t b = 0; b < flow.blocks.size(); ++b) {
    for (std::uint32_t i = flow.blocks[b].first; i < flow.blocks[b].last; ++i) {
      for (const std::uint32_t r : uses[i].reads) {
        if (!has(killed[b], r)) add(exposed[b], r);
      }
      for (const std::uint32_t r : uses[i].writes) {
        if (uses[i].kills) {
          add(killed[b], r);
        } else if (!has(killed[b], r)) {
          add(exposed[b], r);
        }
      }
    }
    in[b] = exposed[b];
  }
  bool changed = true;
  while (changed) {
    changed = false;
    for (std::size_t b = flow.blocks.size(); b-- > 0;) {
      for (std::size_t w = 0; w < words; ++w) {
        std::uint64_t live = 0;
        for (const std::uint32_t s : flow.blocks[b].successors) live |= in[s][w];
        out[b][w] = live;
        const std::uint64_t before = exposed[b][w] | (live & ~killed[b][w]);
        changed = changed || before != in[b][w];
        in[b][w] = before;
      }
    }
  }
  std::vector<Interval> intervals(count);
  for (std::size_t b = 0; b < flow.blocks.size(); ++b) {
    for (std::uint32_t r = 0; r < count; ++r) {
      if (has(in[b], r)) intervals[r].cover(flow.blocks[b].first);
      if (has(out[b], r)) intervals[r].cover(flow.blocks[b].last - 1);
    }
  }
  for (std::uint32_t i = 0; i < uses.size(); ++i) {
    for (const std::uint32_t r : uses[i].reads) intervals[r].cover(i);
    for (const std::uint32_t r : uses[i].writes) intervals[r].cover(i);
  }
  return intervals;
}

// Slots of one size.
struct SlotClass {
  std::uint32_t bytes;
  std::uint32_t count = 0;
  std::vector<std::uint32_t> unused;
  std::priority_queue<std::pair<std::uint32_t, std::uint32_t>,
                      std::vector<std::pair<std::uint32_t, std::uint32_t>>,
                      std::greater<>>
      busy;  // (last instruction, slot)
  std::uint32_t take(const Interval& interval) {
    while (!busy.empty() && busy.top().first < interval.first) {
      unused.push_back(busy.top().second);
      busy.pop();
    }
    std::uint32_t slot = count;
    if (unused.empty()) {
      ++count;
    } else {
      slot = unused.back();
      unused.pop_back();
    }
    busy.emplace(interval.last, slot);
    return slot;
  }
};

std::size_t class_of_bits(std::uint32_t bits) {
  return bits == 1 ? 0u : bits <= 32 ? 1u : bits <= 64 ? 2u : 3u;
}

}  // namespace

bool writes_first_operand(std::string_view opcode) {
  static const std::unordered_set<std::string_view> kWriters = {
      "abs",      "activemask", "add",          "addc",      "alloca", "and",        "atom",
      "bfe",      "bfi",        "bfind",        "bmsk",      "brev",   "clz",        "cnot",
      "copysign", "cos",        "createpolicy", "cvt",       "cvta",   "div",        "dp2a",
      "dp4a",     "elect",      "ex2",          "fma",       "fns",    "getctarank", "isspacep",
      "istypep",  "ld",         "ldmatrix",     "ldu",       "lg2",    "lop3",       "mad",
      "mad24",    "madc",       "mapa",         "match",     "max",    "min",        "mma",
      "mov",      "movmatrix",  "mul",          "mul24",     "neg",    "not",        "or",
      "popc",     "prmt",       "rcp",          "redux",     "rem",    "rsqrt",      "sad",
      "selp",     "set",        "setp",         "shf",       "shfl",   "shl",        "shr",
      "sin",      "slct",       "sqrt",         "stacksave", "sub",    "subc",       "szext",
      "tanh",     "testp",      "vote",         "xor",       "vadd",   "vsub",       "vabsdiff",
      "vmin",     "vmax",       "vshl",         "vshr",      "vmad",   "vset",       "vadd2",
      "vsub2",    "vavrg2",     "vabsdiff2",    "vmin2",     "vmax2",  "vset2",      "wmma",
      "vadd4",    "vsub4",      "vavrg4",       "vabsdiff4", "vmin4",  "vmax4",      "vset4"};
  return kWriters.contains(opcode);
}

namespace {

void collect_offsets(const ptx::Operand& operand, const RegisterFrame& frame,
                     std::vector<std::int32_t>& offsets) {
  const bool is_register =
      operand.kind == ptx::Operand::Kind::kRegister ||
      (operand.kind == ptx::Operand::Kind::kAddress && operand.base_is_register);
  if (const auto found = frame.slots.find(operand.name); is_register && found != frame.slots.end())
    offsets.push_back(found->second.offset);
  for (const ptx::Operand& part : operand.parts) collect_offsets(part, frame, offsets);
}

}  // namespace

std::vector<std::int32_t> registers_read(const ptx::Instruction& instruction,
                                         const RegisterFrame& frame) {
  std::vector<std::int32_t> offsets;
  if (const auto guard = frame.slots.find(instruction.guard); guard != frame.slots.end())
    offsets.push_back(guard->second.offset);
  for (std::size_t i = 0; i < instruction.operands.size(); ++i) {
    const ptx::Operand& operand = instruction.operands[i];
    const bool is_result = i == 0 && operand.kind != ptx::Operand::Kind::kAddress &&
                           (writes_first_operand(instruction.opcode) ||
                            instruction.opcode == "wgmma" || instruction.opcode == "call");
    if (!is_result) collect_offsets(operand, frame, offsets);
  }
  return offsets;
}

RegisterFrame place_registers(const ptx::Function& function, const ControlFlow& flow) {
  Registers registers(function);
  std::vector<Uses> uses;
  uses.reserve(function.instructions.size());
  std::vector<std::uint32_t> pinned;
  for (const ptx::Instruction& instruction : function.instructions) {
    uses.push_back(uses_of(instruction, registers));
    Uses& last = uses.back();
    // The first operand of some opcodes is a result in some forms only; and products that are under
    // way write their registers when somebody waits. Such registers keep a slot of their own.
    if (instruction.opcode == "wgmma")
      pinned.insert(pinned.end(), last.reads.begin(), last.reads.end());
    if (instruction.opcode == "call") {
      // What a function returns in registers is written when it returns.
      pinned.insert(pinned.end(), last.writes.begin(), last.writes.end());
    }
  }
  std::vector<Interval> intervals = live_intervals(flow, uses, registers.count());
  const auto end = static_cast<std::uint32_t>(function.instructions.size());
  for (const std::uint32_t r : pinned) {
    intervals[r].cover(0);
    intervals[r].cover(end);
  }
  for (const auto* list : {&function.parameters, &function.return_parameters}) {
    for (const ptx::Variable& variable : *list) {
      if (variable.space != ptx::Space::kRegister) continue;
      Interval& interval = intervals[registers.number(variable.name)];
      interval.cover(0);
      interval.cover(end);
    }
  }

  std::vector<std::uint32_t> order(registers.count());
  for (std::uint32_t r = 0; r < order.size(); ++r) order[r] = r;
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return intervals[a].first != intervals[b].first ? intervals[a].first < intervals[b].first
                                                    : a < b;
  });
  SlotClass classes[4] = {{4, 0, {}, {}}, {128, 0, {}, {}}, {256, 0, {}, {}}, {512, 0, {}, {}}};
  std::vector<std::uint32_t> slot(registers.count());
  for (const std::uint32_t r : order)
    slot[r] = classes[class_of_bits(registers.bits(r))].take(intervals[r]);

  RegisterFrame frame;
  frame.carry_offset = classes[0].count * 4;
  std::uint32_t begin[4] = {0, 0, 0, 0};
  begin[1] = (frame.carry_offset + 4 + 63) / 64 * 64;
  for (int c = 1; c < 3; ++c) begin[c + 1] = begin[c] + classes[c].count * classes[c].bytes;
  frame.bytes = begin[3] + classes[3].count * classes[3].bytes;
  frame.num_registers = classes[1].count + 2 * classes[2].count + 4 * classes[3].count;
  for (std::uint32_t r = 0; r < registers.count(); ++r) {
    const std::size_t c = class_of_bits(registers.bits(r));
    frame.slots[registers.name(r)] = {
        static_cast<std::int32_t>(begin[c] + slot[r] * classes[c].bytes), registers.bits(r)};
  }
  return frame;
}

}  // namespace ptx_emulator
