#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"
#include "tests/ptx_emulator/ptx/parser.h"

// PTX text, of one unit or of several to be linked: "=== NAME" separates them.
namespace ovid::fuzz {
namespace {

namespace ptx = ptx_emulator::ptx;

// What promises the tree makes to the decoder.
void check_module(const ptx::Module& module) {
  for (const ptx::Variable& variable : module.variables) {
    if (variable.num_elements && variable.initial.size() > variable.size_bytes()) {
      fail("more initial bytes than the variable has");
    }
    for (const ptx::Variable::Relocation& relocation : variable.relocations) {
      if (relocation.offset + relocation.bytes > variable.initial.size()) {
        fail("an address outside the initial bytes");
      }
    }
  }
  for (const ptx::Function& function : module.functions) {
    for (const ptx::Label& label : function.labels) {
      if (label.instruction > function.instructions.size()) fail("a label outside its function");
    }
    for (const ptx::Instruction& instruction : function.instructions) {
      if (instruction.location.inlined_at > module.inline_sites.size()) {
        fail("an inline site that does not exist");
      }
    }
  }
}

}  // namespace

// Trees take a small multiple of the text, initial values of one variable up to 64 MiB.
const AllowedBytes kAllowedBytes{.ours = 160 * kMiB, .malloc_ = 16 * kMiB};

void try_input(std::string_view input) {
  try {
    std::vector<ptx::Module> units;
    const auto sections = split_sections(input);
    for (const auto& [name, text] : sections) units.push_back(ptx::parse(text, name));
    if (sections.empty()) units.push_back(ptx::parse(input, "input"));
    for (const ptx::Module& unit : units) check_module(unit);
    check_module(ptx::link(std::move(units)));
  } catch (const ptx::ParseError& error) {
    check_message(error.what());
  }
}

}  // namespace ovid::fuzz
