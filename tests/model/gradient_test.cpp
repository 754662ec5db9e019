#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "src/memory/execution.h"
#include "src/model/model.h"
#include "tests/catch.h"

namespace ovid::model {
namespace {

constexpr BatchShape kBatch{.sequences = 4, .length = 12};

// A tiny model with a batch, its loss and its gradients.
class Probe {
 public:
  explicit Probe(float dropout, bool tied = true, Keep keep = Keep::kForBackward)
      : keep_(keep),
        config_{.layers = 3,
                .heads = 2,
                .width = 16,
                .context_length = 12,
                .vocabulary_size = 29,
                .tied_head = tied,
                .embedding_dropout = dropout,
                .attention_dropout = dropout,
                .residual_dropout = dropout},
        weights_(config_, "weights"),
        gradients_(config_, "gradients"),
        arena_("activations", memory::measure([this](memory::Arena& arena) { lay_out(arena); })),
        activations_(lay_out(arena_)),
        d_(lay_out_activation_gradients(arena_, config_, kBatch)),
        execution_(nullptr, 2, measure_scratch(config_, kBatch, {.threads = 2}, keep)) {
    initialise(weights_, config_, 3);
    for (std::int64_t i = 0; i < kBatch.rows(); ++i) {
      tokens_.push_back(static_cast<std::int32_t>(i * i % 29));
      targets_.push_back(i < 3 ? kernels::kIgnoreTarget
                               : static_cast<std::int32_t>((i + 1) * (i + 1) % 29));
    }
  }

  double loss() {
    model_forward(execution_.context(), pass());
    model_loss(execution_.context(), pass(), view(targets_));
    double sum = 0;
    for (std::int64_t i = 0; i < kBatch.rows(); ++i) sum += activations_.losses.data<float>()[i];
    return sum;
  }

  void backward(GradientReady ready = nullptr,
                kernels::GradientMode mode = kernels::GradientMode::kAccumulate) {
    model_forward_backward(execution_.context(),
                           {.pass = pass(),
                            .gradients = gradients_.views(),
                            .d = d_,
                            .on_gradient_ready = ready,
                            .mode = mode},
                           view(targets_), 1.0f);
  }

  void fill_gradients(float value) {
    for (const ParameterSet::Tensor& tensor : gradients_.tensors()) {
      std::fill_n(tensor.view.data<float>(), tensor.view.elements(), value);
    }
  }

  std::size_t activation_bytes() const { return arena_.used_bytes(); }
  View weights() { return weights_.flat(); }
  View gradients() { return gradients_.flat(); }

 private:
  Activations lay_out(memory::Arena& arena) const {
    Activations activations = lay_out_activations(arena, config_, kBatch, keep_);
    if (arena.only_measures()) lay_out_activation_gradients(arena, config_, kBatch);
    return activations;
  }
  ConstView view(const std::vector<std::int32_t>& values) const {
    return {values.data(), DType::kInt32, Shape{kBatch.sequences, kBatch.length}};
  }
  ModelPass pass() const {
    return {.config = config_,
            .weights = weights_.views(),
            .tokens = view(tokens_),
            .activations = activations_,
            .dropout = DropoutKey{.seed = 1, .pass = 0}};
  }

  Keep keep_;
  ModelConfig config_;
  ParameterSet weights_, gradients_;
  memory::Arena arena_;
  Activations activations_;
  ActivationGradients d_;
  memory::Execution execution_;
  std::vector<std::int32_t> tokens_, targets_;
};

}  // namespace

// The derivative of the loss along the unit gradient is the gradient's norm. With dropout the masks
// are the same in all passes, so this holds the adjoints of all dropout sites against the forward
// pass too. (Element by element, and in double: tests/parity, against PyTorch.)
TEST_CASE("gradients match a directional finite difference of the loss", "[model]") {
  for (const float dropout : {0.0f, 0.25f}) {
    for (const bool tied : {true, false}) {
      Probe probe(dropout, tied);
      probe.backward();
      float* w = probe.weights().data<float>();
      const float* g = probe.gradients().data<float>();
      const std::int64_t n = probe.weights().elements();
      double squared_norm = 0;
      for (std::int64_t i = 0; i < n; ++i) squared_norm += static_cast<double>(g[i]) * g[i];
      const double norm = std::sqrt(squared_norm);
      const std::vector<float> saved(w, w + n);
      const auto loss_at = [&](double distance) {
        for (std::int64_t i = 0; i < n; ++i) {
          w[i] = static_cast<float>(saved[static_cast<std::size_t>(i)] + distance * g[i] / norm);
        }
        return probe.loss();
      };
      // A step of 1e-3 moves the loss, about 150, by 1e-3 |g|: far above its float32 rounding of
      // 1e-5; the third-order error stays below a percent.
      CHECK((loss_at(1e-3) - loss_at(-1e-3)) / 2e-3 == Approx(norm).epsilon(0.01));
    }
  }
}

TEST_CASE("gradients are told ready from the last block to the embeddings", "[model]") {
  Probe probe(0.0f);
  std::vector<std::int64_t> order;
  probe.backward([&](std::int64_t block) { order.push_back(block); });
  CHECK(order == std::vector<std::int64_t>{2, 1, 0, -1});
}

TEST_CASE("gradients accumulate over passes", "[model]") {
  Probe once(0.0f), twice(0.0f);
  once.backward();
  twice.backward();
  twice.backward();
  for (std::int64_t i = 0; i < once.gradients().elements(); ++i) {
    // The second pass adds the same numbers to sums already there: one rounding of each more.
    const float single = once.gradients().data<float>()[i];
    CHECK(twice.gradients().data<float>()[i] == Approx(2 * single).margin(1e-4));
  }
}

TEST_CASE("a pass that overwrites the gradients leaves nothing of what they held", "[model]") {
  for (const bool tied : {true, false}) {
    Probe fresh(0.0f, tied), used(0.0f, tied);
    fresh.backward();
    used.fill_gradients(NAN);
    used.backward(nullptr, kernels::GradientMode::kOverwrite);
    const float* expected = fresh.gradients().data<float>();
    const float* g = used.gradients().data<float>();
    std::int64_t different = 0;
    for (std::int64_t i = 0; i < fresh.gradients().elements(); ++i) {
      different += g[i] == expected[i] ? 0 : 1;
    }
    CHECK(different == 0);
  }
}

// What is computed again has the bits of the first time, so memory is all that recomputation
// changes.
TEST_CASE("recomputation takes less memory and gives the same bits", "[model]") {
  for (const float dropout : {0.0f, 0.25f}) {
    Probe none(dropout), cheap(dropout, true, Keep::kWithoutCheap),
        block(dropout, true, Keep::kBlockInputs);
    none.backward();
    const std::int64_t n = none.gradients().elements();
    const float* expected = none.gradients().data<float>();
    for (Probe* probe : {&cheap, &block}) {
      probe->backward();
      const float* g = probe->gradients().data<float>();
      CHECK(std::memcmp(g, expected, static_cast<std::size_t>(n) * sizeof(float)) == 0);
    }
    CHECK(cheap.activation_bytes() < none.activation_bytes());
    CHECK(block.activation_bytes() < cheap.activation_bytes());
  }
}

}  // namespace ovid::model
