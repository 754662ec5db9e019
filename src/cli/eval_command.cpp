#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "src/cli/commands.h"
#include "src/cli/device_options.h"
#include "src/cli/standard_output.h"
#include "src/data/dataset.h"
#include "src/evaluation/loss_evaluation.h"
#include "src/memory/execution.h"
#include "src/model/model.h"
#include "src/training/parameter_files.h"

namespace ovid::cli {
namespace {

// Rows of one forward pass: enough for efficient products, little memory.
constexpr std::int64_t kRows = 1024;

void show_progress(std::int64_t done, std::int64_t all) {
  if (::isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r{} of {} windows", done, all);
  if (done == all) fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

}  // namespace

ExitCode run_eval(const EvalOptions& options) {
  const data::TokenDataset dataset(options.data);
  const memory::OpenTarget open = open_target(options.device);
  const memory::ComputeTarget& target = open.target;
  const training::LoadedModel model = training::load_model(options.model, target);
  const std::int64_t length = options.length > 0 ? options.length : model.config.context_length;
  if (length > model.config.context_length) {
    throw UsageError(fmt::format("--length {} exceeds the model's context of {}", length,
                                 model.config.context_length));
  }
  dataset.check_vocabulary(model.config.vocabulary_size);
  const model::BatchShape batch{.sequences = std::max<std::int64_t>(kRows / length, 1),
                                .length = length};
  const auto lay_out = [&](memory::Arena& arena) {
    return model::lay_out_activations(arena, model.config, batch, model::Keep::kNothing,
                                      target.dtype);
  };
  memory::Arena arena("activations", memory::measure(lay_out), target.device);
  const model::Activations activations = lay_out(arena);
  memory::Execution execution(
      target.device, target.threads,
      model::measure_scratch(model.config, batch, target, model::Keep::kNothing));
  const evaluation::LossSum sum = evaluation::evaluate_loss(
      execution.context(), {.config = model.config,
                            .weights = model.weights.views(),
                            .activations = activations,
                            .batch = batch,
                            .dataset = dataset,
                            .on_progress = [](std::int64_t done, std::int64_t all) {
                              show_progress(done, all);
                              return true;
                            }});
  if (!std::isfinite(sum.mean()))
    throw DivergedError("the loss is not finite: the model's weights are damaged");
  if (options.json) {
    const nlohmann::ordered_json json = {
        {"loss", sum.mean()}, {"perplexity", std::exp(sum.mean())}, {"tokens", sum.targets}};
    print_line(json.dump());
  } else {
    print_line(fmt::format("loss {:.6f} nats, perplexity {:.4f}, over {} tokens in windows of {}",
                           sum.mean(), std::exp(sum.mean()), sum.targets, length));
  }
  return ExitCode::kDone;
}

}  // namespace ovid::cli
