#include "src/evaluation/sequence_losses.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "src/core/error.h"
#include "src/data/token_loader.h"
#include "src/evaluation/pass_numbers.h"
#include "src/memory/execution.h"
#include "src/model/model.h"

namespace ovid::evaluation {
namespace {

// Rows of one forward pass: enough for efficient products, little memory.
constexpr std::int64_t kRows = 1024;
// Lengths are rounded up to it, so that few shapes are laid out.
constexpr std::int64_t kLengthStep = 16;

void check(std::span<const ScoredSequence> sequences, const model::ModelConfig& config) {
  const auto most = static_cast<std::size_t>(config.context_length) + 1;
  for (const ScoredSequence& s : sequences) {
    if (s.tokens.size() < 2 || s.tokens.size() > most) {
      throw DataError(fmt::format(
          "a text of {} tokens cannot be scored: 2 to {} fit the model's context of {}; cut it",
          s.tokens.size(), most, config.context_length));
    }
    if (s.counted < 1 || s.counted > s.tokens.size()) {
      throw DataError(fmt::format("counting from token {} of {} is not possible: give 1 to {}",
                                  s.counted, s.tokens.size(), s.tokens.size()));
    }
    for (const std::int32_t token : s.tokens) {
      if (token >= 0 && token < config.vocabulary_size) continue;
      throw DataError(
          fmt::format("token {} is outside the model's vocabulary of {}: the data were made with "
                      "another tokenizer",
                      token, config.vocabulary_size));
    }
  }
}

std::int64_t inputs_of(const ScoredSequence& s) {
  return static_cast<std::int64_t>(s.tokens.size()) - 1;
}

// Everything that passes of one shape need.
class ShapedPass {
 public:
  ShapedPass(const generation::GenerationModel& model, const model::BatchShape& shape)
      : model_(model),
        shape_(shape),
        arena_("activations", memory::measure([&](memory::Arena& arena) { lay_out(arena); }),
               model.target.device),
        activations_(lay_out(arena_)),
        execution_(
            model.target.device, model.target.threads,
            model::measure_scratch(model.config, shape, model.target, model::Keep::kNothing)),
        numbers_(model.target.device, shape) {}

  const model::BatchShape& shape() const { return shape_; }

  // Up to shape().sequences of them, their sums into `sums` at their places.
  void run(std::span<const ScoredSequence> sequences, std::span<const std::size_t> places,
           std::vector<double>& sums) {
    const auto size = static_cast<std::size_t>(shape_.rows());
    const auto T = static_cast<std::size_t>(shape_.length);
    tokens_.assign(size, 0);
    targets_.assign(size, data::kIgnoreTarget);
    for (std::size_t row = 0; row < places.size(); ++row) {
      const ScoredSequence& s = sequences[places[row]];
      std::copy(s.tokens.begin(), s.tokens.end() - 1,
                tokens_.begin() + static_cast<std::ptrdiff_t>(row * T));
      for (std::size_t i = s.counted; i < s.tokens.size(); ++i)
        targets_[row * T + i - 1] = s.tokens[i];
    }
    numbers_.send(tokens_, targets_);
    kernels::ExecutionContext& ctx = execution_.context();
    const model::ModelPass pass{.config = model_.config,
                                .weights = model_.weights,
                                .tokens = numbers_.tokens(),
                                .activations = activations_};
    model::model_forward(ctx, pass);
    model::model_loss(ctx, pass, numbers_.targets());
    const float* losses = numbers_.fetch(activations_.losses);
    for (std::size_t row = 0; row < places.size(); ++row) {
      const ScoredSequence& s = sequences[places[row]];
      double sum = 0;
      for (std::size_t i = s.counted; i < s.tokens.size(); ++i)
        sum += static_cast<double>(losses[row * T + i - 1]);
      sums[places[row]] = sum;
    }
  }

 private:
  model::Activations lay_out(memory::Arena& arena) const {
    return model::lay_out_activations(arena, model_.config, shape_, model::Keep::kNothing,
                                      model_.target.dtype);
  }

  const generation::GenerationModel& model_;
  model::BatchShape shape_;
  memory::Arena arena_;
  model::Activations activations_;
  memory::Execution execution_;
  PassNumbers numbers_;
  std::vector<std::int32_t> tokens_, targets_;
};

}  // namespace

std::vector<double> sequence_losses(const generation::GenerationModel& model,
                                    std::span<const ScoredSequence> sequences,
                                    const SequenceProgress& on_progress) {
  check(sequences, model.config);
  std::vector<std::size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return sequences[a].tokens.size() > sequences[b].tokens.size();
  });
  std::vector<double> sums(sequences.size());
  std::unique_ptr<ShapedPass> pass;
  for (std::size_t done = 0; done < order.size();) {
    const std::int64_t longest = inputs_of(sequences[order[done]]);
    const std::int64_t length = std::min((longest + kLengthStep - 1) / kLengthStep * kLengthStep,
                                         model.config.context_length);
    if (!pass || pass->shape().length != length) {
      pass.reset();  // its memory first
      pass = std::make_unique<ShapedPass>(
          model, model::BatchShape{.sequences = std::max<std::int64_t>(kRows / length, 1),
                                   .length = length});
    }
    const std::size_t count =
        std::min(order.size() - done, static_cast<std::size_t>(pass->shape().sequences));
    pass->run(sequences, std::span(order).subspan(done, count), sums);
    done += count;
    if (on_progress)
      on_progress(static_cast<std::int64_t>(done), static_cast<std::int64_t>(order.size()));
  }
  for (const double sum : sums) {
    if (!std::isfinite(sum))
      throw DivergedError("a loss is not finite: the model's weights are damaged");
  }
  return sums;
}

}  // namespace ovid::evaluation
