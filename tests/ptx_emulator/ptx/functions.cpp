#include "tests/ptx_emulator/ptx/parser_state.h"

namespace ptx_emulator::ptx {
namespace {

void read_three(ParserState& state, std::uint32_t (&values)[3]) {
  values[1] = values[2] = 1;
  int i = 0;
  do {
    if (i == 3) state.tokens.fail_expected("at most three numbers");
    values[i++] = state.tokens.expect_number("a number of threads or blocks");
  } while (state.tokens.accept(","));
}

// What may stand between a function's head and its body. Takes one; false where there is none.
bool read_directive(ParserState& state, Function& function) {
  Tokens& tokens = state.tokens;
  LaunchBounds& bounds = function.bounds;
  if (tokens.accept_dot("maxntid")) {
    read_three(state, bounds.max_threads);
  } else if (tokens.accept_dot("reqntid")) {
    read_three(state, bounds.required_threads);
  } else if (tokens.accept_dot("reqnctapercluster")) {
    read_three(state, bounds.required_cluster);
  } else if (tokens.accept_dot("minnctapersm")) {
    bounds.min_blocks = tokens.expect_number("a number of blocks");
  } else if (tokens.accept_dot("maxclusterrank")) {
    bounds.max_cluster_rank = tokens.expect_number("a number of blocks");
  } else if (tokens.accept_dot("maxnreg") || tokens.accept_dot("maxnctapersm") ||
             tokens.accept_dot("abi_preserve") || tokens.accept_dot("abi_preserve_control")) {
    tokens.expect_number("a number");
  } else if (tokens.accept_dot("explicitcluster")) {
    bounds.explicit_cluster = true;
  } else if (tokens.accept_dot("pragma")) {
    tokens.skip_statement();
  } else if (tokens.accept_dot("attribute")) {
    read_attribute(state);
  } else {
    return tokens.accept_dot("noreturn") || tokens.accept_dot("blocksareclusters");
  }
  return true;
}

// Parameters in registers (of .func only) are registers of the body too.
void declare_parameters(ParserState& state, Function& function,
                        const std::vector<Variable>& parameters) {
  for (const Variable& parameter : parameters) {
    const bool is_register = parameter.space == Space::kRegister;
    if (parameter.name == "_") continue;
    const auto name = state.scopes.declare(parameter.name,
                                           is_register ? NameKind::kRegister : NameKind::kVariable);
    if (!name) {
      Token token;
      token.line = parameter.location.line;
      token.column = parameter.location.column;
      state.tokens.fail(token, "the parameter '" + parameter.name + "' is declared twice");
    }
    if (!is_register) continue;
    function.registers.push_back({.name = parameter.name,
                                  .count = std::nullopt,
                                  .type = parameter.type,
                                  .vector_length = parameter.vector_length});
  }
}

}  // namespace

Function read_function(ParserState& state, Linkage linkage) {
  Tokens& tokens = state.tokens;
  Function function;
  function.is_entry = tokens.at_dot("entry");
  function.is_external = linkage.is_external;
  function.is_visible = linkage.is_visible;
  function.is_weak = linkage.is_weak;
  tokens.next();
  state.lines.forget();
  while (tokens.accept_dot("attribute")) read_attribute(state);
  if (!function.is_entry && tokens.at("(")) function.return_parameters = read_parameters(state);
  const Token name = tokens.expect_word("the name of a function");
  function.name = name.text;
  function.location = state.lines.at(name);
  if (tokens.at("(")) function.parameters = read_parameters(state);
  while (read_directive(state, function)) continue;
  if (tokens.accept(";")) {
    function.is_external = true;
    return function;
  }
  if (!tokens.at("{")) tokens.fail_expected("'{' or ';'");
  function.is_external = false;
  state.scopes.clear();
  state.scopes.enter();
  declare_parameters(state, function, function.return_parameters);
  declare_parameters(state, function, function.parameters);
  read_body(state, function);
  state.scopes.clear();
  return function;
}

}  // namespace ptx_emulator::ptx
