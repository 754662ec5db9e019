#include "tests/ptx_emulator/machine/checks/op_index.h"

#include <algorithm>

namespace ptx_emulator::checks {

OpIndex::OpIndex(const Program& program) : program_(program) {
  for (const Code* code : program.functions()) {
    if (code->ops.empty()) continue;
    ranges_.push_back({code->ops.data(), code->ops.data() + code->ops.size(), code, num_ops_});
    num_ops_ += code->ops.size();
  }
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
}

OpIndex::Entry OpIndex::find(const Op* op) const {
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), op,
                       [](const Op* value, const Range& range) { return value < range.begin; });
  const Range& range = *std::prev(after);
  const auto index = static_cast<std::size_t>(op - range.begin);
  return {range.code, index, range.first + index};
}

const ptx::Instruction& OpIndex::instruction(const Entry& entry) const {
  static const ptx::Instruction kNone{.opcode = "exit"};
  const std::vector<ptx::Instruction>& all = entry.code->function->instructions;
  const std::size_t number = entry.code->ops[entry.op].instruction;
  return number < all.size() ? all[number] : kNone;
}

std::string OpIndex::source(const Entry& entry) const {
  const std::string chain = source_chain(entry);
  constexpr std::string_view kStep = ", inlined at ";
  const std::size_t last = chain.rfind(kStep);
  return last == std::string::npos ? chain : chain.substr(last + kStep.size());
}

std::string OpIndex::source_chain(const Entry& entry) const {
  return ptx::source_text(program_.module(), instruction(entry).location);
}

std::string OpIndex::describe(const Op* op) const {
  const Entry entry = find(op);
  const ptx::Instruction& what = instruction(entry);
  const std::string place = source_chain(entry),
                    line = "PTX line " + std::to_string(what.location.line);
  return what.full_name() + " at " + (place.empty() ? line : place + " (" + line + ")");
}

}  // namespace ptx_emulator::checks
