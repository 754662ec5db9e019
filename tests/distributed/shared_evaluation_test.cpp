#include "src/core/file.h"
#include "src/evaluation/loss_evaluation.h"
#include "src/memory/execution.h"
#include "src/model/model.h"
#include "tests/catch.h"
#include "tests/distributed/rank_processes.h"
#include "tests/test_files.h"

namespace ovid::evaluation {
namespace {

const model::ModelConfig kConfig{
    .layers = 1, .heads = 2, .width = 8, .context_length = 16, .vocabulary_size = 23};

LossSum evaluate(const std::string& shard, distributed::Communicator* communicator,
                 int stop_after = 1000) {
  const model::BatchShape batch{1, 16};
  model::ParameterSet weights(kConfig, "weights");
  model::initialise(weights, kConfig, 2);
  const auto lay_out = [&](memory::Arena& arena) {
    return model::lay_out_activations(arena, kConfig, batch, model::Keep::kNothing);
  };
  memory::Arena arena("activations", memory::measure(lay_out));
  const model::Activations activations = lay_out(arena);
  memory::Execution execution(nullptr, 1,
                              model::measure_scratch(kConfig, batch, {}, model::Keep::kNothing));
  const data::TokenDataset dataset({shard});
  int calls = 0;
  return evaluate_loss(execution.context(), {.config = kConfig,
                                             .weights = weights.views(),
                                             .activations = activations,
                                             .batch = batch,
                                             .dataset = dataset,
                                             .communicator = communicator,
                                             .on_progress = [&](std::int64_t, std::int64_t) {
                                               return ++calls < stop_after;
                                             }});
}

}  // namespace

TEST_CASE("ranks that share the windows all get the loss that one rank gets", "[distributed]") {
  const test::TemporaryDirectory folder;
  std::vector<std::uint16_t> tokens;
  for (int i = 0; i < 16 * 7 + 1; ++i) tokens.push_back(static_cast<std::uint16_t>(i * i % 23));
  const Path shard = folder / "tokens.bin";
  const auto bytes = std::as_bytes(std::span(tokens));
  replace_file(shard, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const LossSum alone = evaluate(shard.string(), nullptr);
  REQUIRE(alone.targets == 16 * 7);
  for (const int ranks : {2, 3, 8}) {  // with 8 one has no window
    test::require_all_done(test::run_ranks(ranks, [&](distributed::Communicator& communicator) {
      const LossSum sum = evaluate(shard.string(), &communicator);
      test::expect(sum.sum == alone.sum && sum.targets == alone.targets && sum.complete,
                   "the loss differs");
      const int last = communicator.count() - 1;
      const int patience = communicator.rank() == last && ranks < 8 ? 1 : 1000;
      test::expect(evaluate(shard.string(), &communicator, patience).complete == (ranks == 8),
                   "whether it was ended early differs");
    }));
  }
}

}  // namespace ovid::evaluation
