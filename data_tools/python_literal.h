#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

namespace ovid::data_tools {

// A line that is no Python dict, or one that this parser does not know. The message is a reason
// without a place.
struct PythonSyntaxError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A value of a dict: text, number, or anything else (None, True, lists, dicts), which is checked
// and not kept.
using PythonValue = std::variant<std::monostate, std::string, double>;

// Parses what Python's repr() prints of a dict with text keys, as the older review releases have it
// a line: strings in either quotes with prefix u or none and all escapes but \N{...}, numbers (also
// with L), True, False, None, lists, tuples and dicts. \x80 to \xff in a string without u are bytes
// where all of them together are UTF-8, as Python 2 prints them, and else characters. Text comes as
// UTF-8; a later key replaces an earlier one. Throws PythonSyntaxError, also for brackets deeper
// than 64 and lone surrogates.
std::map<std::string, PythonValue> parse_python_dict(std::string_view line);

}  // namespace ovid::data_tools
