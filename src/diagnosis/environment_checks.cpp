#include "src/diagnosis/environment_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <optional>
#include <vector>

#include "src/memory/system_text.h"

namespace ovid::diagnosis {
namespace {

struct Setting {
  const std::string& value;
  int cores;
};

// Whether a value is one that slows.
using Slows = bool (*)(const Setting&);

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool always(const Setting&) {
  return true;
}
bool not_zero(const Setting& s) {
  return s.value != "0";
}
bool is_on(const Setting& s) {
  return s.value == "1" || lower(s.value) == "true";
}
bool fewer_than_cores(const Setting& s) {
  const auto count = memory::first_number(s.value);
  return count && *count < static_cast<std::uint64_t>(s.cores);
}
// "false" leaves threads free; all other values bind them.
bool binds(const Setting& s) {
  return lower(s.value) != "false";
}
bool limits_isa(const Setting& s) {
  return s.value != "ALL" && s.value != "DEFAULT";
}
bool hides_instructions(const Setting& s) {
  return s.value.find("hwcaps") != std::string::npos;
}

struct Rule {
  const char* name;
  const char* library;  // that must be in use; empty: any
  Slows slows;
  const char* effect;
};

constexpr Rule kRules[] = {
    {"OPENBLAS_CORETYPE", "openblas", always, "forces the kernels of one processor on OpenBLAS"},
    {"OPENBLAS_L2_SIZE", "openblas", always, "changes OpenBLAS's blocking"},
    {"OPENBLAS_VERBOSE", "openblas", not_zero, "makes OpenBLAS print"},
    {"ONEDNN_MAX_CPU_ISA", "onednn", limits_isa, "keeps oneDNN from wider instructions"},
    {"DNNL_MAX_CPU_ISA", "onednn", limits_isa, "keeps oneDNN from wider instructions"},
    {"ONEDNN_VERBOSE", "onednn", not_zero, "makes oneDNN print each product"},
    {"DNNL_VERBOSE", "onednn", not_zero, "makes oneDNN print each product"},
    {"OMP_THREAD_LIMIT", "", fewer_than_cores, "leaves cores idle"},
    {"OMP_NUM_THREADS", "", fewer_than_cores,
     "limits libraries that take their threads from it; Ovid itself goes by device.threads"},
    {"OMP_DYNAMIC", "", is_on, "lets OpenMP take fewer threads than were asked for"},
    {"OMP_PROC_BIND", "", binds,
     "binds threads to cores; several programs that do so share the same ones"},
    {"GOMP_CPU_AFFINITY", "", always, "binds threads to cores"},
    {"KMP_AFFINITY", "", always, "binds threads to cores"},
    {"GLIBC_TUNABLES", "", hides_instructions,
     "hides instructions of the processor from libraries"},
    {"LD_PRELOAD", "", always, "replaces functions of libraries"},
    {"LD_BIND_NOT", "", always, "looks every function up at each call"},
    {"MALLOC_CHECK_", "", not_zero, "checks memory at each allocation"},
    {"MALLOC_PERTURB_", "", not_zero, "overwrites memory at each allocation"},
};

bool is_mkl(const std::string& name) {
  return name.rfind("MKL_", 0) == 0;
}

}  // namespace

Findings check_environment(const SystemView& system, const std::string& matrix_library, int cores) {
  Findings findings;
  for (const Rule& rule : kRules) {
    const auto value = variable(system, rule.name);
    if (!value || (*rule.library != '\0' && matrix_library != rule.library)) continue;
    if (!rule.slows({*value, cores})) continue;
    findings.push_back({"environment", Grade::kDoubtful,
                        fmt::format("{}={} {}", rule.name, *value, rule.effect),
                        fmt::format("unset {}", rule.name)});
  }
  if (findings.empty())
    findings.push_back({"environment", Grade::kGood, "no variable that slows Ovid is set", ""});
  const auto mkl = std::find_if(system.environment.begin(), system.environment.end(),
                                [](const auto& entry) { return is_mkl(entry.first); });
  if (mkl != system.environment.end()) {
    findings.push_back({"environment", Grade::kGood,
                        fmt::format("{} is set; Ovid does not use MKL", mkl->first), ""});
  }
  return findings;
}

Finding check_locale(const SystemView& system) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto value = variable(system, name);
    if (!value) continue;
    const std::string folded = lower(*value);
    const bool utf8 =
        folded.find("utf-8") != std::string::npos || folded.find("utf8") != std::string::npos;
    if (utf8 || *value == "C" || *value == "POSIX")
      return {"locale", Grade::kGood, fmt::format("{}={}", name, *value), ""};
    return {"locale", Grade::kDoubtful, fmt::format("{}={} names no UTF-8 encoding", name, *value),
            "export LC_ALL=C.UTF-8: prompts and generated text are UTF-8"};
  }
  return {"locale", Grade::kGood, "none is set: C", ""};
}

}  // namespace ovid::diagnosis
