#include "src/memory/machine_memory.h"

#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::memory {
namespace {

void write(const Path& path, const std::string& text) {
  make_directories(path.parent_path());
  OutputFile file(path, WriteMode::kTruncate);
  file.write(text);
  file.close();
}

constexpr std::uint64_t kGiB = 1ull << 30;

}  // namespace

TEST_CASE("the available memory is that of the tightest control group above this process",
          "[memory]") {
  const test::TemporaryDirectory root;
  CHECK_FALSE(machine_memory(root.path()).has_value());
  write(root / "proc/meminfo", "MemTotal: 33554432 kB\nMemAvailable: 25165824 kB\n");
  REQUIRE(machine_memory(root.path()).has_value());
  CHECK(machine_memory(root.path())->available == 24 * kGiB);
  CHECK_FALSE(machine_memory(root.path())->group_limit.has_value());

  // A container whose group is the mount's root, with no list of memberships.
  write(root / "sys/fs/cgroup/memory.max", "8589934592\n");
  write(root / "sys/fs/cgroup/memory.current", "4294967296\n");
  write(root / "sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 1073741824\n");
  CHECK(machine_memory(root.path())->available == 5 * kGiB);
  CHECK(machine_memory(root.path())->group_limit == 8 * kGiB);

  // A parent group is tighter, the own one has no limit.
  write(root / "proc/self/cgroup", "0::/user/job\n");
  write(root / "sys/fs/cgroup/user/memory.max", "2147483648\n");
  write(root / "sys/fs/cgroup/user/memory.current", "1073741824\n");
  write(root / "sys/fs/cgroup/user/job/memory.max", "max\n");
  CHECK(machine_memory(root.path())->available == kGiB);
  CHECK(machine_memory(root.path())->group_limit == 2 * kGiB);

  // More in use than the limit says: nothing is left, and nothing wraps round.
  write(root / "sys/fs/cgroup/user/memory.current", "3221225472\n");
  CHECK(machine_memory(root.path())->available == 0);
}

TEST_CASE("a number that no memory has is no answer", "[memory]") {
  const test::TemporaryDirectory root;
  write(root / "proc/meminfo", "MemTotal: 99999999999999999999 kB\nMemAvailable: 1 kB\n");
  CHECK_FALSE(machine_memory(root.path()).has_value());
  write(root / "proc/meminfo", "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n");
  CHECK_FALSE(machine_memory(root.path()).has_value());
}

}  // namespace ovid::memory
