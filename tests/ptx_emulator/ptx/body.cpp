#include <functional>
#include <optional>

#include "tests/ptx_emulator/ptx/parser_state.h"

namespace ptx_emulator::ptx {
namespace {

// More registers than any kernel has; a declaration of more is a mistake that would cost memory.
constexpr std::uint32_t kMostRegisters = 1U << 20;

void for_each_symbol(std::vector<Operand>& operands, const std::function<void(Operand&)>& visit) {
  for (Operand& operand : operands) {
    const bool address = operand.kind == Operand::Kind::kAddress && !operand.base_is_register;
    if (operand.kind == Operand::Kind::kSymbol || address) visit(operand);
    for_each_symbol(operand.parts, visit);
  }
}

class Body {
 public:
  Body(ParserState& state, Function& function)
      : state_(state), tokens_(state.tokens), function_(function) {}

  void read() {
    tokens_.expect("{");
    read_statements();
  }

 private:
  void read_statements() {
    while (!tokens_.accept("}")) {
      if (tokens_.at_end()) tokens_.fail_expected("'}'");
      if (tokens_.at("{")) {
        if (state_.scopes.depth() > kMostNesting) tokens_.fail_expected("less nesting of braces");
        tokens_.next();
        const std::size_t first_instruction = function_.instructions.size();
        const std::size_t first_list = function_.target_lists.size();
        state_.scopes.enter();
        read_statements();
        resolve_labels(first_instruction, first_list);
        state_.scopes.leave();
      } else {
        read_statement();
      }
    }
  }

  void read_statement() {
    if (tokens_.peek().kind == Token::Kind::kDotWord) return read_directive();
    if (tokens_.at_word() && tokens_.peek(1).kind == Token::Kind::kPunctuator &&
        tokens_.peek(1).text == ":") {
      return read_label();
    }
    if (tokens_.accept(";")) return;
    function_.instructions.push_back(read_instruction(state_));
  }

  void read_directive() {
    if (tokens_.accept_dot("loc")) return state_.lines.read_loc(tokens_, state_.module);
    if (tokens_.accept_dot("file")) return state_.lines.read_file(tokens_, state_.module);
    if (tokens_.accept_dot("pragma")) return tokens_.skip_statement();
    if (tokens_.accept_dot("reg")) return read_registers();
    if (!at_space(state_)) tokens_.fail_expected("a declaration or an instruction");
    for (Variable& variable : read_variables(state_, {})) {
      variable.name = declared(variable.name, NameKind::kVariable, variable.location);
      function_.variables.push_back(std::move(variable));
    }
  }

  void read_registers() {
    RegisterDeclaration common;
    common.type = Type::kNone;
    while (tokens_.peek().kind == Token::Kind::kDotWord) {
      const Token token = tokens_.next();
      if (token.text == "v2" || token.text == "v4" || token.text == "v8") {
        common.vector_length = static_cast<std::uint32_t>(token.text[1] - '0');
      } else if (token.text == "align") {
        tokens_.expect_number("an alignment");
      } else if (const std::optional<Type> type = type_named(token.text); type) {
        common.type = *type;
      } else {
        tokens_.fail(token, "expected a register's type, found " + Tokens::shown(token));
      }
    }
    if (common.type == Type::kNone) tokens_.fail_expected("a register's type");
    do {
      read_register(common);
    } while (tokens_.accept(","));
    tokens_.expect(";");
  }

  void read_register(RegisterDeclaration declaration) {
    const Token token = tokens_.expect_word("the name of a register");
    std::optional<std::string> name;
    if (tokens_.accept("<")) {
      declaration.count = tokens_.expect_number("a number of registers", kMostRegisters);
      num_registers_ += *declaration.count;
      if (num_registers_ > kMostRegisters) tokens_.fail(token, "too many registers");
      tokens_.expect(">");
      name = state_.scopes.declare_family(token.text, *declaration.count);
    } else {
      name = state_.scopes.declare(token.text, NameKind::kRegister);
    }
    if (!name) tokens_.fail(token, Tokens::shown(token) + " is declared twice");
    declaration.name = *name;
    function_.registers.push_back(std::move(declaration));
  }

  void read_label() {
    const Token token = tokens_.next();
    tokens_.expect(":");
    const std::string name = declared(token, NameKind::kLabel);
    if (tokens_.at_dot("branchtargets") || tokens_.at_dot("calltargets")) {
      tokens_.next();
      TargetList list{.name = name, .targets = {}};
      do {
        list.targets.emplace_back(tokens_.expect_word("the name of a target").text);
      } while (tokens_.accept(","));
      tokens_.expect(";");
      function_.target_lists.push_back(std::move(list));
    } else if (tokens_.accept_dot("callprototype")) {
      read_prototype(name);
    } else {
      function_.labels.push_back(
          {.name = name, .instruction = static_cast<std::uint32_t>(function_.instructions.size())});
    }
  }

  void read_prototype(const std::string& name) {
    Function prototype;
    prototype.name = name;
    if (tokens_.at("(")) prototype.return_parameters = read_parameters(state_);
    tokens_.expect_word("'_'");
    if (tokens_.at("(")) prototype.parameters = read_parameters(state_);
    // .noreturn, .abi_preserve N
    tokens_.skip_statement();
    function_.prototypes.push_back(std::move(prototype));
  }

  std::string declared(std::string_view name, NameKind kind, const Location& location) {
    Token token;
    token.text = name;
    token.kind = Token::Kind::kWord;
    token.line = location.line;
    token.column = location.column;
    return declared(token, kind);
  }
  std::string declared(const Token& token, NameKind kind) {
    const std::optional<std::string> name = state_.scopes.declare(token.text, kind);
    if (!name) tokens_.fail(token, Tokens::shown(token) + " is declared twice");
    return *name;
  }

  // Labels may be used before they stand in the text: those of inner braces get their unique names
  // at their end.
  void resolve_labels(std::size_t first_instruction, std::size_t first_list) {
    const std::unordered_map<std::string, std::string> labels = state_.scopes.labels();
    if (labels.empty()) return;
    const auto rename = [&](std::string& name) {
      if (const auto label = labels.find(name); label != labels.end()) name = label->second;
    };
    for (std::size_t i = first_instruction; i < function_.instructions.size(); ++i) {
      for_each_symbol(function_.instructions[i].operands, [&](Operand& o) { rename(o.name); });
    }
    for (std::size_t i = first_list; i < function_.target_lists.size(); ++i) {
      for (std::string& target : function_.target_lists[i].targets) rename(target);
    }
  }

  ParserState& state_;
  Tokens& tokens_;
  Function& function_;
  std::uint64_t num_registers_ = 0;
};

}  // namespace

void read_body(ParserState& state, Function& function) {
  Body(state, function).read();
}

}  // namespace ptx_emulator::ptx
