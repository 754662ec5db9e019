#pragma once
// Basic blocks of a function, and where divergent lanes meet again.

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator {

struct BasicBlock {
  std::uint32_t first = 0, last = 0;  // instructions [first, last)
  std::vector<std::uint32_t> successors;
  bool leaves = false;  // it may end the thread or return
  std::uint32_t post_dominator =
      0xFFFFFFFFu;  // the immediate one, a block's index; kNoBlock: the end of the function
};
inline constexpr std::uint32_t kNoBlock = 0xFFFFFFFFu;

struct ControlFlow {
  std::vector<BasicBlock> blocks;       // in the order of the text
  std::vector<std::uint32_t> block_of;  // for each instruction
  std::unordered_map<std::string, std::uint32_t>
      labels;  // to instructions (may be one past the last)
};

// Labels that a branch names and the function lacks are left out: the decoder reports them.
// Post-dominators by the iterative algorithm on the reversed graph (Cooper, Harvey, Kennedy 2001);
// a block that cannot reach the end counts as if it could end.
ControlFlow analyse(const ptx::Function& function);

// The labels that a brx names.
const ptx::TargetList* targets_of(const ptx::Function& function, const ptx::Instruction& branch);

}  // namespace ptx_emulator
