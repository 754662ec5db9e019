#include "src/checkpoint/retention.h"

#include <algorithm>

#include "src/checkpoint/run_lock.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "tests/catch.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/test_files.h"

namespace ovid::checkpoint {
namespace {

using Steps = std::vector<std::int64_t>;

// Keeps all, so that a test decides what goes.
Path save(const Path& run, std::int64_t step) {
  return write_checkpoint(run, step, TinyCheckpoint(step, 0).content(), {.keep_last = 100});
}

void write_text(const Path& path, std::string_view text) {
  OutputFile file(path, WriteMode::kTruncate);
  file.write(text);
}

Steps steps_of(const Path& run) {
  Steps steps;
  for (const CheckpointSummary& summary : list_checkpoints(run)) steps.push_back(summary.step);
  return steps;
}

}  // namespace

TEST_CASE("pruning keeps step 0, the best, the pinned, every m-th and the newest",
          "[checkpoint][retention]") {
  const test::TemporaryDirectory run;
  for (const std::int64_t step : {0, 10, 15, 20, 25, 30, 35, 40, 45}) save(run.path(), step);
  pin(run / "checkpoints/step-00000015");
  const Retention retention{.keep_last = 2, .best_step = 25, .keep_every = 20};
  const PruneReport planned = prune_checkpoints(run.path(), retention, {.dry_run = true});
  CHECK(planned.removed == Steps{10, 30, 35});
  CHECK(steps_of(run.path()).size() == 9);
  const PruneReport done = prune_checkpoints(run.path(), retention);
  CHECK(done.removed == planned.removed);
  CHECK(done.freed_bytes == planned.freed_bytes);
  CHECK(done.freed_bytes > 0);
  CHECK(done.kept == Steps{0, 15, 20, 25, 40, 45});
  CHECK(steps_of(run.path()) == done.kept);
  for (const std::string& name : names_in(run / "checkpoints")) CHECK(name[0] != '.');
  unpin(run / "checkpoints/step-00000015/");
  CHECK(prune_checkpoints(run.path(), {.keep_last = 1}).kept == Steps{0, 45});
}

TEST_CASE("a damaged checkpoint neither counts as kept nor is removed", "[checkpoint][retention]") {
  const test::TemporaryDirectory run;
  for (const std::int64_t step : {1, 2, 3, 4}) save(run.path(), step);
  std::filesystem::remove(run / "checkpoints/step-00000004/state.json");
  CHECK(prune_checkpoints(run.path(), {.keep_last = 2}).removed == Steps{1});
  CHECK(steps_of(run.path()) == Steps{2, 3, 4});
}

TEST_CASE("a save keeps what is pinned and every m-th", "[checkpoint][retention]") {
  const test::TemporaryDirectory run;
  for (std::int64_t step = 1; step <= 7; ++step) {
    write_checkpoint(run.path(), step, TinyCheckpoint(step, 0).content(),
                     {.keep_last = 2, .keep_every = 3});
    if (step == 2) pin(run / "checkpoints/step-00000002");
  }
  CHECK(steps_of(run.path()) == Steps{2, 3, 6, 7});
}

TEST_CASE("pinning leaves the checkpoint valid and survives a start of the run",
          "[checkpoint][retention]") {
  const test::TemporaryDirectory run;
  const Path path = save(run.path(), 1);
  pin(path);
  pin(path);
  CHECK(is_pinned(run.path(), 1));
  CHECK(verify(path).empty());
  clean_up_unfinished(run.path());
  CHECK(is_pinned(run.path(), 1));
  CHECK(find_newest_valid(run.path())->step == 1);
  std::filesystem::remove_all(path);
  clean_up_unfinished(run.path());
  CHECK_FALSE(is_pinned(run.path(), 1));
}

TEST_CASE("only a checkpoint of a run can be pinned", "[checkpoint][retention]") {
  const test::TemporaryDirectory run;
  std::filesystem::create_directories(run / "elsewhere/step-00000001");
  CHECK_THROWS_AS(pin(run / "elsewhere/step-00000001"), CheckpointError);
  CHECK_THROWS_AS(pin(run / "checkpoints/step-00000001"), CheckpointError);
  CHECK_THROWS_AS(unpin(run.path()), CheckpointError);
}

TEST_CASE("the list tells sizes, marks and losses, the last row of a step counting",
          "[checkpoint][retention]") {
  const test::TemporaryDirectory run;
  TinyCheckpoint first(10, 0), second(20, 0);
  first.content().state_json = R"({"step": 10, "best_step": null})";
  second.content().state_json = R"({"step": 20, "best_step": 10})";
  write_checkpoint(run.path(), 10, first.content(), {});
  CHECK_FALSE(best_step_of(run.path()).has_value());
  write_checkpoint(run.path(), 20, second.content(), {});
  CHECK(best_step_of(run.path()) == 10);
  pin(run / "checkpoints/step-00000020");
  write_text(run / "metrics.jsonl", R"({"step":10,"loss":9.0}
{"step":10,"loss":2.5}
{"step":10,"validation_loss":2.75}
not json
{"step":"20","loss":1}
{"step":20,"loss":"nan"}
{"step":30,"loss":1.0}
{"step":20,"lo)");
  const auto list = list_checkpoints(run.path());
  REQUIRE(list.size() == 2);
  CHECK(list[0].valid);
  CHECK(list[0].best);
  CHECK_FALSE(list[0].pinned);
  CHECK(list[0].loss == 2.5);
  CHECK(list[0].validation_loss == 2.75);
  CHECK(list[0].bytes > size_of_file(list[0].path / "model.safetensors"));
  CHECK(list[1].pinned);
  CHECK_FALSE(list[1].best);
  CHECK_FALSE(list[1].loss.has_value());
  write_text(run / "checkpoints/step-00000020/config.json", "{}");
  CHECK_FALSE(list_checkpoints(run.path())[1].valid);
  CHECK_FALSE(best_step_of(run.path()).has_value());
}

TEST_CASE("a negative keep_every or no checkpoint to keep is refused", "[checkpoint][retention]") {
  const test::TemporaryDirectory run;
  CHECK_THROWS_AS(prune_checkpoints(run.path(), {.keep_last = 0}), UsageError);
  CHECK_THROWS_AS(prune_checkpoints(run.path(), {.keep_every = -1}), UsageError);
  CHECK(prune_checkpoints(run.path(), {}).kept.empty());
}

}  // namespace ovid::checkpoint
