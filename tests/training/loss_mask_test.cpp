#include <algorithm>
#include <cmath>
#include <vector>

#include "src/data/shard_writer.h"
#include "src/data/token_loader.h"
#include "src/training/training_step.h"
#include "tests/catch.h"
#include "tests/test_files.h"

// What masked tokens and texts of different lengths do to loss and gradient. The mean of several
// micro-batches' means, which counts the tokens of short texts more, is the error that these rule
// out; docs/math/cross_entropy.md has the definition.
namespace ovid::training {
namespace {

constexpr std::int64_t kLength = 12;
constexpr std::int64_t kVocabulary = 29;

RunPlan plan_of(std::int64_t micro_sequences, bool tied = true) {
  RunPlan plan;
  plan.model = {.layers = 2,
                .heads = 2,
                .width = 16,
                .context_length = kLength,
                .vocabulary_size = kVocabulary,
                .tied_head = tied};
  plan.micro_batch = {.sequences = micro_sequences, .length = kLength};
  plan.compute.target.threads = 1;
  plan.loaded.values.training.steps = 10;
  return plan;
}

// Sequences of which the first lengths[i] targets count: a padded batch.
data::TokenBatch batch_of(const std::vector<std::int64_t>& lengths) {
  data::TokenBatch batch{.count = static_cast<std::int64_t>(lengths.size()), .length = kLength};
  for (std::int64_t i = 0; i < batch.count * kLength; ++i) {
    const bool counts = i % kLength < lengths[static_cast<std::size_t>(i / kLength)];
    batch.tokens.push_back(static_cast<std::int32_t>(i * i % kVocabulary));
    batch.targets.push_back(counts ? static_cast<std::int32_t>((i + 1) * (i + 1) % kVocabulary)
                                   : data::kIgnoreTarget);
  }
  return batch;
}

data::TokenBatch one_of(const data::TokenBatch& batch, std::int64_t sequence) {
  const auto begin = sequence * kLength, end = begin + kLength;
  data::TokenBatch one{.count = 1, .length = kLength};
  one.tokens.assign(batch.tokens.begin() + begin, batch.tokens.begin() + end);
  one.targets.assign(batch.targets.begin() + begin, batch.targets.begin() + end);
  return one;
}

struct Measured {
  double loss = 0;
  std::vector<float> gradients;
};

// `targets`: of the global batch that this one is part of; 0: it is all.
Measured measure(const RunPlan& plan, const data::TokenBatch& batch, std::int64_t targets = 0) {
  TrainingStep step(plan);
  model::initialise(step.weights(), plan.model, 3);
  const GlobalBatch whole{.first_sequence = 0, .sequences = batch.count, .targets = targets};
  const StepReport report =
      targets > 0 ? step.compute_gradients(batch, whole, 0) : step.compute_gradients(batch, 0, 0);
  Measured measured{.loss = report.loss, .gradients = {}};
  for (const auto& tensor : step.gradients().tensors()) {
    const float* const values = tensor.view.data<float>();
    measured.gradients.insert(measured.gradients.end(), values, values + tensor.view.elements());
  }
  return measured;
}

double norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> difference(a.size());
  std::transform(a.begin(), a.end(), b.begin(), difference.begin(), std::minus<>());
  return norm(difference);
}

}  // namespace

TEST_CASE("a batch whose tokens are all masked has gradients that are exactly zero", "[training]") {
  const bool tied = GENERATE(true, false);
  // Beside a batch that counts, so that the divisor is not what makes them zero.
  const Measured masked = measure(plan_of(2, tied), batch_of({0, 0, 0, 0}), 7);
  CHECK(masked.loss == 0.0);
  CHECK(std::all_of(masked.gradients.begin(), masked.gradients.end(),
                    [](float value) { return value == 0.0f; }));
}

TEST_CASE("behind the last token that counts, nothing changes a bit of loss or gradient",
          "[training]") {
  const data::TokenBatch batch = batch_of({5, 9});
  data::TokenBatch other = batch;
  for (std::int64_t i = 5; i < kLength; ++i) {
    other.tokens[i] = static_cast<std::int32_t>((other.tokens[i] + 11) % kVocabulary);
  }
  const Measured a = measure(plan_of(2, false), batch), b = measure(plan_of(2, false), other);
  CHECK(a.loss == b.loss);
  // But for the rows of the input tokens themselves, whose gradients are zero either way, the
  // kernels add the same numbers: what they add for masked positions is zero.
  REQUIRE(a.gradients.size() == b.gradients.size());
  CHECK(distance(a.gradients, b.gradients) == 0.0);
}

TEST_CASE("texts of different lengths give one loss and gradient, one by one or together",
          "[training]") {
  const std::vector<std::int64_t> lengths{12, 1, 3, 0, 7, 2, 12, 5};
  const data::TokenBatch batch = batch_of(lengths);
  std::int64_t targets = 0;
  for (const std::int64_t length : lengths) targets += length;

  // One text at a time, each by a step of its own that knows the size of the whole.
  double loss = 0, mean_of_means = 0;
  std::vector<float> sum;
  for (std::int64_t i = 0; i < batch.count; ++i) {
    const Measured one = measure(plan_of(1), one_of(batch, i), targets);
    loss += one.loss;
    sum.resize(one.gradients.size());
    std::transform(sum.begin(), sum.end(), one.gradients.begin(), sum.begin(), std::plus<>());
    const auto at = static_cast<std::size_t>(i);
    if (lengths[at] > 0)
      mean_of_means +=
          one.loss * static_cast<double>(targets) / static_cast<double>(lengths[at]) / 7;
  }
  for (const std::int64_t micro : {1, 2, 4, 8}) {
    INFO("micro-batches of " << micro);
    const Measured together = measure(plan_of(micro), batch);
    // float32 sums of 42 terms in another order, each rounded to 2^-24.
    CHECK(together.loss == Approx(loss).epsilon(1e-6));
    CHECK(distance(together.gradients, sum) < 1e-5 * norm(sum));
    // The error would be seen: the two means differ by far more.
    CHECK(std::abs(together.loss - mean_of_means) > 1e-3);
  }
}

TEST_CASE("a mask shard keeps masked tokens out of the loss, to the bit", "[training]") {
  const test::TemporaryDirectory folder;
  // Two texts of 12 tokens and a last target; they differ where a target is masked and is no input.
  const auto first_batch = [&](const char* name, std::uint16_t masked_target) {
    make_directories(folder / name);
    data::ShardWriter writer({.directory = folder / name, .prefix = "train"});
    std::vector<std::uint16_t> tokens;
    std::vector<std::uint8_t> mask;
    for (std::uint16_t i = 0; i <= kLength; ++i) {
      tokens.push_back(static_cast<std::uint16_t>(i * 5 % kVocabulary));
      mask.push_back(i % 3 == 0 ? 0 : 1);
    }
    tokens.back() = masked_target;  // position 12: masked
    writer.append(tokens, mask);
    const std::vector<data::WrittenShard> shards = writer.finish();
    std::vector<std::string> paths;
    for (const data::WrittenShard& shard : shards) paths.push_back(shard.path.string());
    const data::TokenMixture mixture(paths);
    data::TokenLoader loader(mixture,
                             {.order = data::SequenceOrder::kSequential, .length = kLength});
    return loader.next(1);
  };
  const data::TokenBatch a = first_batch("a", 3), b = first_batch("b", 17);
  CHECK(a.targets == b.targets);
  CHECK(std::count(a.targets.begin(), a.targets.end(), data::kIgnoreTarget) == 4);
  const Measured of_a = measure(plan_of(1), a), of_b = measure(plan_of(1), b);
  CHECK(of_a.loss == of_b.loss);
  CHECK(of_a.gradients == of_b.gradients);
}

}  // namespace ovid::training
