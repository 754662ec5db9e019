#include "tests/ptx_emulator/machine/control_flow.h"

#include <algorithm>

namespace ptx_emulator {
namespace {

bool ends_block(const ptx::Instruction& instruction) {
  return instruction.opcode == "bra" || instruction.opcode == "brx" ||
         instruction.opcode == "ret" || instruction.opcode == "exit" ||
         instruction.opcode == "trap";
}

std::vector<std::string> branch_targets(const ptx::Function& function,
                                        const ptx::Instruction& branch) {
  std::vector<std::string> names;
  if (branch.opcode == "bra" && !branch.operands.empty()) names.push_back(branch.operands[0].name);
  if (branch.opcode == "brx") {
    if (const ptx::TargetList* list = targets_of(function, branch)) names = list->targets;
  }
  return names;
}

void split_blocks(const ptx::Function& function, ControlFlow& flow) {
  const auto count = static_cast<std::uint32_t>(function.instructions.size());
  std::vector<bool> leader(count + 1, false);
  leader[0] = true;
  for (const ptx::Label& label : function.labels) {
    flow.labels[label.name] = label.instruction;
    if (label.instruction <= count) leader[label.instruction] = true;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    if (ends_block(function.instructions[i])) leader[i + 1] = true;
  }
  flow.block_of.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (leader[i]) flow.blocks.push_back({.first = i, .last = i, .successors = {}});
    flow.blocks.back().last = i + 1;
    flow.block_of[i] = static_cast<std::uint32_t>(flow.blocks.size() - 1);
  }
}

void link_blocks(const ptx::Function& function, ControlFlow& flow) {
  const auto count = static_cast<std::uint32_t>(function.instructions.size());
  for (std::uint32_t b = 0; b < flow.blocks.size(); ++b) {
    BasicBlock& block = flow.blocks[b];
    const ptx::Instruction& end = function.instructions[block.last - 1];
    const bool jumps = ends_block(end);
    if (jumps && (end.opcode == "ret" || end.opcode == "exit" || end.opcode == "trap"))
      block.leaves = true;
    for (const std::string& name : branch_targets(function, end)) {
      const auto found = flow.labels.find(name);
      if (found == flow.labels.end()) continue;
      if (found->second >= count) {
        block.leaves = true;
      } else {
        block.successors.push_back(flow.block_of[found->second]);
      }
    }
    if (!jumps || !end.guard.empty()) {
      if (b + 1 < flow.blocks.size()) {
        block.successors.push_back(b + 1);
      } else {
        block.leaves = true;
      }
    }
  }
}

// Blocks from which no end can be reached are given one.
void give_endless_loops_an_end(ControlFlow& flow,
                               std::vector<std::vector<std::uint32_t>>& predecessors) {
  const std::size_t count = flow.blocks.size();
  std::vector<bool> reaches(count, false);
  std::vector<std::uint32_t> work;
  const auto spread = [&] {
    while (!work.empty()) {
      const std::uint32_t b = work.back();
      work.pop_back();
      for (const std::uint32_t p : predecessors[b]) {
        if (!reaches[p]) {
          reaches[p] = true;
          work.push_back(p);
        }
      }
    }
  };
  for (std::uint32_t b = 0; b < count; ++b) {
    if (flow.blocks[b].leaves) {
      reaches[b] = true;
      work.push_back(b);
    }
  }
  spread();
  for (std::uint32_t b = static_cast<std::uint32_t>(count); b-- > 0;) {
    if (reaches[b]) continue;
    flow.blocks[b].leaves = true;
    reaches[b] = true;
    work.push_back(b);
    spread();
  }
}

class PostDominators {
 public:
  PostDominators(ControlFlow& flow, const std::vector<std::vector<std::uint32_t>>& predecessors)
      : flow_(flow),
        predecessors_(predecessors),
        end_(static_cast<std::uint32_t>(flow.blocks.size())) {
    number();
    parent_.assign(end_ + 1, kNoBlock);
    parent_[end_] = end_;
    bool changed = true;
    while (changed) {
      changed = false;
      // Order: from the end of the function backwards, each block after those it goes to (loops
      // apart).
      for (const std::uint32_t b : order_) {
        std::uint32_t best = flow_.blocks[b].leaves ? end_ : kNoBlock;
        for (const std::uint32_t s : flow_.blocks[b].successors) {
          if (parent_[s] == kNoBlock) continue;
          best = best == kNoBlock ? s : meet(best, s);
        }
        if (best != parent_[b]) {
          parent_[b] = best;
          changed = true;
        }
      }
    }
    for (std::uint32_t b = 0; b < end_; ++b) {
      flow_.blocks[b].post_dominator = parent_[b] == end_ ? kNoBlock : parent_[b];
    }
  }

 private:
  // Numbers blocks by a depth-first walk over the reversed graph from the end.
  void number() {
    position_.assign(end_ + 1, 0);
    std::vector<bool> seen(end_ + 1, false);
    std::vector<std::pair<std::uint32_t, std::size_t>> stack;
    std::vector<std::uint32_t> finished;
    for (std::uint32_t root = 0; root < end_; ++root) {
      if (!flow_.blocks[root].leaves || seen[root]) continue;
      seen[root] = true;
      stack.emplace_back(root, 0);
      while (!stack.empty()) {
        auto& [b, next] = stack.back();
        if (next < predecessors_[b].size()) {
          const std::uint32_t p = predecessors_[b][next++];
          if (!seen[p]) {
            seen[p] = true;
            stack.emplace_back(p, 0);
          }
        } else {
          finished.push_back(b);
          stack.pop_back();
        }
      }
    }
    order_.assign(finished.rbegin(), finished.rend());
    for (std::uint32_t i = 0; i < finished.size(); ++i) position_[finished[i]] = i;
    position_[end_] = static_cast<std::uint32_t>(finished.size());
  }
  std::uint32_t meet(std::uint32_t a, std::uint32_t b) const {
    while (a != b) {
      while (position_[a] < position_[b]) a = parent_[a];
      while (position_[b] < position_[a]) b = parent_[b];
    }
    return a;
  }

  ControlFlow& flow_;
  const std::vector<std::vector<std::uint32_t>>& predecessors_;
  std::uint32_t end_;
  std::vector<std::uint32_t> order_, position_, parent_;
};

}  // namespace

const ptx::TargetList* targets_of(const ptx::Function& function, const ptx::Instruction& branch) {
  if (branch.operands.size() < 2) return nullptr;
  const auto found = std::find_if(
      function.target_lists.begin(), function.target_lists.end(),
      [&](const ptx::TargetList& list) { return list.name == branch.operands[1].name; });
  return found == function.target_lists.end() ? nullptr : &*found;
}

ControlFlow analyse(const ptx::Function& function) {
  ControlFlow flow;
  if (function.instructions.empty()) {
    for (const ptx::Label& label : function.labels) flow.labels[label.name] = label.instruction;
    return flow;
  }
  split_blocks(function, flow);
  link_blocks(function, flow);
  std::vector<std::vector<std::uint32_t>> predecessors(flow.blocks.size());
  for (std::uint32_t b = 0; b < flow.blocks.size(); ++b) {
    for (const std::uint32_t s : flow.blocks[b].successors) predecessors[s].push_back(b);
  }
  give_endless_loops_an_end(flow, predecessors);
  const PostDominators run(flow, predecessors);
  return flow;
}

}  // namespace ptx_emulator
