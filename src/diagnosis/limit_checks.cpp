#include "src/diagnosis/limit_checks.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <string>

#include "src/memory/arena.h"

namespace ovid::diagnosis {
namespace {

std::optional<std::uint64_t> soft_limit(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return std::nullopt;
  if (limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return static_cast<std::uint64_t>(limit.rlim_cur);
}

std::string size_text(const std::optional<std::uint64_t>& bytes) {
  return bytes ? memory::readable_bytes(*bytes) : "unlimited";
}

constexpr std::uint64_t kGiB = 1ull << 30;

}  // namespace

Limits limits_of_this_process() {
  return {soft_limit(RLIMIT_FSIZE), soft_limit(RLIMIT_NOFILE), soft_limit(RLIMIT_CORE),
          soft_limit(RLIMIT_AS)};
}

Findings check_limits(const Limits& limits) {
  Finding file{"file size limit", Grade::kGood, size_text(limits.file_bytes), ""};
  if (limits.file_bytes && *limits.file_bytes < 64 << 20) {
    file.grade = Grade::kBad;
    file.cure = "ulimit -f unlimited: no checkpoint can be written";
  } else if (limits.file_bytes && *limits.file_bytes < 16 * kGiB) {
    file.grade = Grade::kDoubtful;
    file.cure = "ulimit -f unlimited: the moments of GPT-2 124M take 1 GB in one file, of 1558M 12";
  }
  Finding open{"open files limit", Grade::kGood,
               limits.open_files ? fmt::format("{}", *limits.open_files) : "unlimited", ""};
  if (limits.open_files && *limits.open_files < 256) {
    open.grade = Grade::kDoubtful;
    open.cure = "ulimit -n 4096: every token shard is an open file";
  }
  Finding core{"core dumps", Grade::kGood,
               limits.core_bytes == 0 ? "none" : "up to " + size_text(limits.core_bytes), ""};
  Findings findings{file, open, core};
  if (limits.address_space_bytes) {
    findings.push_back({"address space limit", Grade::kDoubtful,
                        size_text(limits.address_space_bytes),
                        "ulimit -v unlimited: mapped files and thread stacks count against it"});
  }
  return findings;
}

Finding check_clock(double now_seconds) {
  constexpr double kBeginOf2025 = 1'735'689'600, kBeginOf2100 = 4'102'444'800;
  if (now_seconds >= kBeginOf2025 && now_seconds < kBeginOf2100)
    return {"clock", Grade::kGood, "set", ""};
  return {"clock", Grade::kDoubtful,
          fmt::format("{:.0f} seconds since 1970, which cannot be", now_seconds),
          "set the clock (chrony, ntpd): times in logs and metrics will be wrong"};
}

}  // namespace ovid::diagnosis
