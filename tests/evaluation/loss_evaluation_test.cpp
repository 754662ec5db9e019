#include "src/evaluation/loss_evaluation.h"

#include <cmath>

#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/evaluation/tiny_model.h"
#include "tests/test_files.h"

namespace ovid::evaluation {
namespace {

using test::evaluate_shard;
using test::shard_of;

}  // namespace

TEST_CASE("whole windows are counted, however many are computed at once", "[evaluation]") {
  const test::TemporaryDirectory folder;
  const std::string shard = shard_of(folder, 16 * 7 + 1);
  const LossSum one = evaluate_shard({.shard = shard});
  CHECK(one.targets == 16 * 7);
  CHECK(one.complete);
  CHECK(one.mean() == Approx(std::log(23.0)).margin(0.1));  // a fresh model knows nothing
  // 7 windows in batches of 3 leave a short last batch.
  const LossSum three = evaluate_shard({.shard = shard, .sequences = 3});
  CHECK(three.sum == Approx(one.sum).epsilon(1e-6));
  CHECK(three.targets == one.targets);
  CHECK(evaluate_shard({.shard = shard, .sequences = 2, .windows = 5}).targets == 16 * 5);
}

TEST_CASE("what does not fill a window is left out; less than one window is an error",
          "[evaluation]") {
  const test::TemporaryDirectory folder;
  CHECK(evaluate_shard({.shard = shard_of(folder, 16 * 2)}).targets == 16);
  CHECK_THROWS_AS(evaluate_shard({.shard = shard_of(folder, 16)}), DataError);
}

TEST_CASE("an evaluation that is ended early says so", "[evaluation]") {
  const test::TemporaryDirectory folder;
  const LossSum sum = evaluate_shard({.shard = shard_of(folder, 16 * 7 + 1), .stop_after = 2});
  CHECK_FALSE(sum.complete);
  CHECK(sum.targets == 32);
}

}  // namespace ovid::evaluation
