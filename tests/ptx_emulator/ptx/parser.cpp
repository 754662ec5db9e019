#include "tests/ptx_emulator/ptx/parser.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "tests/ptx_emulator/ptx/parser_state.h"

namespace ptx_emulator::ptx {
namespace {

class UnitParser {
 public:
  UnitParser(Tokens& tokens, Module& module)
      : tokens_(tokens),
        module_(module),
        state_{.tokens = tokens, .module = module, .scopes = {}, .lines = {}} {}

  void read() {
    if (!tokens_.at_dot("version")) {
      tokens_.fail_expected("the text of a PTX module, which begins with .version");
    }
    while (!tokens_.at_end()) read_statement();
    make_aliases();
    state_.lines.name_inlined_functions(module_);
    check_names(tokens_, module_);
  }

 private:
  void read_statement() {
    if (tokens_.accept(";")) return;
    if (tokens_.accept_dot("version")) return read_version();
    if (tokens_.accept_dot("target")) return read_target();
    if (tokens_.accept_dot("address_size")) return read_address_size();
    if (tokens_.accept_dot("file")) return state_.lines.read_file(tokens_, module_);
    if (tokens_.accept_dot("loc")) return state_.lines.read_loc(tokens_, module_);
    if (tokens_.accept_dot("section")) return state_.lines.read_section(tokens_);
    if (tokens_.accept_dot("pragma")) return tokens_.skip_statement();
    if (tokens_.accept_dot("alias")) return read_alias();
    read_declaration();
  }

  void read_version() {
    // "9.0" reads as a floating-point constant: the text counts.
    const Token token = tokens_.next();
    const std::size_t dot = token.text.find('.');
    if (token.kind != Token::Kind::kFloat64 || dot == 0 || dot > 3 ||
        dot + 2 != token.text.size()) {
      tokens_.fail(token, "expected a version such as 9.0, found " + Tokens::shown(token));
    }
    for (const char c : token.text) {
      if (c != '.') module_.version = module_.version * 10 + static_cast<std::uint32_t>(c - '0');
    }
  }

  void read_target() {
    module_.target = tokens_.expect_word("a target such as sm_80").text;
    while (tokens_.accept(",")) tokens_.expect_word("a target's option");
  }

  void read_address_size() {
    const Token token = tokens_.expect_integer("a number of bits");
    if (token.value != 64) {
      tokens_.fail(token, "addresses of " + std::to_string(token.value) +
                              " bits; only 64-bit programs are emulated");
    }
  }

  void read_alias() {
    const Token alias = tokens_.expect_word("a name");
    tokens_.expect(",");
    const Token aliasee = tokens_.expect_word("the name of a function");
    tokens_.expect(";");
    aliases_.emplace_back(alias, std::string(aliasee.text));
  }

  void read_declaration() {
    Linkage linkage;
    while (true) {
      if (tokens_.accept_dot("extern")) {
        linkage.is_external = true;
      } else if (tokens_.accept_dot("visible")) {
        linkage.is_visible = true;
      } else if (tokens_.accept_dot("weak") || tokens_.accept_dot("common")) {
        linkage.is_visible = linkage.is_weak = true;
      } else {
        break;
      }
    }
    const Token token = tokens_.peek();
    if (tokens_.at_dot("entry") || tokens_.at_dot("func")) {
      return add(read_function(state_, linkage), token);
    }
    if (!at_space(state_)) tokens_.fail_expected("a declaration");
    for (Variable& variable : read_variables(state_, linkage)) add(std::move(variable), token);
  }

  void add(Function function, const Token& token) {
    const auto [known, is_new] = functions_.try_emplace(function.name, module_.functions.size());
    if (is_new) {
      module_.functions.push_back(std::move(function));
      return;
    }
    // A declaration may be repeated; the definition takes its place, and its linkage words hold
    // too.
    Function& earlier = module_.functions[known->second];
    if (function.is_external) return;
    if (!earlier.is_external) {
      tokens_.fail(token, "the function '" + function.name + "' is defined twice");
    }
    function.is_visible |= earlier.is_visible;
    function.is_weak |= earlier.is_weak;
    earlier = std::move(function);
  }

  void add(Variable variable, const Token& token) {
    const auto [known, is_new] = variables_.try_emplace(variable.name, module_.variables.size());
    if (is_new) {
      module_.variables.push_back(std::move(variable));
      return;
    }
    Variable& earlier = module_.variables[known->second];
    if (variable.is_external) return;
    if (!earlier.is_external && !variable.is_weak) {
      tokens_.fail(token, "the variable '" + variable.name + "' is defined twice");
    }
    if (earlier.is_external) earlier = std::move(variable);
  }

  void make_aliases() {
    for (const auto& [alias, aliasee] : aliases_) {
      const auto known = functions_.find(aliasee);
      if (known == functions_.end() || module_.functions[known->second].is_external) {
        tokens_.fail(alias, "an alias of '" + aliasee + "', which is no function of this module");
      }
      // An alias per text would let a short text copy a long function over and over.
      if (aliases_.size() > kMostAliases) tokens_.fail(alias, "too many aliases");
      Function copy = module_.functions[known->second];
      copy.name = alias.text;
      add(std::move(copy), alias);
    }
  }

  static constexpr std::size_t kMostAliases = 64;
  Tokens& tokens_;
  Module& module_;
  ParserState state_;
  std::unordered_map<std::string, std::size_t> functions_;
  std::unordered_map<std::string, std::size_t> variables_;
  std::vector<std::pair<Token, std::string>> aliases_;
};

}  // namespace

Module parse(std::string_view text, std::string label) {
  Module module;
  module.label = std::move(label);
  // Zeros pad the text in fat binaries.
  text = text.substr(0, text.find('\0'));
  Tokens tokens(text, module.label);
  UnitParser(tokens, module).read();
  return module;
}

}  // namespace ptx_emulator::ptx
