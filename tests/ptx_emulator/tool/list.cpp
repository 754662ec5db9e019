#include <algorithm>
#include <cstdio>
#include <set>

#include "tests/ptx_emulator/machine/code.h"
#include "tests/ptx_emulator/ptx/parser.h"
#include "tests/ptx_emulator/runtime/fat_binary.h"
#include "tests/ptx_emulator/tool/commands.h"

namespace ptx_emulator::tool {
namespace {

// Addresses only: decoding places variables, and nothing runs.
constexpr std::uint64_t kMemoryBytes = std::uint64_t{1} << 34;

std::string parameter_text(const ptx::Variable& parameter) {
  return parameter.size_bytes() * 8 == ptx::bits_of(parameter.type)
             ? std::string(ptx::name_of(parameter.type))
             : std::to_string(parameter.size_bytes()) + " bytes";
}

void print_kernels(const ptx::Module& module) {
  for (const ptx::Function& function : module.functions) {
    if (!function.is_entry || function.is_external) continue;
    std::string parameters;
    for (const ptx::Variable& parameter : function.parameters) {
      parameters += (parameters.empty() ? "" : ", ") + parameter_text(parameter);
    }
    std::printf("    %s\n      %zu instructions, parameters (%s)\n",
                demangled(function.name).c_str(), function.instructions.size(), parameters.c_str());
  }
}

// Number of unsupported instructions, each of which is printed.
std::size_t print_unsupported(ptx::Module module) {
  DeviceMemory memory(kMemoryBytes);
  const Program program(std::move(module), memory);
  std::size_t count = 0;
  for (const Code* code : program.functions()) {
    for (const std::string& text : code->unsupported) {
      if (count++ == 0) std::printf("  not supported:\n");
      std::printf("    %s: %s\n", demangled(code->name).c_str(), text.c_str());
    }
  }
  if (count == 0) std::printf("  all instructions are supported\n");
  return count;
}

std::size_t list_module(ptx::Module module) {
  std::printf("%s: PTX %u.%u for %s\n", module.label.c_str(), module.version / 10,
              module.version % 10, module.target.c_str());
  print_kernels(module);
  return print_unsupported(std::move(module));
}

void print_entries(const std::vector<FatBinaryContainer>& containers) {
  std::size_t number = 0;
  for (const FatBinaryContainer& container : containers) {
    std::printf("  fat binary %zu:", ++number);
    for (const FatBinaryEntry& entry : container) {
      const char suffix[] = {entry.architecture_suffix, 0};
      if (entry.kind == FatBinaryEntry::Kind::kPtx) {
        std::printf(" PTX for compute_%u%s", entry.architecture, suffix);
      } else if (entry.kind == FatBinaryEntry::Kind::kElf) {
        std::printf(" machine code for sm_%u", entry.architecture);
      } else {
        std::printf(" an entry of kind %u", entry.kind_number);
      }
      std::printf(&entry == &container.back() ? "\n" : ",");
    }
  }
}

// Whether one unit asks for what another one defines (-rdc=true). Units that do not may have
// private kernels of the same name, and stay apart.
bool need_linking(const std::vector<ptx::Module>& units) {
  std::set<std::string> defined;
  for (const ptx::Module& unit : units) {
    for (const ptx::Function& f : unit.functions) {
      if (!f.is_external) defined.insert(f.name);
    }
    for (const ptx::Variable& v : unit.variables) {
      if (!v.is_external) defined.insert(v.name);
    }
  }
  return std::any_of(units.begin(), units.end(), [&](const ptx::Module& unit) {
    const auto asks = [&](const auto& item) {
      return item.is_external && defined.count(item.name) > 0;
    };
    return std::any_of(unit.functions.begin(), unit.functions.end(), asks) ||
           std::any_of(unit.variables.begin(), unit.variables.end(), asks);
  });
}

std::size_t list_program(const std::string& path, std::uint32_t architecture) {
  const ElfFatBinaries found = read_elf_fat_binaries(path);
  std::printf("%s\n", path.c_str());
  if (found.containers.empty()) std::printf("  no device code\n");
  if (found.has_static_runtime &&
      std::none_of(found.needed.begin(), found.needed.end(), [](const std::string& library) {
        return library.rfind("libcudart.so", 0) == 0;
      })) {
    std::printf("  the CUDA runtime is linked in statically: link with nvcc -cudart shared\n");
  }
  print_entries(found.containers);
  std::vector<ptx::Module> units;
  std::string left_out;
  for (const FatBinaryEntry* entry : choose_ptx(found.containers, architecture, path, &left_out)) {
    units.push_back(ptx::parse(entry->text, path));
  }
  if (!left_out.empty()) std::printf("  left out: %s\n", left_out.c_str());
  std::size_t count = 0;
  if (need_linking(units)) return list_module(ptx::link(std::move(units)));
  for (ptx::Module& unit : units) count += list_module(std::move(unit));
  return count;
}

}  // namespace

int list(const Words& words) {
  Options options(words);
  std::uint32_t architecture = 80;
  std::string value;
  while (options.value("--device", value)) architecture = architecture_of_device(value);
  if (!options.at_operand()) throw UsageError("list needs a program or a PTX file");
  std::size_t count = 0;
  while (!options.at_end()) {
    const std::string path = options.next();
    const bool is_text = path.size() > 4 && path.compare(path.size() - 4, 4, ".ptx") == 0;
    count +=
        is_text ? list_module(ptx::parse(read_file(path), path)) : list_program(path, architecture);
  }
  return count == 0 ? 0 : kDifference;
}

}  // namespace ptx_emulator::tool
