#include <string_view>
#include <unordered_set>

#include "tests/ptx_emulator/ptx/parser_state.h"

namespace ptx_emulator::ptx {
namespace {

using Names = std::unordered_set<std::string_view>;

Names names_in(const Function& function) {
  Names names;
  for (const Variable& variable : function.return_parameters) names.insert(variable.name);
  for (const Variable& variable : function.parameters) names.insert(variable.name);
  for (const Variable& variable : function.variables) names.insert(variable.name);
  for (const Label& label : function.labels) names.insert(label.name);
  for (const TargetList& list : function.target_lists) names.insert(list.name);
  for (const Function& prototype : function.prototypes) names.insert(prototype.name);
  return names;
}

class NameCheck {
 public:
  NameCheck(const Tokens& tokens, const Module& module) : tokens_(tokens) {
    for (const Variable& variable : module.variables) module_.insert(variable.name);
    for (const Function& function : module.functions) module_.insert(function.name);
  }

  void check(const Function& function) {
    function_ = names_in(function);
    for (const Instruction& instruction : function.instructions) {
      for (const Operand& operand : instruction.operands) check(operand, instruction.location);
    }
    for (const TargetList& list : function.target_lists) {
      for (const std::string& target : list.targets) check(target, function.location);
    }
  }

  void check(const std::string& name, const Location& location) const {
    if (function_.count(name) > 0 || module_.count(name) > 0) return;
    Token token;
    token.line = location.line;
    token.column = location.column;
    tokens_.fail(token, "nothing declares '" + name + "'");
  }

 private:
  void check(const Operand& operand, const Location& location) const {
    const bool address = operand.kind == Operand::Kind::kAddress && !operand.base_is_register &&
                         !operand.name.empty();
    if (operand.kind == Operand::Kind::kSymbol || address) check(operand.name, location);
    for (const Operand& part : operand.parts) check(part, location);
  }

  const Tokens& tokens_;
  Names module_;
  Names function_;
};

}  // namespace

void check_names(const Tokens& tokens, const Module& module) {
  NameCheck names(tokens, module);
  for (const Variable& variable : module.variables) {
    for (const Variable::Relocation& relocation : variable.relocations) {
      names.check(relocation.symbol, variable.location);
    }
  }
  for (const Function& function : module.functions) names.check(function);
}

}  // namespace ptx_emulator::ptx
