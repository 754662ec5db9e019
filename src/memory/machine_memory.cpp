#include "src/memory/machine_memory.h"

#include <algorithm>
#include <sstream>
#include <string>

#include "src/memory/system_text.h"

namespace ovid::memory {
namespace {

std::optional<std::uint64_t> bytes_after(const std::string& meminfo, const char* key) {
  const auto kib = number_after(meminfo, key);
  if (!kib || *kib > UINT64_MAX / 1024) return std::nullopt;
  return *kib * 1024;
}

struct GroupMemory {
  std::uint64_t limit;
  std::uint64_t left;
};

// One group's limit: version 2 (memory.max), version 1 (memory.limit_in_bytes).
std::optional<GroupMemory> memory_of_group(const Path& group) {
  std::string limit_text = system_text(group / "memory.max");
  std::string used_text = system_text(group / "memory.current");
  if (limit_text.empty()) {
    limit_text = system_text(group / "memory.limit_in_bytes");
    used_text = system_text(group / "memory.usage_in_bytes");
  }
  const auto limit = first_number(limit_text);    // none in "max"
  constexpr std::uint64_t kNoLimit = 1ull << 60;  // version 1 writes 2^63 less a page
  if (!limit || *limit >= kNoLimit) return std::nullopt;
  const std::uint64_t used = first_number(used_text).value_or(0);
  const std::uint64_t cache =
      number_after(system_text(group / "memory.stat"), "inactive_file ").value_or(0);
  const std::uint64_t held = used > cache ? used - cache : 0;
  return GroupMemory{*limit, *limit > held ? *limit - held : 0};
}

// The tightest limit from the mount's root down to this process's group.
std::optional<GroupMemory> group_memory(const Path& root) {
  std::optional<GroupMemory> tightest;
  const auto take = [&](const Path& group) {
    const auto memory = memory_of_group(group);
    if (memory && (!tightest || memory->left < tightest->left)) tightest = memory;
  };
  // Whatever the list of memberships says: in a container the mount's root is often the own group.
  take(root / "sys/fs/cgroup");
  take(root / "sys/fs/cgroup/memory");
  std::istringstream lines(system_text(root / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {  // "0::/a/b" or "5:memory:/a/b"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool version_1 = controllers == "memory";
    if (!controllers.empty() && !version_1) continue;
    Path at = root / (version_1 ? "sys/fs/cgroup/memory" : "sys/fs/cgroup");
    for (const Path& name : Path(line.substr(second + 1)).relative_path()) {
      if (name == "..") break;  // outside of what this container sees
      take(at /= name);
    }
  }
  return tightest;
}

}  // namespace

std::optional<MachineMemory> machine_memory(const Path& root) {
  const std::string meminfo = system_text(root / "proc/meminfo");
  const auto total = bytes_after(meminfo, "MemTotal:");
  const auto available = bytes_after(meminfo, "MemAvailable:");
  if (!total || !available) return std::nullopt;
  MachineMemory memory{.total = *total, .available = *available, .group_limit = std::nullopt};
  if (const auto group = group_memory(root)) {
    memory.available = std::min(memory.available, group->left);
    memory.group_limit = group->limit;
  }
  return memory;
}

std::size_t available_memory() {
  const auto memory = machine_memory();
  return memory ? static_cast<std::size_t>(memory->available) : 0;
}

}  // namespace ovid::memory
