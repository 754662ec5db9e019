// The MPI module, with processes that mpirun starts.
#include <fmt/format.h>

#include <cstdio>

#include "tests/catch.h"
#include "tests/test_files.h"
#include "tests/test_process.h"

using namespace ovid;
using Catch::Matchers::Contains;

namespace {

test::ProcessResult run_mpi(int count, const std::string& mode) {
  const auto build = test::binary_directory();
  return test::run_process({"mpirun", "-n", std::to_string(count),
                            (build / "tests/distributed/collective_ranks").string(), "mpi", mode},
                           "",
                           {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                            "OMPI_MCA_rmaps_base_oversubscribe=1",
                            "OVID_MPI_MODULE=" + (build / "libovid_mpi.so").string()});
}

bool has_mpirun() {
  if (test::run_process({"/bin/sh", "-c", "command -v mpirun"}).exit_code == 0) return true;
  std::fputs("SKIPPED: there is no mpirun here (Debian: openmpi-bin)\n", stderr);
  return false;
}

}  // namespace

TEST_CASE("all collectives over MPI are right, to the bit", "[distributed]") {
  if (!has_mpirun()) return;
  for (const int count : {1, 2, 3, 4}) {
    const test::ProcessResult result = run_mpi(count, "check");
    INFO(result.output << result.errors);
    CHECK(result.exit_code == 0);
    for (int rank = 0; rank < count; ++rank) {
      CHECK_THAT(result.output, Contains(fmt::format("rank {}: all collectives are right", rank)));
    }
  }
}

TEST_CASE("different collectives over MPI end in an error with all calls", "[distributed]") {
  if (!has_mpirun()) return;
  const test::ProcessResult result = run_mpi(3, "mismatch");
  CHECK_THAT(result.output, Contains("ranks 0, 2 #2 all_reduce 'block 3' (40 bytes of float32); "
                                     "rank 1 #2 all_reduce 'block 3' (44 bytes"));
  CHECK(result.exit_code == 1);
}

TEST_CASE("one rank's abort reaches the others over MPI", "[distributed]") {
  if (!has_mpirun()) return;
  const test::ProcessResult result = run_mpi(3, "abort");
  INFO(result.output << result.errors);
  // mpirun ends the others when the first one has ended.
  CHECK_THAT(result.output, Contains(": rank 1 ended the run: the step hangs"));
  CHECK(result.exit_code == 6);
}

TEST_CASE("a rank that dies ends the job of mpirun", "[distributed]") {
  if (!has_mpirun()) return;
  CHECK(run_mpi(3, "kill").exit_code == 128 + 9);
  CHECK(run_mpi(3, "exit").exit_code == 3);
}
