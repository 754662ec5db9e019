#include <fmt/format.h>

#include "kernels/cuda/device.h"
#include "src/cli/commands.h"
#include "src/cli/device_options.h"
#include "src/cli/standard_output.h"
#include "src/core/log.h"
#include "src/core/version.h"
#include "src/selftest/selftest.h"

namespace ovid::cli {

ExitCode run_selftest(const SelftestOptions& options) {
  const memory::OpenTarget open = open_target(options.device);
  if (!open.reason.empty()) log::info("no GPU: " + open.reason);

  std::vector<std::string> about{fmt::format("ovid {}", kVersion), open.description};
  if (open.device != nullptr) {
    const auto& p = open.device->properties();
    about.push_back(fmt::format("driver {}, CUDA runtime {}, cuBLASLt {}", p.driver_version,
                                p.runtime_version, p.cublas_version));
  }
  const auto results = selftest::run(
      open.target, {.quick = options.quick, .only = options.only, .seed = options.seed},
      [](const selftest::CheckResult& r) {
        if (r.outcome == selftest::Outcome::kPassed) return;
        log::warning(fmt::format("{} {} {} did not pass", r.name, r.numbers, r.size));
      });
  if (options.json) {
    print_line(selftest::to_json(results, about));
  } else {
    print(selftest::to_text(results, about));
  }
  return selftest::all_passed(results) ? ExitCode::kDone : ExitCode::kBug;
}

}  // namespace ovid::cli
