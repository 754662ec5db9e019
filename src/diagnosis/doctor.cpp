#include "src/diagnosis/doctor.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>

#include "kernels/cpu/available_threads.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/cpu/parallel_for.h"
#include "src/diagnosis/disk_checks.h"
#include "src/diagnosis/environment_checks.h"
#include "src/diagnosis/library_checks.h"
#include "src/diagnosis/limit_checks.h"
#include "src/diagnosis/memory_checks.h"
#include "src/diagnosis/processor_checks.h"
#include "src/diagnosis/speed_checks.h"

namespace ovid::diagnosis {
namespace {

CoreFacts core_facts(const SystemView& system) {
  CoreFacts cores;
  cores.machine = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  cores.affinity = cores.machine;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    cores.affinity = std::max(1, CPU_COUNT(&allowed));
  // hardware_concurrency counts what the mask allows; the kernel's list of online cores does not.
  cores.machine = std::max(cores.machine, online_cores(system));
  cores.quota = kernels::cpu::cgroup_cores(system.root / "sys/fs/cgroup",
                                           text_of(system, "proc/self/cgroup"));
  cores.used = kernels::cpu::available_threads();
  return cores;
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// The findings of checks, each of which may fail by itself.
class Examination {
 public:
  template <class Check>
  void add(const char* topic, Check check) {
    try {
      append(check());
    } catch (const std::exception& error) {
      findings_.push_back({topic, Grade::kDoubtful, error.what(), "see the message"});
    }
  }
  Findings take() { return std::move(findings_); }

 private:
  void append(Finding finding) { findings_.push_back(std::move(finding)); }
  void append(Findings findings) {
    for (Finding& finding : findings) findings_.push_back(std::move(finding));
  }

  Findings findings_;
};

}  // namespace

Findings examine(const Path& run_directory) {
  const SystemView system = this_machine();
  const KernelFacts kernels{kernels::cpu::instruction_set(),
                            kernels::cpu::supported_instruction_sets(),
                            kernels::cpu::gemm_library()};
  const CoreFacts cores = core_facts(system);
  Examination examination;
  examination.add("instruction set", [&] { return check_instruction_sets(system, kernels); });
  examination.add("cores", [&] { return check_cores(cores); });
  examination.add("hardware threads", [&] { return check_hardware_threads(system); });
  examination.add("load by others", [&] { return check_load(system, cores.used); });
  examination.add("memory", [&] { return check_memory(system); });
  examination.add("swap", [&] { return check_swap(system); });
  examination.add("large pages", [&] { return check_huge_pages(system); });
  examination.add("environment",
                  [&] { return check_environment(system, kernels.matrix_library, cores.used); });
  examination.add("matrix products", [&] { return check_speed(measure_speed(cores.used)); });
  examination.add("disk", [&] { return check_disk(run_directory); });
  examination.add("limits", [&] { return check_limits(limits_of_this_process()); });
  examination.add("CUDA", [&] { return check_cuda(system, can_load, cuda_facts()); });
  examination.add("NCCL", [&] { return check_nccl(can_load); });
  examination.add("MPI", [&] { return check_mpi(system, can_load); });
  examination.add("locale", [&] { return check_locale(system); });
  examination.add("clock", [&] { return check_clock(now_seconds()); });
  return examination.take();
}

}  // namespace ovid::diagnosis
