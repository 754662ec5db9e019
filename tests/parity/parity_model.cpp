#include "tests/parity/parity_model.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "src/checkpoint/hugging_face_model.h"

namespace ovid::test {
namespace {

memory::Arena make_arena(const model::ModelConfig& config, model::BatchShape batch) {
  return {"activations of a parity test", memory::measure([&](memory::Arena& arena) {
            lay_out_activations(arena, config, batch, model::Keep::kForBackward);
            lay_out_activation_gradients(arena, config, batch);
          })};
}

}  // namespace

ParityModel::ParityModel(const Path& directory, model::BatchShape batch, int threads)
    : config_(checkpoint::read_model_config(directory)),
      batch_(batch),
      weights_(config_, "weights"),
      gradients_(config_, "gradients"),
      arena_(make_arena(config_, batch)),
      activations_(lay_out_activations(arena_, config_, batch, model::Keep::kForBackward)),
      activation_gradients_(lay_out_activation_gradients(arena_, config_, batch)),
      execution_(
          nullptr, threads,
          model::measure_scratch(config_, batch, {.threads = threads}, model::Keep::kForBackward)) {
  // logits() reads them all after one call of the head.
  if (activations_.logits.rows() < batch.rows()) {
    throw std::logic_error("the batch of a parity test does not fit one chunk of logits");
  }
  read_weights(directory, weights_);
}

kernels::ConstView ParityModel::batch_view(std::span<const std::int32_t> values) const {
  if (static_cast<std::int64_t>(values.size()) != batch_.rows()) {
    throw std::logic_error("a batch of another shape than the parity model's");
  }
  return {values.data(), kernels::DType::kInt32, kernels::Shape{batch_.sequences, batch_.length}};
}

model::ModelPass ParityModel::pass(std::span<const std::int32_t> tokens) const {
  return {.config = config_,
          .weights = weights_.views(),
          .tokens = batch_view(tokens),
          .activations = activations_};
}

std::vector<float> ParityModel::logits(std::span<const std::int32_t> tokens) {
  const std::vector<std::int32_t> ignored(tokens.size(), kernels::kIgnoreTarget);
  model::model_forward(context(), pass(tokens));
  model::model_loss(context(), pass(tokens), batch_view(ignored));
  const kernels::ConstView padded = activations_.logits;
  std::vector<float> logits;
  for (std::int64_t row = 0; row < batch_.rows(); ++row) {
    const float* first = padded.data<float>() + row * padded.row_stride();
    logits.insert(logits.end(), first, first + config_.vocabulary_size);
  }
  return logits;
}

double ParityModel::accumulate_gradients(std::span<const std::int32_t> tokens,
                                         std::span<const std::int32_t> targets, float scale) {
  model::model_forward_backward(
      context(),
      {.pass = pass(tokens), .gradients = gradients_.views(), .d = activation_gradients_},
      batch_view(targets), scale);
  const float* losses = activations_.losses.data<float>();
  double sum = 0;
  for (std::int64_t row = 0; row < batch_.rows(); ++row) sum += losses[row];
  return sum;
}

void ParityModel::zero_gradients() {
  const kernels::View flat = gradients_.flat();
  std::fill_n(flat.data<float>(), flat.elements(), 0.0f);
}

void read_weights(const Path& directory, const model::ParameterSet& weights) {
  std::vector<checkpoint::NamedDestination> destinations;
  for (const model::ParameterSet::Tensor& tensor : weights.tensors()) {
    destinations.push_back({tensor.description.name, tensor.view});
  }
  checkpoint::read_parameters(directory, destinations);
}

}  // namespace ovid::test
