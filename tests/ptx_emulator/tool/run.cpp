#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "tests/ptx_emulator/runtime/fat_binary.h"
#include "tests/ptx_emulator/tool/commands.h"

namespace ptx_emulator::tool {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRuntime = "libcudart.so.13";

struct RunOptions {
  std::vector<std::pair<std::string, std::string>> environment;  // what the runtime reads
  std::uint32_t architecture = 80;
  std::uint64_t seed = 0;
  std::uint64_t num_seeds = 1;
  std::string counters;
  Words program;  // with its arguments
};

std::uint64_t number(const std::string& option, const std::string& text, std::uint64_t most) {
  char* end = nullptr;
  errno = 0;
  const unsigned long long value = std::strtoull(text.c_str(), &end, 10);
  if (errno != 0 || text.empty() || text[0] < '0' || text[0] > '9' || *end != '\0' ||
      value > most) {
    throw UsageError(option + " " + text + ": it takes a whole number up to " +
                     std::to_string(most));
  }
  return value;
}

RunOptions parse_options(const Words& words) {
  // The runtime judges the values of these itself; it knows what they mean.
  const std::pair<const char*, const char*> passed_on[] = {
      {"--check", "PTX_EMULATOR_CHECK"},       {"--threads", "PTX_EMULATOR_THREADS"},
      {"--watchdog", "PTX_EMULATOR_WATCHDOG"}, {"--memory", "PTX_EMULATOR_MEMORY"},
      {"--devices", "PTX_EMULATOR_DEVICES"},   {"--ideal", "PTX_EMULATOR_IDEAL"}};
  const std::pair<const char*, const char*> flags[] = {
      {"--eager", "PTX_EMULATOR_EAGER"},
      {"--leaks", "PTX_EMULATOR_LEAKS"},
      {"--list-unsupported", "PTX_EMULATOR_LIST_UNSUPPORTED"}};
  RunOptions result;
  if (const char* device = std::getenv("PTX_EMULATOR_DEVICE"); device != nullptr && *device != 0) {
    result.architecture = architecture_of_device(device);
  }
  if (const char* seed = std::getenv("PTX_EMULATOR_SEED"); seed != nullptr && *seed != 0) {
    result.seed = number("PTX_EMULATOR_SEED", seed, std::uint64_t{1} << 62);
  }
  Options options(words);
  std::string value;
  const auto one_of_these = [&] {
    for (const auto& [option, variable] : passed_on) {
      if (!options.value(option, value)) continue;
      result.environment.emplace_back(variable, value);
      return true;
    }
    for (const auto& [option, variable] : flags) {
      if (!options.flag(option)) continue;
      result.environment.emplace_back(variable, "1");
      return true;
    }
    return false;
  };
  while (!options.at_end()) {
    if (one_of_these()) continue;
    if (options.value("--device", value)) {
      result.architecture = architecture_of_device(value);
      result.environment.emplace_back("PTX_EMULATOR_DEVICE", value);
    } else if (options.value("--seeds", value)) {
      result.num_seeds = std::max<std::uint64_t>(1, number("--seeds", value, 10000));
    } else if (options.value("--seed", value)) {
      result.seed = number("--seed", value, std::uint64_t{1} << 62);
    } else if (options.value("--counters", value)) {
      result.counters = value == "-" ? value : fs::absolute(value).string();
    } else if (options.at_operand()) {
      break;
    }
  }
  result.program = options.rest();
  if (result.program.empty()) throw UsageError("run needs the name of a program");
  if (!result.counters.empty() && result.num_seeds > 1) {
    throw UsageError("--counters counts one run: leave out --seeds");
  }
  return result;
}

// The folder of the emulated runtime: beside this program.
fs::path library_folder() {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& folder : {here / "lib", here, here / "../lib"}) {
    if (fs::exists(folder / kRuntime)) return fs::canonical(folder);
  }
  throw UsageError(std::string(kRuntime) + " is neither in " + here.string() +
                   " nor in lib beside it; build the target ptx_emulator_cudart");
}

// The file that the shell would run; nullopt where there is none.
std::optional<fs::path> find_program(const std::string& name) {
  const auto runs = [](const fs::path& path) {
    return fs::is_regular_file(path) && access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) return runs(name) ? std::optional(name) : std::nullopt;
  const char* variable = std::getenv("PATH");
  std::string folders = variable != nullptr ? variable : "/usr/bin:/bin";
  for (std::size_t begin = 0; begin <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', begin), folders.size());
    const fs::path candidate = fs::path(folders.substr(begin, end - begin)) / name;
    if (runs(candidate)) return candidate;
    begin = end + 1;
  }
  return std::nullopt;
}

// Throws UsageError where the emulator could not take effect. Scripts and programs whose libraries
// hold the kernels pass: what they load is not known here.
void check_program(const fs::path& program, std::uint32_t architecture) {
  std::ifstream file(program, std::ios::binary);
  char start[4] = {};
  file.read(start, sizeof start);
  if (std::memcmp(start,
                  "\x7F"
                  "ELF",
                  4) != 0)
    return;
  const ElfFatBinaries found = read_elf_fat_binaries(program);
  std::string runtime;
  for (const std::string& library : found.needed) {
    if (library.rfind("libcudart.so", 0) == 0) runtime = library;
  }
  const std::string name = program.string();
  if (runtime.empty() && found.has_static_runtime) {
    throw UsageError(name +
                     ": the CUDA runtime is linked in statically (nvcc's default) and cannot be "
                     "replaced. Link it with nvcc -cudart shared (in CMake: set "
                     "CUDA_RUNTIME_LIBRARY to Shared)");
  }
  if (!runtime.empty() && runtime != kRuntime) {
    throw UsageError(name + ": needs " + runtime + "; the emulator takes the place of " + kRuntime +
                     ". Compile with CUDA 13");
  }
  if (!runtime.empty() && !found.fixed_search_path.empty()) {
    throw UsageError(name + ": its RPATH (" + found.fixed_search_path +
                     ") goes before the emulator's libraries. Link with "
                     "-Wl,--enable-new-dtags, which makes it a RUNPATH");
  }
  if (!found.containers.empty()) choose_ptx(found.containers, architecture, name);
}

class SummaryFile {
 public:
  SummaryFile() {
    std::string path = (fs::temp_directory_path() / "ptx-emulator.XXXXXX").string();
    const int file = mkstemp(path.data());
    if (file < 0) throw UsageError(path + ": cannot be written");
    close(file);
    path_ = path;
  }
  ~SummaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  SummaryFile(const SummaryFile&) = delete;
  SummaryFile& operator=(const SummaryFile&) = delete;
  const std::string& path() const { return path_; }
  // What the runtime wrote at the program's end; nullopt where it did not.
  std::optional<std::uint64_t> num_reports() const {
    std::ifstream file(path_);
    std::uint64_t reports = 0;
    if (file >> reports) return reports;
    return std::nullopt;
  }

 private:
  std::string path_;
};

// Runs the program to its end; its status as a shell would say it.
int execute(const fs::path& program, const Words& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error(std::string("cannot fork: ") + std::strerror(errno));
  if (child == 0) {
    execv(program.c_str(), arguments.data());
    std::fprintf(stderr, "ptx-emulator: %s: %s\n", program.c_str(), std::strerror(errno));
    _exit(126);
  }
  // An interrupt from the keyboard is for the program; this waits for what it makes of it.
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGINT, &ignore, &before);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  sigaction(SIGINT, &before, nullptr);
  if (WIFSIGNALED(status)) {
    std::fprintf(stderr, "ptx-emulator: %s was ended by signal %d (%s)\n", program.c_str(),
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    return kSignalled + WTERMSIG(status);
  }
  return WEXITSTATUS(status);
}

int run_once(const RunOptions& options, const fs::path& program, std::uint64_t seed) {
  const SummaryFile summary;
  setenv("PTX_EMULATOR_SEED", std::to_string(seed).c_str(), 1);
  setenv("PTX_EMULATOR_SUMMARY", summary.path().c_str(), 1);
  const int status = execute(program, options.program);
  if (status != 0) return status;
  const std::optional<std::uint64_t> reports = summary.num_reports();
  if (!reports) {
    std::fprintf(stderr,
                 "ptx-emulator: %s never loaded the emulated runtime, or ended without its exit "
                 "handlers: nothing was checked\n",
                 program.c_str());
    return kNotEmulated;
  }
  return *reports > 0 ? kReported : 0;
}

}  // namespace

int run(const Words& words) {
  const RunOptions options = parse_options(words);
  const std::optional<fs::path> program = find_program(options.program[0]);
  if (!program) {
    std::fprintf(stderr, "ptx-emulator: %s: no such program\n", options.program[0].c_str());
    return kNotFound;
  }
  check_program(*program, options.architecture);
  for (const auto& [variable, value] : options.environment) {
    setenv(variable.c_str(), value.c_str(), 1);
  }
  if (!options.counters.empty()) setenv("PTX_EMULATOR_COUNTERS", options.counters.c_str(), 1);
  std::string path = library_folder().string();
  if (const char* more = std::getenv("LD_LIBRARY_PATH"); more != nullptr && *more != 0) {
    path += std::string(":") + more;
  }
  setenv("LD_LIBRARY_PATH", path.c_str(), 1);

  int first_failure = 0;
  for (std::uint64_t i = 0; i < options.num_seeds; ++i) {
    const int status = run_once(options, *program, options.seed + i);
    if (options.num_seeds > 1) {
      std::fprintf(stderr, "ptx-emulator: seed %llu: status %d\n",
                   static_cast<unsigned long long>(options.seed + i), status);
    }
    if (first_failure == 0) first_failure = status;
  }
  return first_failure;
}

}  // namespace ptx_emulator::tool
