#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "src/memory/execution.h"
#include "src/model/merged_weights.h"
#include "src/model/model.h"
#include "tests/catch.h"

// Adapters against the same model with merged weights, whose gradients the other tests hold against
// finite differences and PyTorch.
namespace ovid::model {
namespace {

constexpr BatchShape kBatch{.sequences = 2, .length = 8};
constexpr std::int64_t kRank = 3;

ModelConfig plain_config() {
  return {.layers = 3, .heads = 2, .width = 16, .context_length = 8, .vocabulary_size = 29};
}

ModelConfig adapted_config(LowRankConfig low_rank) {
  ModelConfig config = plain_config();
  for (const TensorDescription& t : describe_tensors(config)) config.frozen.push_back(t.name);
  std::sort(config.frozen.begin(), config.frozen.end());
  low_rank.rank = kRank;
  low_rank.alpha = 5;
  config.low_rank = low_rank;
  return config;
}

constexpr LowRankConfig kAll{.qkv = true, .projection = true, .expand = true, .contract = true};

struct Result {
  std::vector<float> losses;
  ParameterSet gradients;
};

Result run(const ModelConfig& config, const ModelParameters<View>& weights,
           MergedWeights* merged = nullptr) {
  const ParameterStorage storage{.trained_only = true};
  Result result{{}, ParameterSet(config, "gradients", storage)};
  const auto lay_out = [&](memory::Arena& arena) {
    const Activations a = lay_out_activations(arena, config, kBatch, Keep::kForBackward);
    return std::pair(a, lay_out_activation_gradients(arena, config, kBatch));
  };
  memory::Arena arena("activations", memory::measure([&](memory::Arena& m) { lay_out(m); }));
  const auto [activations, d] = lay_out(arena);
  memory::Execution execution(
      nullptr, 1, measure_scratch(config, kBatch, {.threads = 1}, Keep::kForBackward, storage));
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < kBatch.rows(); ++i) tokens.push_back(i * i % 29);
  const ConstView view(tokens.data(), DType::kInt32, Shape{kBatch.sequences, kBatch.length});
  ModelPass pass{.config = config, .weights = weights, .tokens = view, .activations = activations};
  if (merged != nullptr) {
    pass.on_weights_needed = [&](std::size_t group) {
      merged->note_needed(execution.context(), group);
    };
  }
  // Twice, so that gradients are overwritten and then added to.
  for (const auto mode : {kernels::GradientMode::kOverwrite, kernels::GradientMode::kAccumulate}) {
    model_forward_backward(
        execution.context(),
        {.pass = pass, .gradients = result.gradients.views(), .d = d, .mode = mode}, view, 0.125f);
  }
  const float* losses = activations.losses.data<float>();
  result.losses.assign(losses, losses + kBatch.rows());
  return result;
}

void fill(const View& view, float step) {
  for (std::int64_t i = 0; i < view.elements(); ++i) {
    view.data<float>()[i] = 0.3f * std::sin(step * static_cast<float>(i + 1));
  }
}

const View* find(const ParameterSet& set, const std::string& name) {
  for (const auto& tensor : set.tensors()) {
    if (tensor.description.name == name) return &tensor.view;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("adapters begin as nothing: A as PEFT draws it, B zero, and the loss is the base's",
          "[model]") {
  const ModelConfig config = adapted_config(kAll);
  ParameterSet weights(config, "weights"), base(plain_config(), "base");
  initialise(weights, config, 3);
  initialise(base, plain_config(), 3);
  const View& a = *find(weights, "transformer.h.1.mlp.c_proj.lora_A.weight");
  CHECK(a.shape() == Shape{kRank, 64});
  const auto [least, most] = std::minmax_element(a.data<float>(), a.data<float>() + a.elements());
  CHECK(*least >= -0.125f);
  CHECK(*most < 0.125f);
  CHECK(*most - *least > 0.2f);
  const View& b = *find(weights, "transformer.h.1.mlp.c_proj.lora_B.weight");
  CHECK(std::all_of(b.data<float>(), b.data<float>() + b.elements(),
                    [](float x) { return x == 0.0f; }));
  MergedWeights merged(config, weights, weights);
  CHECK(run(config, merged.views(), &merged).losses == run(plain_config(), base.views()).losses);
  CHECK(trained_parameter_count(config) == 3 * kRank * (16 + 48 + 16 + 16 + 16 + 64 + 64 + 16));
}

TEST_CASE("gradients of adapters are those of the merged weight, projected", "[model]") {
  const LowRankConfig targets = GENERATE(kAll, LowRankConfig{.qkv = true},
                                         LowRankConfig{.projection = true, .contract = true});
  const ModelConfig config = adapted_config(targets);
  ParameterSet weights(config, "weights"), base(plain_config(), "merged");
  initialise(weights, config, 3);
  initialise(base, plain_config(), 3);
  float step = 0.1f;
  for (const auto& tensor : weights.tensors()) {
    if (tensor.description.trained) fill(tensor.view, step += 0.37f);
  }
  const double s = config.low_rank.scale();
  MergedWeights merged(config, weights, weights);
  // The merged weights in double, rounded once.
  for (const auto& tensor : base.tensors()) {
    const std::string name = tensor.description.name.substr(0, tensor.description.name.rfind('.'));
    const View* a = find(weights, name + ".lora_A.weight");
    const View* b = find(weights, name + ".lora_B.weight");
    if (a == nullptr || !tensor.description.decays()) continue;
    const std::int64_t K = tensor.view.shape()[0], M = tensor.view.shape()[1];
    for (std::int64_t k = 0; k < K; ++k) {
      for (std::int64_t m = 0; m < M; ++m) {
        double sum = tensor.view.data<float>()[k * M + m];
        for (std::int64_t r = 0; r < kRank; ++r)
          sum += s * a->data<float>()[r * K + k] * b->data<float>()[r * M + m];
        tensor.view.data<float>()[k * M + m] = static_cast<float>(sum);
      }
    }
  }
  const Result adapted = run(config, merged.views(), &merged),
               full = run(plain_config(), base.views());
  for (std::size_t i = 0; i < full.losses.size(); ++i)
    CHECK(adapted.losses[i] == Approx(full.losses[i]).epsilon(1e-5));
  int checked = 0;
  for (const auto& tensor : full.gradients.tensors()) {
    const std::string name = tensor.description.name.substr(0, tensor.description.name.rfind('.'));
    const View* a = find(weights, name + ".lora_A.weight");
    if (a == nullptr || !tensor.description.decays()) continue;
    const float* b = find(weights, name + ".lora_B.weight")->data<float>();
    const float* d_a = find(adapted.gradients, name + ".lora_A.weight")->data<float>();
    const float* d_b = find(adapted.gradients, name + ".lora_B.weight")->data<float>();
    const float* d_w = tensor.view.data<float>();
    const std::int64_t K = tensor.view.shape()[0], M = tensor.view.shape()[1];
    CAPTURE(name);
    double error_a = 0, error_b = 0, size_a = 0, size_b = 0;
    for (std::int64_t r = 0; r < kRank; ++r) {
      for (std::int64_t k = 0; k < K; ++k) {
        double sum = 0;
        for (std::int64_t m = 0; m < M; ++m) sum += s * b[r * M + m] * d_w[k * M + m];
        error_a = std::max(error_a, std::abs(sum - d_a[r * K + k]));
        size_a = std::max(size_a, std::abs(sum));
      }
      for (std::int64_t m = 0; m < M; ++m) {
        double sum = 0;
        for (std::int64_t k = 0; k < K; ++k)
          sum += s * a->data<float>()[r * K + k] * d_w[k * M + m];
        error_b = std::max(error_b, std::abs(sum - d_b[r * M + m]));
        size_b = std::max(size_b, std::abs(sum));
      }
    }
    CHECK(size_a > 0);
    CHECK(error_a < 1e-5 * size_a + 1e-7);
    CHECK(error_b < 1e-5 * size_b + 1e-7);
    ++checked;
  }
  CHECK(checked >= 3);
}

}  // namespace ovid::model
