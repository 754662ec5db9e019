#include "src/diagnosis/memory_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "src/memory/arena.h"

namespace ovid::diagnosis {
namespace {

constexpr std::uint64_t kMiB = 1ull << 20, kGiB = 1ull << 30;

using memory::readable_bytes;

std::optional<std::uint64_t> kib_of(const std::string& meminfo, const char* key) {
  const auto kib = number_after(meminfo, key);
  if (!kib || *kib > UINT64_MAX / 1024) return std::nullopt;
  return *kib * 1024;
}

struct GroupMemory {
  std::uint64_t limit;
  std::uint64_t left;
};

// One group's limit: version 2 (memory.max), version 1 (memory.limit_in_bytes).
std::optional<GroupMemory> memory_of_group(const SystemView& system, const Path& group) {
  const auto read = [&](const char* name) { return text_of(system, (group / name).string()); };
  std::string limit_text = read("memory.max"), used_text = read("memory.current");
  if (limit_text.empty()) {
    limit_text = read("memory.limit_in_bytes");
    used_text = read("memory.usage_in_bytes");
  }
  const auto limit = first_number(limit_text);    // none in "max"
  constexpr std::uint64_t kNoLimit = 1ull << 60;  // version 1 writes 2^63 less a page
  if (!limit || *limit >= kNoLimit) return std::nullopt;
  const std::uint64_t used = first_number(used_text).value_or(0);
  const std::uint64_t cache = number_after(read("memory.stat"), "inactive_file ").value_or(0);
  const std::uint64_t held = used > cache ? used - cache : 0;
  return GroupMemory{*limit, *limit > held ? *limit - held : 0};
}

// The tightest limit from the mount's root down to this process's group.
std::optional<GroupMemory> group_memory(const SystemView& system) {
  std::optional<GroupMemory> tightest;
  const auto take = [&](const Path& group) {
    const auto memory = memory_of_group(system, group);
    if (memory && (!tightest || memory->left < tightest->left)) tightest = memory;
  };
  std::istringstream lines(text_of(system, "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {  // "0::/a/b" or "5:memory:/a/b"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool version_1 = controllers == "memory";
    if (!controllers.empty() && !version_1) continue;
    Path at = version_1 ? "sys/fs/cgroup/memory" : "sys/fs/cgroup";
    take(at);
    for (const Path& name : Path(line.substr(second + 1)).relative_path()) {
      if (name == "..") break;  // outside of what this container sees
      take(at /= name);
    }
  }
  return tightest;
}

}  // namespace

Finding check_memory(const SystemView& system) {
  const std::string meminfo = text_of(system, "proc/meminfo");
  const auto total = kib_of(meminfo, "MemTotal:"), free = kib_of(meminfo, "MemAvailable:");
  if (!total || !free) return {"memory", Grade::kGood, "unknown: no /proc/meminfo", ""};
  const auto group = group_memory(system);
  const std::uint64_t available = group ? std::min(*free, group->left) : *free;
  Finding finding{"memory", Grade::kGood,
                  fmt::format("{} available of {}", readable_bytes(available),
                              readable_bytes(group ? std::min(*total, group->limit) : *total)),
                  ""};
  if (group && group->limit < *total)
    finding.value +=
        fmt::format(" (the control group's limit; the machine has {})", readable_bytes(*total));
  if (available < 512 * kMiB) {
    finding.grade = Grade::kBad;
    finding.cure = "free some memory: the smallest runs need half a GiB";
  } else if (available < 6 * kGiB) {
    // Weights, gradients and moments of 124M parameters take 2 GiB, activations of a small batch as
    // much again, an asynchronous checkpoint's copy 1.4 GiB.
    finding.grade = Grade::kDoubtful;
    finding.cure =
        "GPT-2 124M wants about 6 GiB: take a smaller model or batch.micro_sequences; "
        "`ovid plan CONFIG` tells what a run needs";
  }
  return finding;
}

Finding check_swap(const SystemView& system) {
  const std::string meminfo = text_of(system, "proc/meminfo");
  const auto total = kib_of(meminfo, "SwapTotal:"), free = kib_of(meminfo, "SwapFree:");
  if (!total || !free || *total == 0) return {"swap", Grade::kGood, "none", ""};
  const std::uint64_t used = *total > *free ? *total - *free : 0;
  Finding finding{"swap", Grade::kGood,
                  fmt::format("{} used of {}", readable_bytes(used), readable_bytes(*total)), ""};
  if (used > *total / 10) {
    finding.grade = Grade::kDoubtful;
    finding.cure = "memory was short: end other programs; a run whose memory is swapped crawls";
  }
  return finding;
}

Finding check_huge_pages(const SystemView& system) {
  const std::string text = text_of(system, "sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t open = text.find('['), close = text.find(']');
  Finding finding{"large pages", Grade::kGood, "", ""};
  if (open == std::string::npos || close == std::string::npos || close < open) {
    finding.value = "unknown: the kernel does not say";
    return finding;
  }
  finding.value = "transparent huge pages: " + text.substr(open + 1, close - open - 1);
  if (text.substr(open, close - open + 1) == "[never]") {
    finding.grade = Grade::kDoubtful;
    finding.cure =
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root): large "
        "arrays then need fewer address translations";
  }
  return finding;
}

}  // namespace ovid::diagnosis
