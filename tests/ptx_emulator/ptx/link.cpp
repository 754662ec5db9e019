#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "tests/ptx_emulator/ptx/parser.h"

namespace ptx_emulator::ptx {
namespace {

using Renames = std::unordered_map<std::string, std::string>;

// Names that a function body declares for itself, which hide the module's.
std::unordered_set<std::string> own_names(const Function& function) {
  std::unordered_set<std::string> names;
  for (const auto* variables :
       {&function.return_parameters, &function.parameters, &function.variables}) {
    for (const Variable& variable : *variables) names.insert(variable.name);
  }
  for (const Label& label : function.labels) names.insert(label.name);
  for (const TargetList& list : function.target_lists) names.insert(list.name);
  for (const Function& prototype : function.prototypes) names.insert(prototype.name);
  return names;
}

void rename(std::string& name, const Renames& renames,
            const std::unordered_set<std::string>& hidden) {
  const auto found = renames.find(name);
  if (found != renames.end() && hidden.count(name) == 0) name = found->second;
}

void rename(std::vector<Operand>& operands, const Renames& renames,
            const std::unordered_set<std::string>& hidden) {
  for (Operand& operand : operands) {
    const bool address = operand.kind == Operand::Kind::kAddress && !operand.base_is_register;
    if (operand.kind == Operand::Kind::kSymbol || address) rename(operand.name, renames, hidden);
    rename(operand.parts, renames, hidden);
  }
}

class Linker {
 public:
  explicit Linker(Module first) : result_(std::move(first)) {
    for (std::size_t i = 0; i < result_.variables.size(); ++i) {
      variables_.emplace(result_.variables[i].name, i);
    }
    for (std::size_t i = 0; i < result_.functions.size(); ++i) {
      functions_.emplace(result_.functions[i].name, i);
    }
  }

  void add(Module unit) {
    ++num_units_;
    rename_private(unit);
    move_source_lines(unit);
    for (Variable& variable : unit.variables) add(std::move(variable), unit.label);
    for (Function& function : unit.functions) add(std::move(function), unit.label);
    result_.version = std::max(result_.version, unit.version);
  }

  Module finish() {
    for (const Variable& variable : result_.variables) {
      // External shared memory is the launch's to give.
      if (variable.is_external && variable.space != Space::kShared) {
        throw ParseError(result_.label + ": no unit defines the variable '" + variable.name + "'");
      }
    }
    return std::move(result_);
  }

 private:
  // A name without linkage words belongs to its unit alone; one that another unit has too gets a
  // suffix that no PTX name can have.
  void rename_private(Module& unit) {
    Renames renames;
    const std::string suffix = "@unit" + std::to_string(num_units_);
    for (Variable& variable : unit.variables) {
      if (is_private(variable.name, variable.is_visible, variable.is_external)) {
        renames.emplace(variable.name, variable.name + suffix);
      }
    }
    for (Function& function : unit.functions) {
      // Entries keep their names: the program finds them by name.
      if (!function.is_entry &&
          is_private(function.name, function.is_visible, function.is_external)) {
        renames.emplace(function.name, function.name + suffix);
      }
    }
    // Also where the earlier unit's name was the private one.
    rename_earlier(unit);
    if (!renames.empty()) rename_all(unit, renames);
  }

  bool is_private(const std::string& name, bool is_visible, bool is_external) const {
    return !is_visible && !is_external && (variables_.count(name) + functions_.count(name)) > 0;
  }

  void rename_earlier(const Module& unit) {
    Renames renames;
    const std::string suffix = "@before" + std::to_string(num_units_);
    const auto consider = [&](const std::string& name, bool shared) {
      if (!shared) return;
      const auto variable = variables_.find(name);
      if (variable != variables_.end()) {
        const Variable& earlier = result_.variables[variable->second];
        if (!earlier.is_visible && !earlier.is_external) renames.emplace(name, name + suffix);
      }
      const auto function = functions_.find(name);
      if (function != functions_.end()) {
        const Function& earlier = result_.functions[function->second];
        if (!earlier.is_visible && !earlier.is_external && !earlier.is_entry) {
          renames.emplace(name, name + suffix);
        }
      }
    };
    for (const Variable& v : unit.variables) consider(v.name, v.is_visible || v.is_external);
    for (const Function& f : unit.functions) consider(f.name, f.is_visible || f.is_external);
    if (renames.empty()) return;
    rename_all(result_, renames);
    for (const auto& [from, to] : renames) {
      for (auto* table : {&variables_, &functions_}) {
        if (auto entry = table->extract(from); !entry.empty()) {
          entry.key() = to;
          table->insert(std::move(entry));
        }
      }
    }
  }

  static void rename_all(Module& unit, const Renames& renames) {
    const std::unordered_set<std::string> none;
    for (Variable& variable : unit.variables) {
      rename(variable.name, renames, none);
      for (Variable::Relocation& relocation : variable.relocations) {
        rename(relocation.symbol, renames, none);
      }
    }
    for (Function& function : unit.functions) {
      rename(function.name, renames, none);
      const std::unordered_set<std::string> hidden = own_names(function);
      for (Instruction& instruction : function.instructions) {
        rename(instruction.operands, renames, hidden);
      }
      for (TargetList& list : function.target_lists) {
        for (std::string& target : list.targets) rename(target, renames, hidden);
      }
    }
  }

  // Files and inline sites of the unit follow those that are there.
  void move_source_lines(Module& unit) {
    const auto files = static_cast<std::uint32_t>(result_.files.size());
    const auto sites = static_cast<std::uint32_t>(result_.inline_sites.size());
    const auto move = [&](Location& location) {
      if (location.source_line != 0) location.source_file += files;
      if (location.inlined_at != 0) location.inlined_at += sites;
    };
    for (InlineSite& site : unit.inline_sites) move(site.location);
    for (Variable& variable : unit.variables) move(variable.location);
    for (Function& function : unit.functions) {
      move(function.location);
      for (Instruction& instruction : function.instructions) move(instruction.location);
    }
    std::move(unit.files.begin(), unit.files.end(), std::back_inserter(result_.files));
    std::move(unit.inline_sites.begin(), unit.inline_sites.end(),
              std::back_inserter(result_.inline_sites));
  }

  void add(Variable variable, const std::string& unit) {
    const auto [known, is_new] = variables_.try_emplace(variable.name, result_.variables.size());
    if (is_new) {
      result_.variables.push_back(std::move(variable));
      return;
    }
    Variable& earlier = result_.variables[known->second];
    const std::uint32_t alignment = std::max(earlier.alignment, variable.alignment);
    if (!variable.is_external) {
      if (earlier.is_external || (earlier.is_weak && !variable.is_weak)) {
        earlier = std::move(variable);
      } else if (!variable.is_weak) {
        fail_twice("variable", variable.name, unit);
      }
    }
    earlier.alignment = std::max(earlier.alignment, alignment);
  }

  void add(Function function, const std::string& unit) {
    const auto [known, is_new] = functions_.try_emplace(function.name, result_.functions.size());
    if (is_new) {
      result_.functions.push_back(std::move(function));
      return;
    }
    Function& earlier = result_.functions[known->second];
    if (function.is_external) return;
    if (earlier.is_external || (earlier.is_weak && !function.is_weak)) {
      earlier = std::move(function);
    } else if (!function.is_weak) {
      fail_twice("function", function.name, unit);
    }
  }

  [[noreturn]] void fail_twice(const std::string& what, const std::string& name,
                               const std::string& unit) const {
    throw ParseError(unit + ": the " + what + " '" + name +
                     "' is defined in an earlier unit of this program too");
  }

  Module result_;
  std::unordered_map<std::string, std::size_t> variables_;
  std::unordered_map<std::string, std::size_t> functions_;
  std::size_t num_units_ = 1;
};

}  // namespace

Module link(std::vector<Module> units) {
  if (units.empty()) return {};
  Linker linker(std::move(units.front()));
  for (std::size_t i = 1; i < units.size(); ++i) linker.add(std::move(units[i]));
  return linker.finish();
}

}  // namespace ptx_emulator::ptx
