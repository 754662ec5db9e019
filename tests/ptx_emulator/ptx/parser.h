#pragma once
// PTX text to its syntax tree, and the union of several trees that nvlink would have made one
// program.

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/ptx_emulator/ptx/module.h"

namespace ptx_emulator::ptx {

// `what()` is "LABEL:LINE:COLUMN: message", with the line of text and a caret below.
class ParseError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Parses a whole translation unit. Unknown opcodes and modifiers are no error here: the tree keeps
// their words, and the decoder judges them. Throws ParseError. Bounded in memory by a small
// multiple of the text; nesting is limited.
Module parse(std::string_view text, std::string label);

// Links units compiled with -rdc: external variables and functions take the definition of another
// unit; of weak duplicates the first is kept; names without linkage words stay apart. Throws
// ParseError that names a symbol defined twice, or a variable defined nowhere. Functions may stay
// external: the machine provides some itself (vprintf), and faults by name when another one is
// called.
Module link(std::vector<Module> units);

}  // namespace ptx_emulator::ptx
