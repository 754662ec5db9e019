#include "kernels/cpu/available_threads.h"

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "kernels/cpu/parallel_for.h"

namespace ovid::kernels::cpu {

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::optional<int> cores(const std::string& quota_text, const std::string& period_text) {
  std::istringstream quota_stream(quota_text), period_stream(period_text);
  std::int64_t quota = 0, period = 0;
  if (!(quota_stream >> quota) || !(period_stream >> period)) return std::nullopt;  // "max"
  constexpr std::int64_t kLimit = std::int64_t{1} << 40;  // microseconds; beyond it is no limit
  if (quota <= 0 || period <= 0 || quota > kLimit || period > kLimit) return std::nullopt;  // -1
  return static_cast<int>(std::min<std::int64_t>((quota - 1) / period + 1, 1 << 20));
}

std::optional<int> smaller(std::optional<int> a, std::optional<int> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

std::optional<int> cores_of_group(const fs::path& group) {
  std::istringstream both(text_of(group / "cpu.max"));  // "200000 100000" or "max 100000"
  std::string quota, period;
  both >> quota >> period;
  return smaller(cores(quota, period),
                 cores(text_of(group / "cpu.cfs_quota_us"), text_of(group / "cpu.cfs_period_us")));
}

// A limit of a parent binds its children. In a container the path named may lie outside of what is
// mounted; then only the root is there to read.
std::optional<int> cores_up_to_root(const fs::path& mount, const fs::path& group) {
  std::optional<int> least = cores_of_group(mount);
  fs::path at = mount;
  for (const fs::path& name : group.relative_path()) {
    if (name == "..") break;
    at /= name;
    least = smaller(least, cores_of_group(at));
  }
  return least;
}

}  // namespace

std::optional<int> cgroup_cores(const fs::path& root, const std::string& memberships) {
  std::optional<int> least;
  std::istringstream lines(memberships);
  for (std::string line; std::getline(lines, line);) {  // "0::/user.slice" or "4:cpu,cpuacct:/job"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path group = line.substr(second + 1);
    if (controllers == ",,") least = smaller(least, cores_up_to_root(root, group));
    if (controllers.find(",cpu,") == std::string::npos) continue;
    least = smaller(least, cores_up_to_root(root / "cpu", group));
  }
  return least;
}

int available_threads() {
  int count = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
    count = std::max(1, CPU_COUNT(&allowed));
  const std::optional<int> granted = cgroup_cores("/sys/fs/cgroup", text_of("/proc/self/cgroup"));
  return granted ? std::clamp(*granted, 1, count) : count;
}

}  // namespace ovid::kernels::cpu
