#include "tests/ptx_emulator/tests/opcode_harness.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "tests/catch.h"
#include "tests/ptx_emulator/machine/lanes/form.h"
#include "tests/ptx_emulator/ptx/parser.h"

namespace ptx_emulator::testing {
namespace {

constexpr u32 kSlotBytes = 512;
constexpr const char* kLetters = "phwfdgq";

u32 slot_offset(char letter, u32 number) {
  const char* at = std::strchr(kLetters, letter);
  if (at == nullptr || number >= kNumRegisters) throw std::logic_error("no such test register");
  return (static_cast<u32>(at - kLetters) * kNumRegisters + number) * kSlotBytes;
}
constexpr u32 kCarryOffset = 7 * kNumRegisters * kSlotBytes;
constexpr u32 kScratchOffset = kCarryOffset + kSlotBytes;
constexpr u32 kFrameBytes = kScratchOffset + 32 * kSlotBytes;

u32 lane_bytes(char letter) {
  return letter == 'q' ? 16 : (letter == 'd' || letter == 'g' ? 8 : 4);
}

u32 bits_of_letter(char letter) {
  switch (letter) {
    case 'p':
      return 1;
    case 'h':
      return 16;
    case 'w':
    case 'f':
      return 32;
    default:
      return letter == 'q' ? 128 : 64;
  }
}

struct alignas(64) Line {
  std::byte bytes[64];
};

// The assembler of one instruction over the test's registers.
class TestAssembler final : public Assembler {
 public:
  explicit TestAssembler(const ptx::Instruction& instruction) { instruction_ = &instruction; }

  using Assembler::destination;
  using Assembler::source;
  Place source(const ptx::Operand& operand, ptx::Type type) override {
    if (operand.kind == ptx::Operand::Kind::kRegister) return place(operand);
    if (operand.kind == ptx::Operand::Kind::kNegated) {
      Op& op = emit(handler_of_not());
      op.a = place(operand.parts.at(0));
      return op.d = temporary(type);
    }
    return constant(static_cast<u64>(operand.value), type);
  }
  Place destination(const ptx::Operand& operand, ptx::Type type) override {
    return operand.name.empty() ? temporary(type) : place(operand);
  }
  Place temporary(ptx::Type) override {
    return {static_cast<s32>(kScratchOffset + kSlotBytes * num_scratch_++), Base::kRegisters};
  }
  Place carry() override { return {static_cast<s32>(kCarryOffset), Base::kRegisters}; }
  u32 register_bits(const ptx::Operand& operand) override {
    return operand.kind == ptx::Operand::Kind::kRegister && !operand.name.empty()
               ? bits_of_letter(operand.name.at(1))
               : 0;
  }
  Place constant(u64 bits, ptx::Type type) override {
    const u32 width = ptx::bits_of(type);
    const Place at{static_cast<s32>(constants.size() * 64), Base::kConstants};
    constants.resize(constants.size() + 4);
    std::byte* to = constants[constants.size() - 4].bytes;
    const u32 low = width == 16 ? static_cast<u16>(bits) : static_cast<u32>(bits);
    for (u32 i = 0; i < kWarpLanes; ++i) {
      if (width == 64) std::memcpy(to + 8 * i, &bits, 8);
      if (width < 64) std::memcpy(to + 4 * i, &low, 4);
    }
    return at;
  }
  Address address(const ptx::Operand&, bool) override { unsupported("addresses"); }
  Op& emit(Handler handler) override {
    Op& op = ops.emplace_back();
    op.execute = handler;
    if (!instruction_->guard.empty()) {
      op.guard = static_cast<s32>(
          slot_offset('p', static_cast<u32>(std::atoi(instruction_->guard.c_str() + 2))));
      op.guard_flip = instruction_->guard_negated ? ~0u : 0u;
    }
    return op;
  }

  std::vector<Op> ops;
  std::vector<Line> constants;
  std::vector<std::shared_ptr<const void>> records;

 protected:
  void keep_alive(std::shared_ptr<const void> record) override {
    records.push_back(std::move(record));
  }

 private:
  static Handler handler_of_not() { return lanes::handler("not.pred"); }
  static Place place(const ptx::Operand& operand) {
    const u32 number = static_cast<u32>(std::atoi(operand.name.c_str() + 2));
    return {static_cast<s32>(slot_offset(operand.name.at(1), number)), Base::kRegisters};
  }
  u32 num_scratch_ = 0;
};

const std::unordered_map<std::string, const OpcodeEntry*>& opcodes() {
  static const auto all = [] {
    std::unordered_map<std::string, const OpcodeEntry*> map;
    for (const auto table : {integer_opcodes(), float_opcodes(), mixed_opcodes(), warp_opcodes()}) {
      for (const OpcodeEntry& entry : table) map.emplace(entry.opcode, &entry);
    }
    return map;
  }();
  return all;
}

}  // namespace

struct SingleInstruction::State {
  ptx::Module module;
  std::vector<Op> ops;
  std::vector<Line> constants;
  std::vector<std::shared_ptr<const void>> records;
  std::vector<Line> storage = std::vector<Line>(kFrameBytes / 64);
  std::vector<std::byte> copy;
  Warp warp;
};

SingleInstruction::SingleInstruction(const std::string& text) : state_(std::make_unique<State>()) {
  std::string program = ".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry k()\n{\n";
  program += ".reg .pred %p<8>;\n.reg .b16 %h<8>;\n.reg .b32 %w<8>;\n.reg .f32 %f<8>;\n";
  program += ".reg .b64 %d<8>;\n.reg .f64 %g<8>;\n.reg .b128 %q<8>;\n";
  program += text + ";\nret;\n}\n";
  state_->module = ptx::parse(program, "test");
  const ptx::Instruction& instruction = state_->module.functions.at(0).instructions.at(0);
  TestAssembler assembler(instruction);
  const auto found = opcodes().find(instruction.opcode);
  if (found == opcodes().end()) Assembler::unsupported("no opcode " + instruction.opcode);
  found->second->decode(assembler);
  state_->ops = std::move(assembler.ops);
  state_->ops.emplace_back();  // where the last op leads
  state_->constants = std::move(assembler.constants);
  state_->records = std::move(assembler.records);
  state_->warp.bases[0] = state_->storage.data()->bytes;
  state_->warp.bases[1] = state_->constants.empty() ? nullptr : state_->constants.data()->bytes;
  state_->warp.splits.emplace_back();
}

SingleInstruction::~SingleInstruction() = default;

u64 SingleInstruction::get(char letter, u32 number, u32 lane, u32 half) const {
  const std::byte* slot = state_->warp.bases[0] + slot_offset(letter, number);
  u64 value = 0;
  if (letter == 'p') {
    u32 word = 0;
    std::memcpy(&word, slot, 4);
    return word >> lane & 1u;
  }
  const u32 bytes = lane_bytes(letter);
  std::memcpy(&value, slot + lane * bytes + 8 * half, bytes == 4 ? 4 : 8);
  return value;
}

void SingleInstruction::set(char letter, u32 number, u32 lane, u64 value, u32 half) {
  std::byte* slot = state_->warp.bases[0] + slot_offset(letter, number);
  if (letter == 'p') {
    u32 word = 0;
    std::memcpy(&word, slot, 4);
    word = (word & ~(1u << lane)) | static_cast<u32>(value & 1u) << lane;
    std::memcpy(slot, &word, 4);
    return;
  }
  const u32 bytes = lane_bytes(letter);
  std::memcpy(slot + lane * bytes + 8 * half, &value, bytes == 4 ? 4 : 8);
}

void SingleInstruction::set_carry(u32 word) {
  std::memcpy(state_->warp.bases[0] + kCarryOffset, &word, 4);
}
u32 SingleInstruction::carry() const {
  u32 word = 0;
  std::memcpy(&word, state_->warp.bases[0] + kCarryOffset, 4);
  return word;
}

void SingleInstruction::run(u32 active) {
  Warp& warp = state_->warp;
  warp.active = active;
  warp.exited = ~active;
  warp.splits[0].lanes = active;
  const Op* op = state_->ops.data();
  const Op* end = op + state_->ops.size() - 1;
  while (op != nullptr && op != end) op = op->execute(warp, op);
  if (op != end) throw std::logic_error("the instruction waits for lanes that do not come");
}

const std::vector<std::byte>& SingleInstruction::registers() const {
  const std::byte* begin = state_->warp.bases[0];
  state_->copy.assign(begin, begin + kCarryOffset);
  return state_->copy;
}

std::vector<std::string> expand(const std::string& pattern) {
  const std::size_t open = pattern.find('{');
  if (open == std::string::npos) return {pattern};
  const std::size_t close = pattern.find('}', open);
  std::vector<std::string> names;
  std::size_t at = open + 1;
  while (true) {
    const std::size_t end = std::min(pattern.find(',', at), close);
    for (const std::string& rest : expand(pattern.substr(close + 1))) {
      names.push_back(pattern.substr(0, open) + pattern.substr(at, end - at) + rest);
    }
    if (end == close) return names;
    at = end + 1;
  }
}

u64 draw(std::mt19937_64& random, char letter) {
  static constexpr u64 kWords[] = {
      0,          1,          2,          3,          5,          7,          8,
      15,         16,         17,         24,         31,         32,         33,
      63,         64,         65,         127,        128,        255,        256,
      0x7FFF,     0x8000,     0xFFFF,     0x10000,    0x7FFFFFFF, 0x80000000, 0x80000001,
      0xFFFFFFFE, 0xFFFFFFFF, 0x3F800000, 0xBF800000, 0x3F000000, 0x3FC00000, 0x40200000,
      0xC0200000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 0x7F800001, 0x007FFFFF,
      0x807FFFFF, 0x00800000, 0x80800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x4F000000, 0xCF000000,
      0x4F7FFFFF, 0x4F800000, 0x5F000000, 0xDF000000, 0x5F800000, 0x7E800000, 0x7E800001,
      0x00400000, 0x33800000, 0x477FE000, 0x477FF000};
  static constexpr u64 kHalves[] = {0,      1,      2,      7,      15,     16,     17,     0x7FFF,
                                    0x8000, 0x8001, 0xFFFF, 0xFFFE, 0x3C00, 0xBC00, 0x3800, 0x7C00,
                                    0xFC00, 0x7C01, 0x7E00, 0xFE00, 0x03FF, 0x83FF, 0x0400, 0x8400,
                                    0x7BFF, 0xFBFF, 0x3F80, 0xBF80, 0x7F80, 0xFF80, 0x7F81, 0x007F,
                                    0x0080, 0x7F7F, 0xFF7F, 0x4180};
  static constexpr u64 kDoubles[] = {0,
                                     1,
                                     2,
                                     63,
                                     64,
                                     0x7FFFFFFF,
                                     0x80000000,
                                     0xFFFFFFFF,
                                     0x100000000,
                                     0x7FFFFFFFFFFFFFFF,
                                     0x8000000000000000,
                                     0x8000000000000001,
                                     0xFFFFFFFFFFFFFFFF,
                                     0xFFFFFFFFFFFFFFFE,
                                     0x3FF0000000000000,
                                     0xBFF0000000000000,
                                     0x3FE0000000000000,
                                     0x3FF8000000000000,
                                     0x4004000000000000,
                                     0x7FF0000000000000,
                                     0xFFF0000000000000,
                                     0x7FF8000000000000,
                                     0x000FFFFFFFFFFFFF,
                                     0x0010000000000000,
                                     0x7FEFFFFFFFFFFFFF,
                                     0x41E0000000000000,
                                     0xC1E0000000000000,
                                     0x41EFFFFFFFE00000,
                                     0x43E0000000000000,
                                     0xC3E0000000000000,
                                     0x43F0000000000000,
                                     0x47EFFFFFE0000000,
                                     0x47EFFFFFF0000000,
                                     0x36A0000000000000,
                                     0x3690000000000000};
  const u64 bits = random();
  const bool special = (random() & 1u) != 0;
  switch (letter) {
    case 'p':
      return bits & 1u;
    case 'h':
      return special ? kHalves[bits % std::size(kHalves)] : bits & 0xFFFFu;
    case 'w':
      // Pairs of halves, too.
      if (special && (random() & 3u) == 0) return draw(random, 'h') | draw(random, 'h') << 16;
      [[fallthrough]];
    case 'f': {
      if (special) return kWords[bits % std::size(kWords)];
      if ((random() & 1u) != 0) return bits & 0xFFFFFFFFu;
      // Numbers of moderate size, where sums cancel and conversions round.
      const float value = static_cast<float>(static_cast<s32>(bits)) * 0x1p-24f;
      return of_float(value);
    }
    default: {
      if (special) return kDoubles[bits % std::size(kDoubles)];
      if ((random() & 1u) != 0) return bits;
      return of_double(static_cast<double>(static_cast<s64>(bits)) * 0x1p-48);
    }
  }
}

namespace {

u64 mask_of(char letter) {
  const u32 bits = bits_of_letter(letter);
  return bits >= 64 ? ~u64{0} : (u64{1} << bits) - 1;
}

bool same(const Case& what, char letter, u64 expected, u64 actual) {
  if (expected == actual) return true;
  // The manual leaves the payload of an f64 NaN open.
  if (letter == 'g') return std::isnan(to_double(expected)) && std::isnan(to_double(actual));
  if (what.relative == 0 && what.absolute == 0) return false;
  const double x = static_cast<double>(to_float(expected)),
               y = static_cast<double>(to_float(actual));
  return std::fabs(x - y) <= std::max(what.absolute, what.relative * std::fabs(x));
}

std::string text_of(const std::string& name, const std::string& letters, u32 target) {
  std::string text = name;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const u32 number = i == 0 ? target : static_cast<u32>(i);
    text += i == 0 ? " %" : ", %";
    text += letters[i];
    text += std::to_string(number);
  }
  return text;
}

// One instruction text over several draws; the destination is register `target` of the first
// letter.
void check_text(const Case& what, const std::string& name, u32 target, std::mt19937_64& random) {
  const std::string& letters = what.operands;
  SingleInstruction instruction(text_of(name, letters, target));
  constexpr u32 kMasks[] = {~0u, 0x80000001u, 0x0000FFFFu, 0xAAAA5555u, 0u};
  for (u32 round = 0; round < 24; ++round) {
    std::array<Sources, kWarpLanes> sources{};
    for (u32 lane = 0; lane < kWarpLanes; ++lane) {
      instruction.set(letters[0], target, lane, draw(random, letters[0]));
      for (std::size_t i = 1; i < letters.size(); ++i) {
        sources[lane][i - 1] = draw(random, letters[i]);
        instruction.set(letters[i], static_cast<u32>(i), lane, sources[lane][i - 1]);
      }
    }
    std::array<u64, kWarpLanes> old{};
    for (u32 lane = 0; lane < kWarpLanes; ++lane)
      old[lane] = instruction.get(letters[0], target, lane);
    const u32 active = round < std::size(kMasks) ? kMasks[round] : ~0u;
    instruction.run(active);
    for (u32 lane = 0; lane < kWarpLanes; ++lane) {
      const bool on = (active >> lane & 1u) != 0;
      const u64 expected = on ? what.reference(sources[lane]) & mask_of(letters[0]) : old[lane];
      const u64 actual = instruction.get(letters[0], target, lane);
      if (same(what, letters[0], expected, actual)) continue;
      std::string operands;
      for (std::size_t i = 1; i < letters.size(); ++i) {
        char text[32];
        std::snprintf(text, sizeof text, " %#llx",
                      static_cast<unsigned long long>(sources[lane][i - 1]));
        operands += text;
      }
      INFO(text_of(name, letters, target)
           << " (" << lanes::isa_name() << "), lane " << lane << ", active " << std::hex << active
           << ", operands" << operands << ": expected " << expected << ", got " << actual);
      FAIL_CHECK();
      return;
    }
  }
}

}  // namespace

void check_cases(const std::vector<Case>& cases) {
  std::mt19937_64 random(20260718);
  for (const Case& what : cases) {
    for (const std::string& name : expand(what.pattern)) {
      try {
        check_text(what, name, 0, random);
        for (std::size_t i = 1; i < what.operands.size(); ++i) {
          const bool same_register = what.operands[i] == what.operands[0];
          if (same_register) check_text(what, name, static_cast<u32>(i), random);
        }
      } catch (const UnsupportedInstruction& error) {
        FAIL_CHECK(name << " is unsupported: " << error.why);
      }
    }
  }
  SUCCEED();
}

}  // namespace ptx_emulator::testing
