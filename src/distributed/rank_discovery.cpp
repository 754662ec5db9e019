#include "src/distributed/rank_discovery.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "src/core/error.h"

namespace ovid::distributed {
namespace {

constexpr int kMostRanks = 1'000'000;

std::string text_of(const Environment& environment, const char* name) {
  const char* const value = environment(name);
  return value == nullptr ? "" : value;
}

bool has(const Environment& environment, const char* name) {
  return !text_of(environment, name).empty();
}

std::optional<int> number(const Environment& environment, const char* name) {
  const std::string text = text_of(environment, name);
  if (text.empty()) return std::nullopt;
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || last != end || value < 0 || value > kMostRanks) {
    throw UsageError(
        fmt::format("the environment variable {}={} is not a whole number from 0 to {}", name, text,
                    kMostRanks));
  }
  return value;
}

int needed(const Environment& environment, const char* name, const char* beside) {
  if (const auto value = number(environment, name)) return *value;
  throw UsageError(fmt::format(
      "the environment has {} but not {}; set both, or start with ovid train --processes N", beside,
      name));
}

// A fact that a launcher has no variable for.
constexpr const char* kUnknown = "";

// The names of one family of variables.
struct Family {
  const char* source;
  const char* rank;
  const char* count;
  const char* local_rank;
  const char* local_count;
};

DiscoveredRanks read_family(const Environment& environment, const Family& family) {
  DiscoveredRanks found;
  found.source = family.source;
  RankInfo& ranks = found.ranks;
  ranks.rank = needed(environment, family.rank, family.count);
  ranks.count = needed(environment, family.count, family.rank);
  const auto local_rank = number(environment, family.local_rank);
  const auto local_count = number(environment, family.local_count);
  // Where only one of both is known, nothing says that all ranks are on this machine.
  ranks.local_rank = local_rank.value_or(0);
  ranks.local_count = local_count.value_or(local_rank ? *local_rank + 1 : 1);
  const bool is_sound = ranks.rank < ranks.count && ranks.local_rank < ranks.local_count &&
                        ranks.local_count <= ranks.count;
  if (!is_sound) {
    throw UsageError(fmt::format(
        "the environment says rank {} of {}, on this machine {} of {} (by {} and those beside it); "
        "ranks count from 0 and lie below their number",
        ranks.rank, ranks.count, ranks.local_rank, ranks.local_count, family.rank));
  }
  found.one_machine = ranks.local_count == ranks.count;
  return found;
}

// What is the same in all processes of a run, and in no other run of this moment.
std::string joined(const Environment& environment, const std::vector<const char*>& names) {
  std::string token;
  for (const char* const name : names) {
    if (has(environment, name)) token += fmt::format("{}={};", name, environment(name));
  }
  return token;
}

DiscoveredRanks by_ovid(const Environment& environment) {
  DiscoveredRanks found = read_family(
      environment, {"ovid", "OVID_RANK", "OVID_RANKS", "OVID_LOCAL_RANK", "OVID_LOCAL_RANKS"});
  // Set by hand, the machine's own ranks may be left out where it is the only one.
  if (!has(environment, "OVID_LOCAL_RANK") && !has(environment, "OVID_LOCAL_RANKS")) {
    found.ranks.local_rank = found.ranks.rank;
    found.ranks.local_count = found.ranks.count;
    found.one_machine = true;
  }
  found.segment_descriptor = number(environment, "OVID_SEGMENT_DESCRIPTOR");
  return found;
}

DiscoveredRanks by_torchrun(const Environment& environment) {
  DiscoveredRanks found =
      read_family(environment, {"the variables RANK and WORLD_SIZE", "RANK", "WORLD_SIZE",
                                "LOCAL_RANK", "LOCAL_WORLD_SIZE"});
  found.run_token = joined(environment, {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT",
                                         "MASTER_ADDR", "MASTER_PORT"});
  return found;
}

DiscoveredRanks by_open_mpi(const Environment& environment) {
  DiscoveredRanks found =
      read_family(environment, {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"});
  found.run_token = joined(environment, {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid",
                                         "OMPI_MCA_orte_hnp_uri", "PMIX_SERVER_URI2"});
  found.started_by_mpi = true;
  return found;
}

DiscoveredRanks by_mpich(const Environment& environment) {
  DiscoveredRanks found = read_family(
      environment, {"MPI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"});
  found.run_token = joined(environment, {"PMI_JOBID", "HYDRA_JOBID", "PMI_FD_TOKEN"});
  found.started_by_mpi = true;
  return found;
}

DiscoveredRanks by_slurm(const Environment& environment) {
  DiscoveredRanks found = read_family(
      environment, {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", kUnknown});
  // Slurm says how many machines there are, but not simply how many tasks this one has.
  const auto machines = number(environment, "SLURM_STEP_NUM_NODES");
  found.one_machine = machines == 1;
  if (found.one_machine) found.ranks.local_count = found.ranks.count;
  found.run_token = joined(environment, {"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"});
  found.started_by_mpi = has(environment, "PMIX_RANK") || has(environment, "PMI_RANK");
  return found;
}

DiscoveredRanks by_kubernetes(const Environment& environment) {
  DiscoveredRanks found = read_family(
      environment, {"Kubernetes", "JOB_COMPLETION_INDEX", "WORLD_SIZE", kUnknown, kUnknown});
  found.run_token = joined(environment, {"JOB_NAME"});
  return found;
}

DiscoveredRanks first_that_says(const Environment& environment) {
  if (has(environment, "OVID_RANK")) return by_ovid(environment);
  if (has(environment, "RANK") && has(environment, "WORLD_SIZE")) return by_torchrun(environment);
  if (has(environment, "OMPI_COMM_WORLD_RANK")) return by_open_mpi(environment);
  // Slurm before PMI: srun sets both, and says more itself. A batch script has SLURM_PROCID too,
  // but is no task: its step has a name in place of a number.
  if (has(environment, "SLURM_PROCID") && has(environment, "SLURM_STEP_ID") &&
      has(environment, "SLURM_STEP_NUM_TASKS")) {
    return by_slurm(environment);
  }
  if (has(environment, "PMI_RANK")) return by_mpich(environment);
  if (has(environment, "JOB_COMPLETION_INDEX") && has(environment, "WORLD_SIZE")) {
    return by_kubernetes(environment);
  }
  return {.ranks = {}, .source = "one process", .run_token = ""};
}

}  // namespace

Environment process_environment() {
  return [](const char* name) -> const char* { return std::getenv(name); };
}

DiscoveredRanks discover_ranks(const Environment& environment) {
  DiscoveredRanks found = first_that_says(environment);
  found.run_token += joined(environment, {"OVID_RUN_TOKEN"});
  const std::string choice = text_of(environment, "OVID_COMMUNICATOR");
  if (choice == "mpi") {
    found.one_machine = false;
  } else if (!choice.empty() && choice != "auto") {
    throw UsageError(fmt::format(
        "the environment variable OVID_COMMUNICATOR={} is neither auto nor mpi", choice));
  }
  return found;
}

}  // namespace ovid::distributed
