#include "src/generation/generator.h"

#include <cmath>
#include <memory>
#include <numeric>

#include "src/core/error.h"
#include "src/generation/decoder.h"
#include "src/memory/execution.h"
#include "src/model/model.h"
#include "tests/catch.h"

namespace ovid::generation {
namespace {

using kernels::DeviceKind;
using kernels::DType;
using kernels::Shape;

const model::ModelConfig kConfig{
    .layers = 3, .heads = 3, .width = 24, .context_length = 16, .vocabulary_size = 37};

// Larger weights than GPT-2's initial ones, so that tokens influence each other.
std::unique_ptr<model::ParameterSet> random_weights() {
  auto weights = std::make_unique<model::ParameterSet>(kConfig, "weights");
  model::initialise(*weights, kConfig, 11);
  for (const auto& tensor : weights->tensors()) {
    if (tensor.view.shape().rank() < 2) continue;
    for (std::int64_t i = 0; i < tensor.view.elements(); ++i) tensor.view.data<float>()[i] *= 12;
  }
  return weights;
}

GenerationSettings settings(std::int64_t samples) {
  return {.sampling = {.temperature = 1.0, .seed = 5}, .max_new_tokens = 30, .samples = samples};
}

// Logits after every token of `tokens` by the training path.
std::vector<float> forward_logits(const model::ParameterSet& weights,
                                  const std::vector<std::int32_t>& tokens) {
  const model::BatchShape batch{1, static_cast<std::int64_t>(tokens.size())};
  const auto lay_out = [&](memory::Arena& arena) {
    return model::lay_out_activations(arena, kConfig, batch, model::Keep::kNothing);
  };
  memory::Arena arena("activations", memory::measure(lay_out));
  const model::Activations activations = lay_out(arena);
  memory::Execution execution(DeviceKind::kCpu, 1,
                              model::measure_scratch(kConfig, batch, DeviceKind::kCpu, 1, false));
  const model::ConstView view(tokens.data(), DType::kInt32, Shape{1, batch.length});
  const model::ModelPass pass{
      .config = kConfig, .weights = weights.views(), .tokens = view, .activations = activations};
  model::model_forward(execution.context(), pass);
  model::model_loss(execution.context(), pass, view);
  std::vector<float> logits;
  for (std::int64_t t = 0; t < batch.length; ++t) {
    const float* row = activations.logits.row_range(t, 1).data<float>();
    logits.insert(logits.end(), row, row + kConfig.vocabulary_size);
  }
  return logits;
}

}  // namespace

TEST_CASE("decoding with a cache gives the logits of the whole forward pass", "[generation]") {
  const auto weights = random_weights();
  std::vector<std::int32_t> tokens(16);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i * 7 % 37);
  const std::vector<float> expected = forward_logits(*weights, tokens);

  Decoder decoder(kConfig, weights->views(), 1, DeviceKind::kCpu, 1);
  // Five at once, then one by one: both ways to fill the cache.
  for (std::size_t first = 0; first < tokens.size();) {
    const std::size_t count = first == 0 ? 5 : 1;
    std::vector<DecoderRow> rows;
    for (std::size_t i = first; i < first + count; ++i)
      rows.push_back({0, static_cast<std::int32_t>(i), tokens[i]});
    const std::unique_ptr<bool[]> wanted(new bool[count]);
    std::fill_n(wanted.get(), count, true);
    decoder.decode(rows, {wanted.get(), count});
    for (std::size_t i = 0; i < count; ++i) {
      const auto logits = decoder.logits(i);
      for (std::size_t v = 0; v < logits.size(); ++v) {
        // Sums of up to 4 C = 96 float32 terms through 3 layers: a few hundred roundings of numbers
        // around 10.
        CHECK(logits[v] == Approx(expected[(first + i) * 37 + v]).margin(2e-4));
      }
    }
    first += count;
  }
}

TEST_CASE("a sample is the same alone, in any batch, and on any number of threads",
          "[generation]") {
  const auto weights = random_weights();
  const std::vector<std::int32_t> prompt{1, 2, 3};
  const auto together =
      generate(kConfig, weights->views(), prompt, settings(11), DeviceKind::kCpu, 1);
  REQUIRE(together.size() == 11);
  CHECK(together[0].tokens != together[1].tokens);
  for (const std::int64_t number : {0, 4, 10}) {
    GenerationSettings one = settings(1);
    one.first_sample = number;
    const auto alone = generate(kConfig, weights->views(), prompt, one, DeviceKind::kCpu, 3);
    CHECK(alone.front().number == number);
    CHECK(alone.front().tokens == together[static_cast<std::size_t>(number)].tokens);
  }
}

TEST_CASE("a sample may outgrow the context, and ends at the end of text", "[generation]") {
  const auto weights = random_weights();
  const std::vector<std::int32_t> prompt{1, 2, 3};
  GenerationSettings s = settings(2);
  s.max_new_tokens = 100;
  const auto samples = generate(kConfig, weights->views(), prompt, s, DeviceKind::kCpu, 1);
  CHECK(samples[0].tokens.size() == 100);
  CHECK(samples[0].finish_reason == FinishReason::kLength);

  s.end_of_text = samples[0].tokens[20];
  std::vector<std::int32_t> told;
  s.samples = 1;
  const auto stopped = generate(kConfig, weights->views(), prompt, s, DeviceKind::kCpu, 1,
                                [&](std::int64_t, std::int32_t token) { told.push_back(token); });
  CHECK(stopped[0].finish_reason == FinishReason::kStop);
  CHECK(stopped[0].tokens.back() == *s.end_of_text);
  CHECK(stopped[0].tokens.size() <= 21);
  CHECK(told == stopped[0].tokens);
}

TEST_CASE("prompts longer than the context keep their end", "[generation]") {
  const auto weights = random_weights();
  std::vector<std::int32_t> prompt(50);
  std::iota(prompt.begin(), prompt.end(), 0);
  for (auto& token : prompt) token %= 37;
  GenerationSettings s = settings(1);
  s.max_new_tokens = 3;
  const auto whole = generate(kConfig, weights->views(), prompt, s, DeviceKind::kCpu, 1);
  CHECK(whole[0].tokens.size() == 3);
}

TEST_CASE("prompts outside the vocabulary, and empty ones, are refused", "[generation]") {
  const auto weights = random_weights();
  const auto try_prompt = [&](std::vector<std::int32_t> prompt) {
    generate(kConfig, weights->views(), prompt, settings(1), DeviceKind::kCpu, 1);
  };
  CHECK_THROWS_AS(try_prompt({}), UsageError);
  CHECK_THROWS_AS(try_prompt({37}), UsageError);
  CHECK_THROWS_AS(try_prompt({-1}), UsageError);
}

}  // namespace ovid::generation
