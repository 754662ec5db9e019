#include "src/simulation/simulated_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/data/shard_writer.h"
#include "src/training/canonical_tree.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::simulation {
namespace {

// A config of a tiny model on 20,000 tokens.
class TinyPlan {
 public:
  TinyPlan() {
    make_directories(folder_ / "data");
    data::ShardWriter writer({.directory = folder_ / "data", .prefix = "train"});
    std::vector<std::uint16_t> tokens(20'000);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::uint16_t>(i % 250);
    writer.append(tokens);
    writer.finish();
    replace_file(folder_ / "config.yaml", fmt::format(R"(run: {{name: demo, directory: {0}/runs}}
device: {{kind: cpu, threads: 1}}
model: {{layers: 2, heads: 2, width: 32, context_length: 32, vocabulary_size: 256}}
data: {{train: ["{0}/data/train_*.bin"]}}
batch: {{sequences: 24, micro_sequences: 4}}
training: {{steps: 10}}
validation: {{every_steps: 0}}
samples: {{every_steps: 0}}
)",
                                                      folder_.path().string()));
  }

  training::RunPlan plan(const std::vector<std::string>& overrides = {}) const {
    return training::make_run_plan(config::load((folder_ / "config.yaml").string(), overrides),
                                   training::DeviceUse::kPlanOnly);
  }

 private:
  test::TemporaryDirectory folder_;
};

std::int64_t calls(const SimulationReport& report, distributed::CollectiveKind kind) {
  const auto found = report.world.collectives.find(kind);
  return found == report.world.collectives.end() ? 0 : found->second.calls;
}

}  // namespace

TEST_CASE("every sequence and element is some rank's once, in every order and stage",
          "[simulation]") {
  using distributed::CollectiveKind;
  const TinyPlan tiny;
  const int ranks = GENERATE(1, 2, 3, 24);
  const SimulationReport fast = simulate_run(tiny.plan(), {.ranks = ranks, .steps = 2});
  CHECK(fast.sequences_checked == 48);
  CHECK(fast.elements_checked ==
        static_cast<std::uint64_t>(model::parameter_count(tiny.plan().model)));
  // Embeddings, two blocks, the end.
  CHECK(calls(fast, CollectiveKind::kAllReduce) == 8);
  const SimulationReport sharded =
      simulate_run(tiny.plan({"distributed.zero_stage=1"}), {.ranks = ranks, .steps = 2});
  CHECK(calls(sharded, CollectiveKind::kReduceScatter) == 8);
  CHECK(calls(sharded, CollectiveKind::kAllGather) == 8);
  // Stage 2 keeps no whole gradients from one pass, of 4 sequences at most, to the next.
  const SimulationReport parts =
      simulate_run(tiny.plan({"distributed.zero_stage=2"}), {.ranks = ranks, .steps = 2});
  CHECK(calls(parts, CollectiveKind::kReduceScatter) == 8 * std::max(1, 24 / ranks / 4));
  CHECK(calls(parts, CollectiveKind::kAllGather) == 8);
  const SimulationReport canonical =
      simulate_run(tiny.plan({"distributed.reduction=canonical"}), {.ranks = ranks, .steps = 2});
  const auto nodes = static_cast<std::int64_t>(training::nodes_of_run(24, ranks).size());
  CHECK(calls(canonical, CollectiveKind::kScatter) == (ranks == 1 ? 0 : 2 * 4 * nodes));
}

TEST_CASE("ranks that cannot share the batch, and ZeRO 3, are refused with what would do",
          "[simulation]") {
  const TinyPlan tiny;
  CHECK_THROWS_AS(simulate_run(tiny.plan(), {.ranks = 25}), UsageError);
  CHECK_THROWS_AS(simulate_run(tiny.plan(), {.ranks = 5}), UsageError);
  CHECK_THROWS_WITH(simulate_run(tiny.plan({"distributed.zero_stage=3"}), {.ranks = 2}),
                    Catch::Matchers::Contains("stages 0 to 2"));
  CHECK(simulate_run(tiny.plan({"distributed.reduction=canonical"}), {.ranks = 5, .steps = 1})
            .most_sequences_of_a_rank == 5);
}

TEST_CASE("a thousand ranks are simulated, with a faster network in less time", "[simulation]") {
  const TinyPlan tiny;
  const training::RunPlan plan = tiny.plan({"batch.sequences=1024"});
  const SimulationReport slow =
      simulate_run(plan, {.ranks = 1024, .steps = 1, .network = {.bytes_per_second = 1e6}});
  const SimulationReport fast = simulate_run(plan, {.ranks = 1024, .steps = 1});
  CHECK(fast.step_seconds < slow.step_seconds);
  CHECK(fast.step_seconds >= fast.compute_seconds);
  CHECK(fast.goodput.simulated > 0.9);
  CHECK(fast.wall_seconds < 60);
}

}  // namespace ovid::simulation
