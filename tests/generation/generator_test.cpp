#include "src/generation/generator.h"

#include <algorithm>
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
  memory::Execution execution(nullptr, 1,
                              model::measure_scratch(kConfig, batch, {}, model::Keep::kNothing));
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

  Decoder decoder(kConfig, weights->views(), 1, {.threads = 1});
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
  const auto together = generate(kConfig, weights->views(), prompt, settings(11), {.threads = 1});
  REQUIRE(together.size() == 11);
  CHECK(together[0].tokens != together[1].tokens);
  for (const std::int64_t number : {0, 4, 10}) {
    GenerationSettings one = settings(1);
    one.first_sample = number;
    const auto alone = generate(kConfig, weights->views(), prompt, one, {.threads = 3});
    CHECK(alone.front().number == number);
    CHECK(alone.front().tokens == together[static_cast<std::size_t>(number)].tokens);
  }
}

TEST_CASE("a sample may outgrow the context, and ends at the end of text", "[generation]") {
  const auto weights = random_weights();
  const std::vector<std::int32_t> prompt{1, 2, 3};
  GenerationSettings s = settings(2);
  s.max_new_tokens = 100;
  const auto samples = generate(kConfig, weights->views(), prompt, s, {.threads = 1});
  CHECK(samples[0].tokens.size() == 100);
  CHECK(samples[0].finish_reason == FinishReason::kLength);

  s.end_of_text = samples[0].tokens[20];
  s.samples = 1;
  const auto stopped = generate(kConfig, weights->views(), prompt, s, {.threads = 1});
  CHECK(stopped[0].finish_reason == FinishReason::kStop);
  CHECK(stopped[0].tokens.back() == *s.end_of_text);
  CHECK(stopped[0].tokens.size() <= 21);
}

TEST_CASE("each of many prompts gets the samples that it would get alone, in every batch",
          "[generation]") {
  const auto weights = random_weights();
  // Some longer than the context of 16, some equal.
  std::vector<std::vector<std::int32_t>> prompts;
  for (const std::size_t size : {3, 40, 1, 16, 3, 7, 1}) {
    prompts.emplace_back(size);
    for (std::size_t i = 0; i < size; ++i)
      prompts.back()[i] = static_cast<std::int32_t>((i * 5 + size) % 37);
  }
  GenerationSettings s = settings(3);
  s.sampling.repetition_penalty = 1.3;
  s.end_of_text = 11;  // samples end at different times
  std::vector<Sample> expected;
  bool some_end_early = false;
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    for (std::int64_t number = 0; number < 3; ++number) {
      GenerationSettings one = s;
      one.samples = 1;
      one.first_sample = number;
      expected.push_back(
          generate(kConfig, weights->views(), prompts[p], one, {.threads = 1}).front());
      expected.back().prompt = static_cast<std::int64_t>(p);
      some_end_early |= expected.back().finish_reason == FinishReason::kStop;
    }
  }
  CHECK(some_end_early);
  for (const std::int64_t batch : {0, 1, 2, 5, 64}) {
    for (const int threads : {1, 3}) {
      s.batch = batch;
      std::vector<Sample> all;
      generate({.config = kConfig, .weights = weights->views(), .target = {.threads = threads}},
               prompts, s, {.on_sample = [&](const Sample& sample) { all.push_back(sample); }});
      REQUIRE(all.size() == expected.size());
      bool equal = true;
      for (std::size_t i = 0; i < all.size(); ++i) {
        equal = equal && all[i].prompt == expected[i].prompt &&
                all[i].number == expected[i].number && all[i].tokens == expected[i].tokens &&
                all[i].finish_reason == expected[i].finish_reason;
      }
      CAPTURE(batch, threads);
      CHECK(equal);
    }
  }
}

TEST_CASE("the repetition penalty falls on the prompt and on what was generated", "[generation]") {
  const auto weights = random_weights();
  const std::vector<std::int32_t> prompt{1, 2, 3};
  GenerationSettings s = settings(1);
  s.sampling.temperature = 0;
  s.max_new_tokens = 13;
  const auto plain = generate(kConfig, weights->views(), prompt, s, {.threads = 1}).front();
  s.sampling.repetition_penalty = 3.0;
  const auto sample = generate(kConfig, weights->views(), prompt, s, {.threads = 1}).front();
  CHECK(sample.tokens != plain.tokens);
  std::vector<std::int32_t> tokens = prompt;
  tokens.insert(tokens.end(), sample.tokens.begin(), sample.tokens.end());
  std::vector<float> logits = forward_logits(*weights, tokens);
  for (std::size_t i = prompt.size(); i < tokens.size(); ++i) {
    const std::span<float> row(logits.data() + (i - 1) * 37, 37);
    std::vector<bool> seen(37, false);
    for (std::size_t j = 0; j < i; ++j) seen[static_cast<std::size_t>(tokens[j])] = true;
    for (std::size_t v = 0; v < 37; ++v) {
      if (seen[v]) row[v] = row[v] > 0 ? row[v] / 3 : row[v] * 3;
    }
    const float chosen = row[static_cast<std::size_t>(tokens[i])];
    CHECK(*std::max_element(row.begin(), row.end()) == Approx(chosen).margin(1e-3));
  }
}

TEST_CASE("a callback is told each token, and may end a sample", "[generation]") {
  const auto weights = random_weights();
  const std::vector<std::vector<std::int32_t>> prompts{{1, 2, 3}, {4}};
  std::vector<std::vector<std::int32_t>> told(2);
  std::vector<Sample> samples;
  generate({.config = kConfig, .weights = weights->views()}, prompts, settings(1),
           {.on_token =
                [&](const Sample& sample) {
                  told[static_cast<std::size_t>(sample.prompt)].push_back(sample.tokens.back());
                  const bool ends = sample.prompt == 0 && sample.tokens.size() == 5;
                  return ends ? AfterToken::kStop : AfterToken::kContinue;
                },
            .on_sample = [&](const Sample& sample) { samples.push_back(sample); }});
  REQUIRE(samples.size() == 2);
  CHECK(samples[0].tokens.size() == 5);
  CHECK(samples[0].finish_reason == FinishReason::kStop);
  CHECK(samples[1].tokens.size() == 30);
  CHECK(samples[1].finish_reason == FinishReason::kLength);
  CHECK(told[0] == samples[0].tokens);
  CHECK(told[1] == samples[1].tokens);
}

TEST_CASE("a batch whose keys and values do not fit is refused with the one that does",
          "[generation]") {
  // 64 layers, width 2048, 65536 positions: 64 GiB for each sample.
  const model::ModelConfig config{
      .layers = 64, .heads = 32, .width = 2048, .context_length = 65536, .vocabulary_size = 256};
  const std::size_t one = Decoder::required_bytes(config, 1, {.threads = 1});
  CHECK(one > std::size_t{64} << 30);
  CHECK(one < std::size_t{70} << 30);
  const std::size_t short_one = Decoder::required_bytes(config, {1, 100}, {.threads = 1});
  CHECK(short_one < std::size_t{1} << 30);
  const model::ParameterSet weights(config, "weights", true);  // without memory: never read
  const std::vector<std::vector<std::int32_t>> prompts(100'000, {1});
  GenerationSettings s{.max_new_tokens = 50'000, .batch = 100'000};
  CHECK_THROWS_AS(generate({.config = config, .weights = weights.views()}, prompts, s, {}),
                  ResourceError);
  CHECK_THROWS_WITH(generate({.config = config, .weights = weights.views()}, prompts, s, {}),
                    Catch::Matchers::Contains("need"));
}

TEST_CASE("prompts longer than the context keep their end", "[generation]") {
  const auto weights = random_weights();
  std::vector<std::int32_t> prompt(50);
  std::iota(prompt.begin(), prompt.end(), 0);
  for (auto& token : prompt) token %= 37;
  GenerationSettings s = settings(1);
  s.max_new_tokens = 3;
  const auto whole = generate(kConfig, weights->views(), prompt, s, {.threads = 1});
  CHECK(whole[0].tokens.size() == 3);
}

TEST_CASE("settings outside their ranges are refused", "[generation]") {
  const auto weights = random_weights();
  const auto try_settings = [&](const GenerationSettings& s) {
    generate(kConfig, weights->views(), std::vector<std::int32_t>{1}, s, {.threads = 1});
  };
  CHECK_THROWS_AS(try_settings({.sampling = {.temperature = -1}}), UsageError);
  CHECK_THROWS_AS(try_settings({.sampling = {.top_p = 0}}), UsageError);
  CHECK_THROWS_AS(try_settings({.sampling = {.min_p = 1.5}}), UsageError);
  CHECK_THROWS_AS(try_settings({.sampling = {.repetition_penalty = 0}}), UsageError);
  CHECK_THROWS_AS(try_settings({.max_new_tokens = 0}), UsageError);
  CHECK_THROWS_AS(try_settings({.samples = 0}), UsageError);
  CHECK_THROWS_AS(try_settings({.batch = -1}), UsageError);
}

TEST_CASE("prompts outside the vocabulary, and empty ones, are refused", "[generation]") {
  const auto weights = random_weights();
  const auto try_prompt = [&](std::vector<std::int32_t> prompt) {
    generate(kConfig, weights->views(), prompt, settings(1), {.threads = 1});
  };
  CHECK_THROWS_AS(try_prompt({}), UsageError);
  CHECK_THROWS_AS(try_prompt({37}), UsageError);
  CHECK_THROWS_AS(try_prompt({-1}), UsageError);
}

}  // namespace ovid::generation
