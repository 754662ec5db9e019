#include "src/diagnosis/processor_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

#include "src/memory/system_text.h"

namespace ovid::diagnosis {
namespace {

// The flags of the first processor; x86 names the line "flags", ARM "Features".
std::set<std::string> processor_flags(const SystemView& system) {
  std::istringstream lines(text_of(system, "proc/cpuinfo"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t:", colon) + 1);
    if (key != "flags" && key != "Features") continue;
    std::istringstream words(line.substr(colon + 1));
    std::set<std::string> flags;
    for (std::string word; words >> word;) flags.insert(word);
    return flags;
  }
  return {};
}

std::string notable_flags(const std::set<std::string>& flags) {
  std::string text;
  for (const char* name : {"avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
                           "amx_bf16", "asimd", "sve", "bf16"}) {
    if (flags.count(name) != 0) text += fmt::format("{}{}", text.empty() ? "" : " ", name);
  }
  return text.empty() ? "none that are known" : text;
}

// Values of ONEDNN_MAX_CPU_ISA under which oneDNN does not use all that the processor has.
std::optional<std::string> withheld_by(const SystemView& system, const KernelFacts& kernels) {
  if (kernels.matrix_library != "onednn") return std::nullopt;
  for (const char* name : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}) {
    const auto value = variable(system, name);
    if (value && *value != "ALL" && *value != "DEFAULT") return fmt::format("{}={}", name, *value);
  }
  return std::nullopt;
}

std::string wide_name(const std::string& instruction_set) {
  if (instruction_set.rfind("AVX3", 0) == 0) return instruction_set + " (AVX-512)";
  return instruction_set;
}

}  // namespace

Finding check_instruction_sets(const SystemView& system, const KernelFacts& kernels) {
  const std::set<std::string> flags = processor_flags(system);
  Finding finding{"instruction set", Grade::kGood,
                  fmt::format("{} in use; the processor has {}", wide_name(kernels.instruction_set),
                              notable_flags(flags)),
                  ""};
  const auto withheld = withheld_by(system, kernels);
  const bool portable = kernels.instruction_set == "SCALAR" || kernels.instruction_set == "EMU128";
  if (withheld) {
    finding.grade = Grade::kDoubtful;
    finding.value += fmt::format("; {} limits matrix products", *withheld);
    finding.cure = fmt::format("unset {}", withheld->substr(0, withheld->find('=')));
  } else if (!kernels.supported_instruction_sets.empty() &&
             kernels.instruction_set != kernels.supported_instruction_sets.front()) {
    finding.grade = Grade::kDoubtful;
    finding.value += fmt::format("; {} would be faster", kernels.supported_instruction_sets[0]);
    finding.cure = "run Ovid without what forces the slower one";
  } else if (portable && (flags.count("avx2") != 0 || flags.count("asimd") != 0)) {
    finding.grade = Grade::kDoubtful;
    finding.cure =
        "build Ovid with a compiler that knows this processor: the kernels run without "
        "vector instructions";
  } else if (portable) {
    finding.grade = Grade::kDoubtful;
    finding.cure = "train on a processor with AVX2 or better: this one is many times slower";
  }
  return finding;
}

int online_cores(const SystemView& system) {
  constexpr std::uint64_t kMostCores = 1 << 16;
  std::istringstream ranges(text_of(system, "sys/devices/system/cpu/online"));
  std::uint64_t cores = 0;
  for (std::string range; std::getline(ranges, range, ',');) {
    const auto first = memory::first_number(range);
    const std::size_t dash = range.find('-');
    const auto last = dash == std::string::npos ? first : memory::first_number(range.substr(dash));
    if (!first || !last || *last < *first || *last > kMostCores) return 0;
    cores += *last - *first + 1;
  }
  return static_cast<int>(std::min(cores, kMostCores));
}

Finding check_cores(const CoreFacts& cores) {
  Finding finding{"cores", Grade::kGood, fmt::format("{} used of {}", cores.used, cores.machine),
                  ""};
  if (cores.quota && *cores.quota < cores.affinity) {
    finding.grade = Grade::kDoubtful;
    finding.value += fmt::format("; the control group grants {}", *cores.quota);
    finding.cure =
        "give the container or job more CPUs (docker --cpus, the pod's limit, "
        "--cpus-per-task)";
  } else if (cores.affinity < cores.machine) {
    finding.grade = Grade::kDoubtful;
    finding.value += fmt::format("; the affinity mask allows {}", cores.affinity);
    finding.cure =
        "start Ovid without taskset or a binding launcher, or ask the scheduler for more "
        "cores";
  }
  return finding;
}

Finding check_hardware_threads(const SystemView& system) {
  Finding finding{"hardware threads", Grade::kGood, "", ""};
  const std::string active = text_of(system, "sys/devices/system/cpu/smt/active");
  if (active == "1") {
    finding.grade = Grade::kDoubtful;
    finding.value = "two or more share a core (SMT is on)";
    finding.cure =
        "matrix products gain nothing from the second one: compare device.threads = the "
        "number of physical cores with the default";
  } else {
    finding.value = active == "0" ? "one a core" : "unknown: the kernel does not say";
  }
  return finding;
}

Finding check_load(const SystemView& system, int cores) {
  const std::string text = text_of(system, "proc/loadavg");
  double load = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), load);
  if (parsed.ec != std::errc())
    return {"load by others", Grade::kGood, "unknown: no /proc/loadavg", ""};
  // What is idle on average is less than a core: a step ends when its slowest thread does.
  constexpr double kBusy = 0.25;
  Finding finding{"load by others", Grade::kGood,
                  fmt::format("{:.2f} in the last minute, on {} cores", load, cores), ""};
  if (load > kBusy * cores) {
    finding.grade = Grade::kDoubtful;
    finding.cure =
        "end other programs (`top` names them), or set device.threads to the cores that "
        "are free: every step waits for its slowest thread";
  }
  return finding;
}

}  // namespace ovid::diagnosis
