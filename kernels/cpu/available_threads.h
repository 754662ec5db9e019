#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace ovid::kernels::cpu {

// The whole cores that control groups grant, rounded up; nothing where there is no limit.
// `memberships` is the text of /proc/self/cgroup, `root` the mount point of the cgroup file system:
// version 2 (cpu.max in the group and its parents) and version 1 (cpu.cfs_quota_us). What cannot be
// read or parsed counts as no limit.
std::optional<int> cgroup_cores(const std::filesystem::path& root, const std::string& memberships);

}  // namespace ovid::kernels::cpu
