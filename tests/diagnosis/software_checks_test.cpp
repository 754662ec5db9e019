#include <nlohmann/json.hpp>

#include "src/diagnosis/disk_checks.h"
#include "src/diagnosis/doctor.h"
#include "src/diagnosis/environment_checks.h"
#include "src/diagnosis/library_checks.h"
#include "src/diagnosis/limit_checks.h"
#include "src/diagnosis/speed_checks.h"
#include "tests/catch.h"
#include "tests/diagnosis/fake_system.h"

namespace ovid::diagnosis {
namespace {

CanLoad only(const std::string& library) {
  return [library](const std::string& asked) { return asked == library; };
}

}  // namespace

TEST_CASE("each variable that slows the library in use is a doubtful finding", "[diagnosis]") {
  constexpr int kCores = 8;
  FakeSystem system;
  Findings findings = check_environment(system.view(), "onednn", kCores);
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].grade == Grade::kGood);
  system.set("OPENBLAS_CORETYPE", "Haswell")
      .set("OMP_NUM_THREADS", "1")
      .set("MKL_NUM_THREADS", "1");
  system.set("OMP_PROC_BIND", "false").set("DNNL_VERBOSE", "0").set("LD_PRELOAD", "");
  findings = check_environment(system.view(), "onednn", kCores);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].value.find("OMP_NUM_THREADS=1") == 0);
  CHECK(findings[0].cure == "unset OMP_NUM_THREADS");
  CHECK(findings[1].value == "MKL_NUM_THREADS is set; Ovid does not use MKL");
  findings = check_environment(system.view(), "openblas", kCores);
  REQUIRE(findings.size() == 3);
  CHECK(findings[0].value.find("OPENBLAS_CORETYPE=Haswell") == 0);
  system.set("OMP_NUM_THREADS", "8");
  CHECK(check_environment(system.view(), "onednn", kCores)[0].grade == Grade::kGood);
}

TEST_CASE("a locale of another encoding than UTF-8 is doubtful", "[diagnosis]") {
  FakeSystem system;
  CHECK(check_locale(system.view()).grade == Grade::kGood);
  CHECK(check_locale(system.set("LANG", "de_DE.ISO-8859-1").view()).grade == Grade::kDoubtful);
  CHECK(check_locale(system.set("LC_ALL", "C.UTF-8").view()).grade == Grade::kGood);
}

TEST_CASE("CUDA is doubtful where a driver is there in part or cannot be used", "[diagnosis]") {
  FakeSystem without, with;
  with.file("proc/driver/nvidia/version", "NVRM version: 1\n");
  const CanLoad none = only(""), cuda = only("libcuda.so.1");
  const CudaFacts works{.devices = {"one GPU", "another"}, .unavailable = ""};
  const CudaFacts fails{.devices = {}, .unavailable = "libcudart.so.13 is missing"};
  CHECK(check_cuda(without.view(), none, fails).grade == Grade::kGood);
  CHECK(check_cuda(with.view(), cuda, works).value == "one GPU; another");
  CHECK(check_cuda(without.view(), none, works).grade == Grade::kGood);
  CHECK_THAT(check_cuda(with.view(), cuda, fails).value, Catch::Contains(fails.unavailable));
  CHECK(check_cuda(with.view(), cuda, fails).grade == Grade::kDoubtful);
  CHECK(check_cuda(with.view(), none, fails).grade == Grade::kDoubtful);
  CHECK(check_cuda(without.view(), cuda, fails).grade == Grade::kDoubtful);
  CHECK(can_load("libc.so.6"));
  CHECK_FALSE(can_load("libno-such-library.so.1"));
  CHECK(check_nccl(only("libnccl.so.2")).value == "found");
  CHECK(check_nccl(none).grade == Grade::kGood);
}

TEST_CASE("MPI needs its library and its launcher", "[diagnosis]") {
  FakeSystem system;
  system.file("bin/mpirun", "#!/bin/sh\n");
  const CanLoad none = only(""), mpi = only("libmpi.so.40");
  CHECK(check_mpi(system.view(), none).grade == Grade::kGood);
  CHECK(check_mpi(system.view(), mpi).grade == Grade::kDoubtful);
  system.set("PATH", ":/nowhere:" + (system.view().root / "bin").string());
  CHECK(check_mpi(system.view(), mpi).grade == Grade::kDoubtful);  // no permission to run it
  std::filesystem::permissions(system.view().root / "bin/mpirun",
                               std::filesystem::perms::owner_all);
  CHECK(check_mpi(system.view(), mpi).grade == Grade::kGood);
  CHECK(check_mpi(system.view(), none).grade == Grade::kDoubtful);
}

TEST_CASE("limits that cut checkpoints are bad", "[diagnosis]") {
  for (const Finding& finding : check_limits({})) CHECK(finding.grade == Grade::kGood);
  const Findings tight = check_limits({.file_bytes = 1 << 20,
                                       .open_files = 64,
                                       .core_bytes = 0,
                                       .address_space_bytes = 1ull << 32});
  REQUIRE(tight.size() == 4);
  CHECK(tight[0].grade == Grade::kBad);
  CHECK(tight[1].grade == Grade::kDoubtful);
  CHECK(tight[2].value == "none");
  CHECK(tight[3].grade == Grade::kDoubtful);
  CHECK(check_limits({.file_bytes = 1ull << 30})[0].grade == Grade::kDoubtful);
}

TEST_CASE("a clock before this program was written is doubtful", "[diagnosis]") {
  CHECK(check_clock(0).grade == Grade::kDoubtful);
  CHECK(check_clock(1.8e9).grade == Grade::kGood);
}

TEST_CASE("disk findings follow space, speed and the time of a sync", "[diagnosis]") {
  CHECK(check_free_space("/", 1ull << 40).grade == Grade::kGood);
  CHECK(check_free_space("/", 2ull << 30).grade == Grade::kDoubtful);
  CHECK(check_free_space("/", 1 << 20).grade == Grade::kBad);
  const Findings fast = check_disk_speed({1e9, 0.001, 0.1});
  for (const Finding& finding : fast) CHECK(finding.grade == Grade::kGood);
  const Findings slow = check_disk_speed({20e6, 0.2, -60});
  for (const Finding& finding : slow) CHECK(finding.grade == Grade::kDoubtful);
  CHECK(slow[0].cure.find("takes 75 s") != std::string::npos);
}

TEST_CASE("the disk of the nearest existing folder is measured and left as it was", "[diagnosis]") {
  const test::TemporaryDirectory directory;
  CHECK(nearest_existing(directory / "a/b/c") == directory.path());
  const DiskSpeed speed = measure_disk(directory.path(), 8 << 20);
  CHECK(speed.bytes_per_second > 0);
  CHECK(speed.sync_seconds > 0);
  CHECK(locks_work(directory.path()));
  CHECK(std::filesystem::is_empty(directory.path()));
  CHECK(check_locks(false).grade == Grade::kDoubtful);
}

TEST_CASE("a folder that cannot be written is one bad finding", "[diagnosis]") {
  // /proc takes no files, not even from root.
  const Findings findings = check_disk("/proc");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].grade == Grade::kBad);
  CHECK_FALSE(none_bad(findings));
}

TEST_CASE("matrix products are judged against the measured peak", "[diagnosis]") {
  CHECK(check_speed({"onednn", 180e9, 200e9, 50e9})[0].grade == Grade::kGood);
  CHECK(check_speed({"builtin", 60e9, 200e9, 50e9, true})[0].cure.find("oneDNN") !=
        std::string::npos);
  CHECK(check_speed({"builtin", 60e9, 200e9, 50e9})[0].cure.find("quiet") != std::string::npos);
  CHECK(check_speed({"onednn", 1e9, 200e9, 0})[0].grade == Grade::kBad);
  CHECK(check_speed({"onednn", 1e9, 200e9, 0}).size() == 1);
  CHECK(check_speed({"onednn", 400e9, 200e9, 0})[0].grade == Grade::kDoubtful);  // cannot be
}

TEST_CASE("findings are printed in plain words, in colour only where asked", "[diagnosis]") {
  const Findings findings{{"disk", Grade::kGood, "fast", ""},
                          {"memory", Grade::kDoubtful, "lit\x1btle", "buy some"},
                          {"limits", Grade::kBad, "none", "ulimit"}};
  const std::string plain = to_text(findings, false);
  CHECK(plain.find("good      disk    fast\n") == 0);
  CHECK(plain.find("doubtful  memory  lit?tle\n") != std::string::npos);
  CHECK(plain.find("cure: buy some\n") != std::string::npos);
  CHECK(plain.find("1 good, 1 doubtful, 1 bad\n") != std::string::npos);
  CHECK(plain.find('\x1b') == std::string::npos);
  CHECK(to_text(findings, true).find("\x1b[31mbad") != std::string::npos);
  const auto json = nlohmann::json::parse(to_json(findings));
  CHECK(json.at("bad") == 1);
  CHECK(json.at("findings").at(0).at("cure").is_null());
  CHECK(json.at("findings").at(1).at("grade") == "doubtful");
}

TEST_CASE("this machine can be examined", "[diagnosis]") {
  const test::TemporaryDirectory directory;
  const Findings findings = examine(directory.path());
  CHECK(findings.size() >= 18);
  for (const Finding& finding : findings) {
    INFO(finding.topic << ": " << finding.value);
    CHECK_FALSE(finding.value.empty());
    CHECK(finding.cure.empty() == (finding.grade == Grade::kGood));
  }
  CHECK(std::filesystem::is_empty(directory.path()));
}

}  // namespace ovid::diagnosis
