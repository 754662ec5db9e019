#pragma once
// From an op's address to the instruction that it came from.

#include <cstdint>
#include <string>
#include <vector>

#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/machine/op.h"

namespace ptx_emulator::checks {

class OpIndex {
 public:
  explicit OpIndex(const Program& program);

  struct Entry {
    const Code* code = nullptr;
    std::size_t op = 0;      // index in the code's ops
    std::size_t global = 0;  // counted over all functions
  };
  Entry find(const Op* op) const;  // op must be one of the program's
  std::size_t num_ops() const { return num_ops_; }
  const ptx::Instruction& instruction(const Entry& entry) const;
  // "layernorm.cu:42": of inlined code the outermost line, which is the kernel's own. Empty where
  // the PTX names none.
  std::string source(const Entry& entry) const;
  std::string source_chain(const Entry& entry) const;  // ptx::source_text
  // "ld.shared.f32 at layernorm.cu:42 (PTX line 310)".
  std::string describe(const Op* op) const;

 private:
  struct Range {
    const Op* begin;
    const Op* end;
    const Code* code;
    std::size_t first;
  };
  const Program& program_;
  std::vector<Range> ranges_;  // ascending by address
  std::size_t num_ops_ = 0;
};

}  // namespace ptx_emulator::checks
