#include <algorithm>
#include <cstdio>
#include <set>
#include <sstream>
#include <string_view>

#include <nlohmann/json.hpp>

#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/ptx/parser.h"
#include "tests/ptx_emulator/tool/commands.h"
#include "tests/ptx_emulator/tool/form_match.h"

namespace ptx_emulator::tool {
namespace {

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The instructions that the file names, with all their modifiers.
void read_names(const std::string& path, std::set<std::string>& names) {
  const std::string text = read_file(path);
  if (ends_with(path, ".ptx")) {
    const ptx::Module module = ptx::parse(text, path);
    for (const ptx::Function& function : module.functions) {
      for (const ptx::Instruction& instruction : function.instructions) {
        names.insert(instruction.full_name());
      }
    }
  } else if (ends_with(path, ".json")) {
    const nlohmann::json report = nlohmann::json::parse(text);
    for (const nlohmann::json& kernel : report.at("kernels")) {
      for (const nlohmann::json& line : kernel.at("lines")) {
        names.insert(line.at("instruction").get<std::string>());
      }
    }
  } else {
    std::istringstream lines(text);
    for (std::string name; lines >> name;) names.insert(name);
  }
}

}  // namespace

int opcodes(const Words& words) {
  Options options(words);
  const bool untested = options.flag("--untested");
  std::set<std::string> names;
  if (options.at_operand() != untested) {
    throw UsageError("opcodes takes nothing, or --untested and files");
  }
  while (!options.at_end()) {
    const std::string path = options.next();
    try {
      read_names(path, names);
    } catch (const nlohmann::json::exception& error) {
      throw UsageError(path + ": no file of --counters: " + error.what());
    }
  }
  std::size_t num_forms = 0;
  std::size_t num_shown = 0;
  for (const std::string& entry : supported_forms()) {
    for (const std::string& form : forms_of_entry(entry)) {
      ++num_forms;
      const bool tested = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        return form_matches(form, name);
      });
      if (tested) continue;
      ++num_shown;
      std::printf("%s\n", form.c_str());
    }
  }
  if (!untested) return 0;
  std::printf("%zu of %zu forms are named by no line of the files\n", num_shown, num_forms);
  return num_shown == 0 ? 0 : kDifference;
}

}  // namespace ptx_emulator::tool
