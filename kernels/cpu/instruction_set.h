#pragma once

#include <string>
#include <vector>

namespace ovid::kernels::cpu {

// The SIMD instruction set that the kernels run with, in Highway's name: "AVX3" (AVX-512), "AVX2";
// portable code is "SCALAR" or "EMU128", by compiler.
std::string instruction_set();

// Those that this processor has and the kernels were compiled for, the best first.
std::vector<std::string> supported_instruction_sets();

// Lets the kernels of the whole process run with `name`, one of the above, until the scope ends: so
// that one machine can test all of them. Not while a kernel runs. Throws DeviceError for a name
// that is not supported. A library that multiplies matrices chooses for itself and does not listen
// (oneDNN: the environment variable DNNL_MAX_CPU_ISA).
class UseInstructionSet {
 public:
  explicit UseInstructionSet(const std::string& name);
  ~UseInstructionSet();
  UseInstructionSet(const UseInstructionSet&) = delete;
  UseInstructionSet& operator=(const UseInstructionSet&) = delete;
};

}  // namespace ovid::kernels::cpu
