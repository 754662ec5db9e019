#include "src/diagnosis/memory_checks.h"
#include "src/diagnosis/processor_checks.h"
#include "tests/catch.h"
#include "tests/diagnosis/fake_system.h"

namespace ovid::diagnosis {
namespace {

const KernelFacts kAvx512{"AVX3", {"AVX3", "AVX2"}, "onednn"};

bool says(const Finding& finding, const std::string& text) {
  return finding.value.find(text) != std::string::npos;
}

std::string meminfo(std::uint64_t total_kib, std::uint64_t available_kib) {
  return "MemTotal:       " + std::to_string(total_kib) +
         " kB\nMemFree:   1 kB\nMemAvailable:   " + std::to_string(available_kib) + " kB\n";
}

constexpr std::uint64_t kGiBInKiB = 1 << 20;

}  // namespace

TEST_CASE("the instruction set is good where the best one is used and nothing withholds it",
          "[diagnosis]") {
  FakeSystem system;
  system.file("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu avx2 fma avx512f\nbugs\t\t:\n");
  const Finding finding = check_instruction_sets(system.view(), kAvx512);
  CHECK(finding.grade == Grade::kGood);
  CHECK(says(finding, "AVX3 (AVX-512) in use; the processor has avx2 fma avx512f"));
  CHECK(check_instruction_sets(system.view(), {"AVX2", {"AVX3", "AVX2"}, "onednn"}).grade ==
        Grade::kDoubtful);
  CHECK(check_instruction_sets(system.view(), {"EMU128", {"EMU128"}, "builtin"}).grade ==
        Grade::kDoubtful);
  system.set("DNNL_MAX_CPU_ISA", "AVX2");
  const Finding withheld = check_instruction_sets(system.view(), kAvx512);
  CHECK(withheld.grade == Grade::kDoubtful);
  CHECK(withheld.cure == "unset DNNL_MAX_CPU_ISA");
  system.set("DNNL_MAX_CPU_ISA", "ALL");
  CHECK(check_instruction_sets(system.view(), kAvx512).grade == Grade::kGood);
}

TEST_CASE("cores are doubtful where the quota or the mask keeps some away", "[diagnosis]") {
  CHECK(check_cores({.machine = 8, .affinity = 8, .used = 8}).grade == Grade::kGood);
  const Finding quota = check_cores({.machine = 8, .affinity = 8, .quota = 2, .used = 2});
  CHECK(quota.grade == Grade::kDoubtful);
  CHECK(says(quota, "2 used of 8; the control group grants 2"));
  CHECK(says(check_cores({.machine = 8, .affinity = 4, .used = 4}), "the affinity mask allows 4"));
  CHECK(check_cores({.machine = 4, .affinity = 4, .quota = 16, .used = 4}).grade == Grade::kGood);
}

TEST_CASE("the list of online cores is read with ranges, and refused where it is nonsense",
          "[diagnosis]") {
  FakeSystem system;
  CHECK(online_cores(system.view()) == 0);
  const auto cores = [&](const char* text) {
    return online_cores(system.file("sys/devices/system/cpu/online", text).view());
  };
  CHECK(cores("0-3,8,10-11\n") == 7);
  CHECK(cores("0\n") == 1);
  CHECK(cores("3-1\n") == 0);
  CHECK(cores("0-99999999999999999999\n") == 0);
}

TEST_CASE("shared cores and the load of others are doubtful", "[diagnosis]") {
  FakeSystem system;
  CHECK(check_hardware_threads(system.view()).grade == Grade::kGood);
  system.file("sys/devices/system/cpu/smt/active", "1\n");
  CHECK(check_hardware_threads(system.view()).grade == Grade::kDoubtful);
  system.file("sys/devices/system/cpu/smt/active", "0\n");
  CHECK(check_hardware_threads(system.view()).grade == Grade::kGood);
  CHECK(check_load(system.view(), 4).grade == Grade::kGood);
  system.file("proc/loadavg", "0.52 2.46 2.12 7/120 3971\n");
  CHECK(check_load(system.view(), 4).grade == Grade::kGood);
  system.file("proc/loadavg", "3.06 0.00 0.00 7/120 3971\n");
  CHECK(check_load(system.view(), 4).grade == Grade::kDoubtful);
}

TEST_CASE("memory is what the tightest control group leaves, its file cache counted as free",
          "[diagnosis]") {
  FakeSystem system;
  CHECK(says(check_memory(system.view()), "unknown"));
  system.file("proc/meminfo", meminfo(32 * kGiBInKiB, 24 * kGiBInKiB));
  CHECK(check_memory(system.view()).grade == Grade::kGood);
  CHECK(says(check_memory(system.view()), "24.00 GiB available of 32.00 GiB"));
  // Version 2: the parent has a limit, the job's own group has none.
  system.file("proc/self/cgroup", "0::/user/job\n")
      .file("sys/fs/cgroup/user/job/memory.max", "max\n")
      .file("sys/fs/cgroup/user/memory.max", "4294967296\n")
      .file("sys/fs/cgroup/user/memory.current", "4026531840\n")
      .file("sys/fs/cgroup/user/memory.stat", "anon 1\ninactive_file 2147483648\n");
  const Finding limited = check_memory(system.view());
  CHECK(limited.grade == Grade::kDoubtful);
  CHECK(says(limited, "2.25 GiB available of 4.00 GiB (the control group's limit"));
  system.file("sys/fs/cgroup/user/memory.stat", "anon 1\ninactive_file 0\n");
  CHECK(check_memory(system.view()).grade == Grade::kBad);
  // Version 1, where no limit is a number close to 2^63.
  system.file("proc/self/cgroup", "4:cpu,cpuacct:/job\n5:memory:/job\n")
      .file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
      .file("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "8589934592\n")
      .file("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "0\n");
  CHECK(says(check_memory(system.view()), "8.00 GiB available of 8.00 GiB"));
}

TEST_CASE("used swap and forbidden large pages are doubtful", "[diagnosis]") {
  FakeSystem system;
  CHECK(check_swap(system.view()).value == "none");
  system.file("proc/meminfo", "SwapTotal: 1000000 kB\nSwapFree: 990000 kB\n");
  CHECK(check_swap(system.view()).grade == Grade::kGood);
  system.file("proc/meminfo", "SwapTotal: 1000000 kB\nSwapFree: 500000 kB\n");
  CHECK(check_swap(system.view()).grade == Grade::kDoubtful);
  const char* path = "sys/kernel/mm/transparent_hugepage/enabled";
  CHECK(says(check_huge_pages(system.view()), "unknown"));
  CHECK(check_huge_pages(system.file(path, "always [madvise] never\n").view()).grade ==
        Grade::kGood);
  CHECK(check_huge_pages(system.file(path, "always madvise [never]\n").view()).grade ==
        Grade::kDoubtful);
}

}  // namespace ovid::diagnosis
