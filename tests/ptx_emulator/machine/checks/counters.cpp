#include "tests/ptx_emulator/machine/counters.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace ptx_emulator {

namespace {

bool any_of_words(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

InstructionClass class_of_load(const ptx::Instruction& instruction) {
  const bool store = instruction.opcode == "st";
  for (const std::string& modifier : instruction.modifiers) {
    if (modifier.starts_with("shared"))
      return store ? InstructionClass::kSharedStore : InstructionClass::kSharedLoad;
    if (modifier == "local") return InstructionClass::kLocal;
    if (modifier.starts_with("param") || modifier == "const")
      return InstructionClass::kConstantLoad;
  }
  return store ? InstructionClass::kGlobalStore : InstructionClass::kGlobalLoad;
}

// By the last type that the instruction names.
InstructionClass class_of_arithmetic(const ptx::Instruction& instruction) {
  for (auto modifier = instruction.modifiers.rbegin(); modifier != instruction.modifiers.rend();
       ++modifier) {
    const std::optional<ptx::Type> type = ptx::type_named(*modifier);
    if (!type) continue;
    switch (*type) {
      case ptx::Type::kF32:
      case ptx::Type::kF32x2:
        return InstructionClass::kFloat32;
      case ptx::Type::kF64:
        return InstructionClass::kFloat64;
      case ptx::Type::kF16:
      case ptx::Type::kF16x2:
      case ptx::Type::kBf16:
      case ptx::Type::kBf16x2:
        return InstructionClass::kHalf;
      case ptx::Type::kPred:
        return InstructionClass::kPredicate;
      default:
        return InstructionClass::kInteger;
    }
  }
  return InstructionClass::kInteger;
}

}  // namespace

std::string_view name_of(InstructionClass kind) {
  constexpr std::array<std::string_view, static_cast<std::size_t>(InstructionClass::kCount)>
      kNames = {"integer",     "float32",      "float64",   "half",          "special",
                "convert",     "move",         "predicate", "global load",   "global store",
                "shared load", "shared store", "local",     "constant load", "atomic",
                "async",       "matrix",       "warp",      "barrier",       "control"};
  return kNames[static_cast<std::size_t>(kind)];
}

InstructionClass class_of(const ptx::Instruction& instruction) {
  const std::string_view opcode = instruction.opcode;
  if (any_of_words(opcode, {"ld", "ldu", "st"})) return class_of_load(instruction);
  if (any_of_words(opcode, {"atom", "red"})) return InstructionClass::kAtomic;
  if (any_of_words(opcode,
                   {"mma", "wmma", "wgmma", "ldmatrix", "stmatrix", "movmatrix", "tcgen05"})) {
    return InstructionClass::kMatrix;
  }
  if (any_of_words(opcode, {"cp", "mbarrier", "prefetch", "prefetchu", "tensormap", "multimem",
                            "clusterlaunchcontrol", "griddepcontrol"})) {
    return InstructionClass::kAsync;
  }
  if (any_of_words(opcode, {"bar", "barrier", "membar", "fence"}))
    return InstructionClass::kBarrier;
  if (any_of_words(opcode, {"shfl", "vote", "match", "redux", "activemask", "elect"}))
    return InstructionClass::kWarp;
  if (any_of_words(opcode, {"bra", "brx", "call", "ret", "exit", "trap", "brkpt", "nanosleep",
                            "setmaxnreg"})) {
    return InstructionClass::kControl;
  }
  if (opcode == "cvt") return InstructionClass::kConvert;
  if (any_of_words(opcode, {"mov", "cvta", "mapa", "getctarank", "isspacep", "alloca", "stacksave",
                            "stackrestore"})) {
    return InstructionClass::kMove;
  }
  if (any_of_words(opcode, {"setp", "selp", "slct", "set", "testp"}))
    return InstructionClass::kPredicate;
  if (any_of_words(opcode, {"ex2", "lg2", "sin", "cos", "tanh", "rcp", "rsqrt", "sqrt", "div"})) {
    const InstructionClass by_type = class_of_arithmetic(instruction);
    return by_type == InstructionClass::kInteger ? by_type : InstructionClass::kSpecial;
  }
  return class_of_arithmetic(instruction);
}

void OpCount::add(const OpCount& other) {
  executed += other.executed;
  lanes += other.lanes;
  requests += other.requests;
  sectors += other.sectors;
  ideal_sectors += other.ideal_sectors;
  wavefronts += other.wavefronts;
  ideal_wavefronts += other.ideal_wavefronts;
  branches += other.branches;
  divergent_branches += other.divergent_branches;
  matrix_flops += other.matrix_flops;
  bytes_read += other.bytes_read;
  bytes_written += other.bytes_written;
}

OpCount Counters::total() const {
  OpCount sum;
  for (const LineCount& line : lines) sum.add(line.count);
  return sum;
}

std::map<InstructionClass, std::uint64_t> Counters::by_class() const {
  std::map<InstructionClass, std::uint64_t> counts;
  for (const LineCount& line : lines) counts[line.kind] += line.count.executed;
  return counts;
}

std::map<std::string, OpCount> Counters::by_source() const {
  std::map<std::string, OpCount> counts;
  for (const LineCount& line : lines) counts[line.source].add(line.count);
  return counts;
}

void Counters::add(const Counters& other) {
  launches += other.launches;
  blocks = other.blocks;
  threads_per_block = other.threads_per_block;
  shared_bytes = std::max(shared_bytes, other.shared_bytes);
  registers = std::max(registers, other.registers);
  seconds += other.seconds;
  distinct_bytes_read += other.distinct_bytes_read;
  distinct_bytes_written += other.distinct_bytes_written;
  resident_blocks = other.resident_blocks;
  waves = other.waves;
  occupancy = other.occupancy;
  const auto key = [](const LineCount& line) {
    return std::tie(line.function, line.ptx_line, line.text);
  };
  std::vector<LineCount> merged;
  merged.reserve(std::max(lines.size(), other.lines.size()));
  auto mine = lines.begin();
  auto theirs = other.lines.begin();
  while (mine != lines.end() || theirs != other.lines.end()) {
    if (theirs == other.lines.end() || (mine != lines.end() && key(*mine) < key(*theirs))) {
      merged.push_back(std::move(*mine++));
    } else if (mine == lines.end() || key(*theirs) < key(*mine)) {
      merged.push_back(*theirs++);
    } else {
      merged.push_back(std::move(*mine++));
      merged.back().count.add((theirs++)->count);
    }
  }
  lines = std::move(merged);
}

}  // namespace ptx_emulator
