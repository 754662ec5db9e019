#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/ptx_emulator/runtime/fat_binary.h"
#include "tests/ptx_emulator/tool/commands.h"

namespace ptx_emulator::tool {
namespace {

std::string architecture_of(const FatBinaryEntry& entry) {
  std::string name = std::to_string(entry.architecture);
  if (entry.architecture_suffix != 0) name += entry.architecture_suffix;
  return name;
}

void write(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path unfinished = path.string() + ".tmp";
  std::ofstream file(unfinished, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw UsageError(path.string() + ": cannot be written");
  std::filesystem::rename(unfinished, path);
  std::printf("%s\n", path.c_str());
}

}  // namespace

int extract(const Words& words) {
  Options options(words);
  std::string architecture;
  std::string folder;
  while (options.value("--architecture", architecture) || options.value("--output", folder)) {
    continue;
  }
  if (!options.at_operand()) throw UsageError("extract needs a program");
  const std::string program = options.next();
  if (!options.at_end()) throw UsageError("extract takes one program");
  const ElfFatBinaries found = read_elf_fat_binaries(program);
  if (!folder.empty()) std::filesystem::create_directories(folder);
  std::size_t number = 0;
  std::size_t num_texts = 0;
  for (const FatBinaryContainer& container : found.containers) {
    ++number;
    for (const FatBinaryEntry& entry : container) {
      if (entry.kind != FatBinaryEntry::Kind::kPtx) continue;
      if (!architecture.empty() && architecture_of(entry) != architecture) continue;
      ++num_texts;
      if (folder.empty()) {
        std::printf("// fat binary %zu of %s, compute_%s\n", number, program.c_str(),
                    architecture_of(entry).c_str());
        std::fwrite(entry.text.data(), 1, entry.text.size(), stdout);
        continue;
      }
      write(std::filesystem::path(folder) /
                (std::filesystem::path(program).filename().string() + "." + std::to_string(number) +
                 ".compute_" + architecture_of(entry) + ".ptx"),
            entry.text);
    }
  }
  if (num_texts == 0) {
    throw UsageError(program + ": no PTX" +
                     (architecture.empty() ? "" : " for compute_" + architecture));
  }
  return 0;
}

}  // namespace ptx_emulator::tool
