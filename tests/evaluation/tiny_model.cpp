#include "tests/evaluation/tiny_model.h"

#include <span>

#include "src/core/file.h"
#include "src/memory/execution.h"
#include "src/model/model.h"

namespace ovid::test {
namespace {

const model::ModelConfig kFresh{
    .layers = 2, .heads = 2, .width = 8, .context_length = 16, .vocabulary_size = 23};

model::ParameterSet strong_weights(const model::ModelConfig& config) {
  model::ParameterSet weights(config, "weights");
  model::initialise(weights, config, 2);
  for (const auto& tensor : weights.tensors()) {
    if (tensor.view.shape().rank() < 2) continue;
    for (std::int64_t i = 0; i < tensor.view.shape().elements(); ++i)
      tensor.view.data<float>()[i] *= 12;
  }
  return weights;
}

}  // namespace

TinyModel::TinyModel(const model::ModelConfig& config, int threads)
    : config_(config),
      weights_(strong_weights(config)),
      generation_{.config = config_, .weights = weights_.views(), .target = {.threads = threads}} {}

evaluation::LossSum evaluate_shard(const model::ModelConfig& config,
                                   const model::ModelParameters<model::View>& weights,
                                   const ShardEvaluation& evaluation) {
  const model::BatchShape batch{evaluation.sequences, evaluation.length};
  const auto lay_out = [&](memory::Arena& arena) {
    return model::lay_out_activations(arena, config, batch, model::Keep::kNothing);
  };
  memory::Arena arena("activations", memory::measure(lay_out));
  const model::Activations activations = lay_out(arena);
  memory::Execution execution(nullptr, 1,
                              model::measure_scratch(config, batch, {}, model::Keep::kNothing));
  const data::TokenDataset dataset({evaluation.shard});
  int calls = 0;
  return evaluation::evaluate_loss(
      execution.context(),
      {.config = config,
       .weights = weights,
       .activations = activations,
       .batch = batch,
       .dataset = dataset,
       .windows = evaluation.windows,
       .communicator = evaluation.communicator,
       .on_progress = [&](std::int64_t, std::int64_t) { return ++calls < evaluation.stop_after; }});
}

evaluation::LossSum evaluate_shard(const ShardEvaluation& evaluation) {
  model::ParameterSet weights(kFresh, "weights");
  model::initialise(weights, kFresh, 2);
  return evaluate_shard(kFresh, weights.views(), evaluation);
}

std::string shard_of(const TemporaryDirectory& folder, std::int64_t count) {
  std::vector<std::uint16_t> tokens;
  for (std::int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<std::uint16_t>(i * i % 23));
  const Path path = folder / "tokens.bin";
  const auto bytes = std::as_bytes(std::span(tokens));
  replace_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return path.string();
}

}  // namespace ovid::test
