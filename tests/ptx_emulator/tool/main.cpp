// ptx-emulator: runs CUDA programs without a GPU, and looks at what is in them.

#include <cstdio>
#include <exception>
#include <string>

#include "tests/ptx_emulator/tool/commands.h"

namespace ptx_emulator::tool {
namespace {

constexpr const char* kHelp =
    R"(Runs CUDA programs on an emulated GPU, with checks that no GPU makes.

  ptx-emulator run [OPTIONS] PROGRAM [ARGUMENTS...]
      --check LIST       of memory, sync, race, global-race, init; or all; or none
                         (default: memory,sync)
      --seed N           order of blocks, warps and queued work; 0, the default, is the plain order
      --seeds N          runs the program N times, with the seeds from --seed on
      --counters FILE    counts instructions, sectors, bank conflicts, ...: JSON where the name
                         ends in .json, else a text; - prints the text at the end
      --ideal KERNEL=BYTES[;...]  what a launch would move at best, for the counters
      --device NAME      a100 (default) or h100
      --threads N        host threads (default: one for each core)
      --watchdog SECONDS a kernel that runs longer is reported as an endless loop
      --memory BYTES     device memory (default: what the device has)
      --devices N        number of devices (default 1)
      --eager            copies and kernels run when they are queued, not as late as possible
      --leaks            reports allocations that were never freed
      --list-unsupported says at the start which instructions are not supported
  ptx-emulator list [--device NAME] PROGRAM|FILE.ptx
      kernels, architectures, and instructions that are not supported, with their lines
  ptx-emulator extract [--architecture N] [--output FOLDER] PROGRAM
      the PTX inside a program, to standard output or as files
  ptx-emulator compare [--tolerance PERCENT] [--lines] BEFORE.json AFTER.json
      what changed between two files of --counters
  ptx-emulator opcodes [--untested FILE...]
      the supported instructions; or those of them that no line of the files names (texts with one
      instruction a line, PTX, or files of --counters)

Examples
  nvcc -cudart shared -gencode arch=compute_80,code=compute_80 -lineinfo sample.cu -o sample
  ptx-emulator run ./sample
  ptx-emulator run --check all --seeds 3 ./sample
  ptx-emulator run --counters now.json ./sample && ptx-emulator compare before.json now.json
  ptx-emulator extract ./sample | less

Exit status of run: the program's own; 3 where that is 0 but something was reported; 4 where the
program never loaded the emulated runtime; 2 for what cannot be emulated; 128 + N for signal N.
)";

int dispatch(const Words& words) {
  const std::string command = words.empty() ? "" : words[0];
  const Words rest(words.begin() + (words.empty() ? 0 : 1), words.end());
  if (command == "--help" || command == "-h" || command == "help") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  for (const std::string& word : rest) {
    // Words behind the program's name are the program's own.
    if (word == "--" || word.empty() || word[0] != '-') break;
    if (word == "--help" || word == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
  }
  if (command == "run") return run(rest);
  if (command == "list") return list(rest);
  if (command == "extract") return extract(rest);
  if (command == "compare") return compare(rest);
  if (command == "opcodes") return opcodes(rest);
  throw UsageError(command.empty() ? "a command is missing: run, list, extract, compare, opcodes"
                                   : "unknown command " + command +
                                         "; there are run, list, extract, compare, opcodes");
}

}  // namespace
}  // namespace ptx_emulator::tool

int main(int argc, char** argv) {
  using namespace ptx_emulator::tool;
  try {
    return dispatch(Words(argv + 1, argv + argc));
  } catch (const UsageError& error) {
    std::fprintf(stderr, "ptx-emulator: %s\n(ptx-emulator --help explains)\n", error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ptx-emulator: %s\n", error.what());
  }
  return kUsage;
}
