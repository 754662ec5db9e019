#include "src/training/run_directory.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/cuda/device.h"
#include "src/core/version.h"

namespace ovid::training {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");  // a pseudo file: nothing of it can be lost
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

RunChoices read_choices(const RunDirectory& directory) {
  RunChoices choices;
  if (!std::filesystem::exists(directory.choices())) return choices;
  const auto json = nlohmann::json::parse(read_file(directory.choices()), nullptr, false);
  if (json.is_object() && json.contains("micro_sequences")) {
    const auto& value = json["micro_sequences"];
    if (value.is_number_integer() && value.get<std::int64_t>() > 0)
      choices.micro_sequences = value.get<std::int64_t>();
  }
  return choices;
}

void write_choices(const RunDirectory& directory, const RunChoices& choices) {
  nlohmann::json json = nlohmann::json::object();
  if (choices.micro_sequences) json["micro_sequences"] = *choices.micro_sequences;
  replace_file(directory.choices(), json.dump(2) + "\n");
}

std::string environment_json(const RunPlan& plan) {
  utsname system{};
  ::uname(&system);
  nlohmann::json json = {
      {"ovid_version", kVersion},
      {"build_type", kBuildType},
      {"compiler", kCompiler},
      {"device", "cpu"},
      {"computes_in", kernels::name_of(plan.target().dtype)},
      {"processor", processor_name()},
      {"instruction_set", kernels::cpu::instruction_set()},
      {"matrix_products", kernels::cpu::gemm_library()},
      {"threads", plan.target().threads},
      {"ranks", plan.ranks.count},
      {"micro_sequences", plan.micro_batch.sequences},
      {"system", std::string(system.sysname) + " " + system.release},
      {"host", system.nodename},
      {"seed", plan.config().run.seed},
  };
  if (plan.target().device != nullptr) {
    const kernels::cuda::DeviceProperties& p = plan.target().device->properties();
    json["device"] = "cuda";
    json["gpu"] = {{"name", p.name},
                   {"index", p.index},
                   {"compute_capability", fmt::format("{}.{}", p.major, p.minor)},
                   {"memory_bytes", p.memory_bytes},
                   {"driver", p.driver_version},
                   {"cuda_runtime", p.runtime_version},
                   {"cublas", p.cublas_version}};
  }
  return json.dump(2) + "\n";
}

}  // namespace ovid::training
