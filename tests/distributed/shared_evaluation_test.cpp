#include "src/evaluation/loss_evaluation.h"
#include "tests/catch.h"
#include "tests/distributed/rank_processes.h"
#include "tests/evaluation/tiny_model.h"
#include "tests/test_files.h"

namespace ovid::evaluation {

TEST_CASE("ranks that share the windows all get the loss that one rank gets", "[distributed]") {
  const test::TemporaryDirectory folder;
  const std::string shard = test::shard_of(folder, 16 * 7 + 1);
  const LossSum alone = test::evaluate_shard({.shard = shard});
  REQUIRE(alone.targets == 16 * 7);
  for (const int ranks : {2, 3, 8}) {  // with 8 one has no window
    test::require_all_done(test::run_ranks(ranks, [&](distributed::Communicator& communicator) {
      const LossSum sum = test::evaluate_shard({.shard = shard, .communicator = &communicator});
      test::expect(sum.sum == alone.sum && sum.targets == alone.targets && sum.complete,
                   "the loss differs");
      const bool stops = communicator.rank() == communicator.count() - 1 && ranks < 8;
      const LossSum part = test::evaluate_shard(
          {.shard = shard, .stop_after = stops ? 1 : 1000, .communicator = &communicator});
      test::expect(part.complete == (ranks == 8), "whether it was ended early differs");
    }));
  }
}

}  // namespace ovid::evaluation
