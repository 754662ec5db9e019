#pragma once
// What kernels did, counted: instructions by class, lanes, memory sectors and bank wavefronts
// beside their ideal, divergence, matrix operations, bytes. For each kernel, each PTX line and each
// line of the user's source.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/ptx_emulator/machine/launch.h"
#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator {

enum class InstructionClass : std::uint8_t {
  kInteger,
  kFloat32,
  kFloat64,
  kHalf,     // f16, bf16 and fp8 arithmetic
  kSpecial,  // ex2, rcp, rsqrt, sin and the like: the special function unit
  kConvert,
  kMove,
  kPredicate,  // setp, selp, predicate logic
  kGlobalLoad,
  kGlobalStore,
  kSharedLoad,
  kSharedStore,
  kLocal,
  kConstantLoad,  // and parameters
  kAtomic,
  kAsync,    // cp.async, bulk copies, mbarrier
  kMatrix,   // mma, wgmma, ldmatrix
  kWarp,     // shfl, vote, match, redux
  kBarrier,  // barriers and fences
  kControl,
  kCount
};
std::string_view name_of(InstructionClass kind);
InstructionClass class_of(const ptx::Instruction& instruction);

struct OpCount {
  std::uint64_t executed = 0;  // warp instructions
  std::uint64_t lanes = 0;     // lanes in which they had an effect, summed
  // Global and local memory. A sector is 32 bytes; `ideal`: the sectors that the distinct bytes of
  // each request would fill if they lay side by side.
  std::uint64_t requests = 0, sectors = 0, ideal_sectors = 0;
  // Shared memory: passes over its 32 banks of 4 bytes; `ideal`: without conflicts.
  std::uint64_t wavefronts = 0, ideal_wavefronts = 0;
  std::uint64_t branches = 0, divergent_branches = 0;
  std::uint64_t matrix_flops = 0;
  std::uint64_t bytes_read = 0, bytes_written = 0;  // of global memory, by lanes

  void add(const OpCount& other);
};

// One instruction of the PTX that was executed.
struct LineCount {
  std::string function;
  std::uint32_t ptx_line = 0;
  std::string text;    // "ld.global.nc.f32"
  std::string source;  // "layernorm.cu:42"; empty without -lineinfo
  InstructionClass kind = InstructionClass::kInteger;
  OpCount count;
};

// One launch, or the sum of several of one kernel.
class Counters {
 public:
  std::string kernel;  // demangled
  std::uint64_t launches = 1;
  std::uint64_t blocks = 0, threads_per_block = 0;  // of the last launch
  std::uint64_t shared_bytes = 0;                   // a block
  std::uint32_t registers = 0;                      // registers_estimate()
  double seconds = 0;                               // of emulation
  std::vector<LineCount> lines;                     // ascending by function and PTX line
  // Distinct 32-byte sectors of global memory read and written, in bytes: what a perfect cache
  // would move.
  std::uint64_t distinct_bytes_read = 0, distinct_bytes_written = 0;
  // Blocks of which the device played holds this many at once, and how often it is filled (blocks /
  // resident).
  std::uint64_t resident_blocks = 0;
  double waves = 0;
  double occupancy = 0;  // resident warps of an SM / its limit

  OpCount total() const;
  std::map<InstructionClass, std::uint64_t> by_class() const;  // warp instructions
  std::map<std::string, OpCount> by_source() const;
  void add(const Counters& other);
};

// All launches of a process, by kernel.
class CounterReport {
 public:
  void add(const Counters& launch);
  // The bytes that a launch of the kernel would move at best, as its author states them; the report
  // puts them beside those moved. `kernel`: a whole name, or one without template arguments and
  // parameters. False where no such kernel was launched.
  bool state_ideal_bytes(const std::string& kernel, std::uint64_t bytes_per_launch);
  bool empty() const { return kernels_.empty(); }
  const std::vector<Counters>& kernels() const { return kernels_; }

  // Format: {"format": 1, "kernels": [{...}]}; README.md describes the keys.
  std::string json() const;
  // A table of kernels, and for each its lines with the worst ratios first.
  std::string text() const;

 private:
  std::vector<Counters> kernels_;
  std::map<std::string, std::uint64_t> stated_;
};

}  // namespace ptx_emulator
