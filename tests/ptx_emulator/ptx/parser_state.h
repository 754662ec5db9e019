#pragma once
// What the parts of the parser share, and what they offer each other. Of use to the parser only.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/ptx_emulator/ptx/module.h"
#include "tests/ptx_emulator/ptx/scopes.h"
#include "tests/ptx_emulator/ptx/token.h"

namespace ptx_emulator::ptx {

inline constexpr int kMostNesting = 64;  // of braces and of parentheses

// The effect of `.loc`, `.file` and `.section`: which line of the user's source an instruction
// belongs to.
class SourceLines {
 public:
  // Each behind its directive's own word.
  void read_file(Tokens& tokens, Module& module);
  void read_loc(Tokens& tokens, Module& module);
  void read_section(Tokens& tokens);
  // A function's first instruction has no line until a `.loc` says so.
  void forget() { current_ = {}; }
  // The token's place, with the line of the last `.loc`.
  Location at(const Token& token) const;
  // Functions of inline sites are named by labels of .debug_str, which follows the code.
  void name_inlined_functions(Module& module) const;

 private:
  void read_strings(Tokens& tokens);

  Location current_;
  // Number of the inline site (plus one) of the last `.loc` of each place, for chains of inlining.
  std::unordered_map<std::string, std::uint32_t> site_at_;
  std::unordered_map<std::string, std::uint32_t> sites_;
  struct NameReference {
    std::string label;
    std::uint64_t offset = 0;
  };
  std::vector<NameReference> names_;  // of Module::inline_sites
  std::string strings_;
  std::unordered_map<std::string, std::uint64_t> string_labels_;
};

struct ParserState {
  Tokens& tokens;
  Module& module;
  Scopes scopes;
  SourceLines lines;
  // Bytes that initial values may still leave out between each other.
  std::uint64_t initial_zeros_left = std::uint64_t{64} << 20;
};

// A constant. Bits of f32 and f64, or an integer.
struct Constant {
  enum class Kind : std::uint8_t { kInteger, kFloat32, kFloat64 };
  Kind kind = Kind::kInteger;
  std::uint64_t bits = 0;
  bool is_unsigned = false;

  double as_double() const;
};
// Evaluates a constant expression by the rules of the PTX ISA: C's operators, 64 bits, unsigned
// where one operand is.
Constant read_constant(ParserState& state);
// The same, but integers only.
std::int64_t read_integer(ParserState& state);
// Whether a constant expression (that is no parenthesis) begins here.
bool at_constant(ParserState& state);

// `.global .align 8 .u64 x[2] = {..}, y;` from behind the linkage words to the ';'. Parameters are
// read one by one: read_parameter ends before ',' or ')'.
struct Linkage {
  bool is_external = false;
  bool is_visible = false;
  bool is_weak = false;
};
std::vector<Variable> read_variables(ParserState& state, Linkage linkage);
Variable read_parameter(ParserState& state);
bool at_space(ParserState& state);  // .global, .shared, ...
void read_initial_value(ParserState& state, Variable& variable,
                        const std::vector<std::uint64_t>& dimensions);
// Skips `.attribute(...)` behind its word; true where it says .managed.
bool read_attribute(ParserState& state);

// One instruction with its guard, to the ';'.
Instruction read_instruction(ParserState& state);
// Behind the linkage words: `.entry` or `.func` to the end of its body or to the ';'.
Function read_function(ParserState& state, Linkage linkage);
// `( .param .b32 a, ... )`, from the parenthesis.
std::vector<Variable> read_parameters(ParserState& state);
// Names in the operands that nothing declares. Throws ParseError at the first one.
void check_names(const Tokens& tokens, const Module& module);
// The statements between the braces of a function.
void read_body(ParserState& state, Function& function);

}  // namespace ptx_emulator::ptx
