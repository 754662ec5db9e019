#include "src/distributed/rank_discovery.h"

#include <map>

#include "src/core/error.h"
#include "tests/catch.h"

using namespace ovid;
using namespace ovid::distributed;

namespace {

DiscoveredRanks discover(const std::map<std::string, std::string>& variables) {
  return discover_ranks([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

TEST_CASE("without a launcher a process is the only rank", "[distributed]") {
  CHECK(discover({}).ranks == RankInfo{0, 1, 0, 1});
  // A batch script of Slurm outside of srun.
  CHECK(discover({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_JOB_ID", "7"}}).ranks ==
        RankInfo{0, 1, 0, 1});
}

TEST_CASE("every launcher's variables tell the rank", "[distributed]") {
  const auto ours = discover({{"OVID_RANK", "2"},
                              {"OVID_RANKS", "4"},
                              {"OVID_LOCAL_RANK", "2"},
                              {"OVID_LOCAL_RANKS", "4"},
                              {"OVID_SEGMENT_DESCRIPTOR", "5"}});
  CHECK(ours.ranks == RankInfo{2, 4, 2, 4});
  CHECK(ours.segment_descriptor == 5);
  CHECK(ours.one_machine);

  const auto by_hand = discover({{"OVID_RANK", "1"}, {"OVID_RANKS", "3"}});
  CHECK(by_hand.ranks == RankInfo{1, 3, 1, 3});
  CHECK(by_hand.one_machine);

  const auto torchrun = discover({{"RANK", "5"},
                                  {"WORLD_SIZE", "8"},
                                  {"LOCAL_RANK", "1"},
                                  {"LOCAL_WORLD_SIZE", "4"},
                                  {"MASTER_ADDR", "node0"},
                                  {"MASTER_PORT", "29500"}});
  CHECK(torchrun.ranks == RankInfo{5, 8, 1, 4});
  CHECK_FALSE(torchrun.one_machine);
  CHECK(torchrun.run_token == "MASTER_ADDR=node0;MASTER_PORT=29500;");

  const auto open_mpi = discover({{"OMPI_COMM_WORLD_RANK", "1"},
                                  {"OMPI_COMM_WORLD_SIZE", "2"},
                                  {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                  {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                                  {"PMIX_NAMESPACE", "1234"}});
  CHECK(open_mpi.ranks == RankInfo{1, 2, 1, 2});
  CHECK(open_mpi.started_by_mpi);
  CHECK(open_mpi.one_machine);

  const auto mpich = discover({{"PMI_RANK", "3"}, {"PMI_SIZE", "4"}});
  CHECK(mpich.ranks.rank == 3);
  CHECK(mpich.started_by_mpi);
  CHECK_FALSE(mpich.one_machine);

  const auto kubernetes = discover({{"JOB_COMPLETION_INDEX", "1"}, {"WORLD_SIZE", "2"}});
  CHECK(kubernetes.ranks.rank == 1);
  CHECK_FALSE(kubernetes.one_machine);
}

TEST_CASE("a step of Slurm on one machine is told from one on several", "[distributed]") {
  std::map<std::string, std::string> variables = {
      {"SLURM_PROCID", "3"},         {"SLURM_STEP_NUM_TASKS", "4"},
      {"SLURM_NTASKS", "16"},        {"SLURM_LOCALID", "3"},
      {"SLURM_STEP_ID", "0"},        {"SLURM_JOB_ID", "7"},
      {"SLURM_STEP_NUM_NODES", "1"}, {"PMIX_RANK", "3"}};
  const auto one = discover(variables);
  CHECK(one.ranks == RankInfo{3, 4, 3, 4});
  CHECK(one.one_machine);
  CHECK(one.started_by_mpi);
  variables["SLURM_STEP_NUM_NODES"] = "2";
  variables["SLURM_LOCALID"] = "1";
  variables.erase("PMIX_RANK");
  const auto several = discover(variables);
  CHECK(several.ranks.rank == 3);
  CHECK(several.ranks.local_rank == 1);
  CHECK_FALSE(several.one_machine);
  CHECK_FALSE(several.started_by_mpi);
}

TEST_CASE("a run's ranks can be told to meet by MPI", "[distributed]") {
  std::map<std::string, std::string> variables = {
      {"OVID_RANK", "0"}, {"OVID_RANKS", "2"}, {"OVID_COMMUNICATOR", "mpi"}};
  CHECK_FALSE(discover(variables).one_machine);
  variables["OVID_COMMUNICATOR"] = "pigeons";
  CHECK_THROWS_AS(discover(variables), UsageError);
}

TEST_CASE("variables that cannot be are refused", "[distributed]") {
  CHECK_THROWS_AS(discover({{"OVID_RANK", "2"}}), UsageError);
  CHECK_THROWS_AS(discover({{"OVID_RANK", "2"}, {"OVID_RANKS", "2"}}), UsageError);
  CHECK_THROWS_AS(discover({{"OVID_RANK", "-1"}, {"OVID_RANKS", "2"}}), UsageError);
  CHECK_THROWS_AS(discover({{"OVID_RANK", "1x"}, {"OVID_RANKS", "2"}}), UsageError);
  CHECK_THROWS_AS(discover({{"OVID_RANK", "0"}, {"OVID_RANKS", "0"}}), UsageError);
  CHECK_THROWS_AS(discover({{"OVID_RANK", "0"}, {"OVID_RANKS", "99999999999999999999"}}),
                  UsageError);
  CHECK_THROWS_AS(
      discover(
          {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}, {"LOCAL_WORLD_SIZE", "4"}}),
      UsageError);
}
