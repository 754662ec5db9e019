#pragma once
// Runs single PTX instructions on a warp, and compares them with scalar references.

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/ptx_emulator/machine/assembler.h"
#include "tests/ptx_emulator/machine/warp.h"
#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator::testing {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s8 = std::int8_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

// Registers of the instructions under test, by a letter as in machine/lanes/form.h: %p0 to %p7
// predicates, %h 16 bits, %w and %f 32, %d and %g 64, %q 128.
inline constexpr u32 kNumRegisters = 8;

// One warp with registers of its own, without program, block or grid.
class SingleInstruction {
 public:
  // Parses and decodes. Throws UnsupportedInstruction or ptx::ParseError.
  explicit SingleInstruction(const std::string& text);
  ~SingleInstruction();
  SingleInstruction(const SingleInstruction&) = delete;
  SingleInstruction& operator=(const SingleInstruction&) = delete;

  // A lane of a register; of a predicate 0 or 1. 128-bit registers by halves.
  u64 get(char letter, u32 number, u32 lane, u32 half = 0) const;
  void set(char letter, u32 number, u32 lane, u64 value, u32 half = 0);
  void set_carry(u32 word);
  u32 carry() const;
  // Executes for the lanes given.
  void run(u32 active);
  // The bytes of all registers, to see that nothing else has changed.
  const std::vector<std::byte>& registers() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The value of all source operands of one lane, zero-extended.
using Sources = std::array<u64, 5>;

// One form and what it computes. `operands` as in machine/lanes/form.h.
struct Case {
  std::string pattern;  // "add{,.rn}.{s32,u32}"
  std::string operands;
  std::function<u64(const Sources&)> reference;
  // Largest relative error and largest absolute one of f32 results; both zero: the bits are
  // compared.
  double relative = 0, absolute = 0;
};

// Every name of a pattern.
std::vector<std::string> expand(const std::string& pattern);

// Runs every name of every case over special and random operands, with all lanes and with some,
// with the destination apart from the sources and equal to each that has its type. Fails with the
// operands where a result differs.
void check_cases(const std::vector<Case>& cases);

// Operands that are likely to go wrong, for a register of this letter.
u64 draw(std::mt19937_64& random, char letter);

inline float to_float(u64 bits) {
  return __builtin_bit_cast(float, static_cast<u32>(bits));
}
inline double to_double(u64 bits) {
  return __builtin_bit_cast(double, bits);
}
inline u64 of_float(float value) {
  return __builtin_bit_cast(u32, value);
}
inline u64 of_double(double value) {
  return __builtin_bit_cast(u64, value);
}
// As of_float, with the NaN that the device makes.
inline u64 result(float value) {
  return value != value ? 0x7FFFFFFFu : of_float(value);
}

// The tables of all test files, for the coverage test.
std::vector<Case> integer_cases();
std::vector<Case> logic_cases();
std::vector<Case> rare_integer_cases();
std::vector<Case> float_cases();
std::vector<Case> approximate_cases();
std::vector<Case> half_cases();
std::vector<Case> move_cases();

}  // namespace ptx_emulator::testing
