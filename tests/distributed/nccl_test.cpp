// NCCL's communicator in processes, on the PTX emulator with its stand-in for NCCL: real NCCL wants
// a device for each rank.
#include <algorithm>

#include "tests/catch.h"
#include "tests/distributed/rank_programs.h"

using namespace ovid;
using Catch::Matchers::Contains;

TEST_CASE("all collectives of device memory are right in 2 and 4 processes", "[distributed]") {
  for (const int count : {2, 4}) {
    const test::RanksResult result = test::run_rank_programs(count, "nccl", "check");
    for (int rank = 0; rank < count; ++rank) {
      INFO(result.output[rank]);
      CHECK(result.exit_codes[rank] == 0);
      CHECK_THAT(result.output[rank], Contains("all collectives are right"));
    }
  }
}

TEST_CASE("different collectives of devices are found before data moves", "[distributed]") {
  const test::RanksResult result = test::run_rank_programs(3, "nccl", "mismatch");
  for (int rank = 0; rank < 3; ++rank) {
    CHECK_THAT(result.output[rank],
               Contains("ranks 0, 2 #2 all_reduce") && Contains("rank 1 #2 all_reduce"));
    CHECK(result.exit_codes[rank] == 1);
  }
}

TEST_CASE("one rank's abort ends the others' waiting for its device", "[distributed]") {
  const test::RanksResult result = test::run_rank_programs(3, "nccl", "abort");
  for (int rank = 0; rank < 3; ++rank) {
    CHECK_THAT(result.output[rank], Contains("rank 1 ended the run: the step hangs"));
    CHECK(result.exit_codes[rank] == 6);
  }
}

TEST_CASE("a rank with a device that dies is named by the others", "[distributed]") {
  const test::RanksResult result = test::run_rank_programs(3, "nccl", "kill", 20);
  CHECK(result.exit_codes[1] == 128 + 9);
  for (const int rank : {0, 2}) {
    CHECK_THAT(result.output[rank], Contains("rank 1"));
    CHECK(result.exit_codes[rank] == 6);
  }
}
