#include "src/evaluation/loss_evaluation.h"

#include <cmath>
#include <vector>

#include "src/core/error.h"
#include "src/data/shard_writer.h"
#include "src/memory/execution.h"
#include "src/model/model.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::evaluation {
namespace {

const model::ModelConfig kConfig{
    .layers = 2, .heads = 2, .width = 8, .context_length = 16, .vocabulary_size = 23};

// `count` tokens in a headerless shard.
std::string shard_of(const test::TemporaryDirectory& folder, std::int64_t count) {
  std::vector<std::uint16_t> tokens;
  for (std::int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<std::uint16_t>(i * i % 23));
  OutputFile file(folder / "tokens.bin", WriteMode::kTruncate);
  file.write(std::as_bytes(std::span(tokens)));
  file.close();
  return (folder / "tokens.bin").string();
}

LossSum evaluate(const std::string& shard, std::int64_t sequences, std::int64_t windows = 0,
                 int stop_after = 1000) {
  const model::BatchShape batch{sequences, 16};
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
                                             .windows = windows,
                                             .on_progress = [&](std::int64_t, std::int64_t) {
                                               return ++calls < stop_after;
                                             }});
}

}  // namespace

TEST_CASE("whole windows are counted, however many are computed at once", "[evaluation]") {
  const test::TemporaryDirectory folder;
  const std::string shard = shard_of(folder, 16 * 7 + 1);
  const LossSum one = evaluate(shard, 1);
  CHECK(one.targets == 16 * 7);
  CHECK(one.complete);
  CHECK(one.mean() == Approx(std::log(23.0)).margin(0.1));  // a fresh model knows nothing
  // 7 windows in batches of 3 leave a short last batch.
  CHECK(evaluate(shard, 3).sum == Approx(one.sum).epsilon(1e-6));
  CHECK(evaluate(shard, 3).targets == one.targets);
  CHECK(evaluate(shard, 2, 5).targets == 16 * 5);
}

TEST_CASE("what does not fill a window is left out; less than one window is an error",
          "[evaluation]") {
  const test::TemporaryDirectory folder;
  CHECK(evaluate(shard_of(folder, 16 * 2), 1).targets == 16);
  CHECK_THROWS_AS(evaluate(shard_of(folder, 16), 1), DataError);
}

TEST_CASE("an evaluation that is ended early says so", "[evaluation]") {
  const test::TemporaryDirectory folder;
  const LossSum sum = evaluate(shard_of(folder, 16 * 7 + 1), 1, 0, 2);
  CHECK_FALSE(sum.complete);
  CHECK(sum.targets == 32);
}

}  // namespace ovid::evaluation
