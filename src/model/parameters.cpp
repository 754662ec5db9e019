#include "src/model/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "kernels/common/random.h"
#include "src/core/checksum.h"
#include "src/core/error.h"

namespace ovid::model {
namespace {

memory::Arena make_arena(const ModelConfig& config, const std::string& purpose,
                         bool only_measures) {
  if (only_measures) return memory::Arena(purpose);
  const std::size_t bytes = memory::measure([&](memory::Arena& arena) {
    for (const TensorDescription& t : describe_tensors(config)) {
      arena.take(t.name, DType::kFloat32, t.shape, t.reserved_rows);
    }
  });
  return memory::Arena(purpose, bytes);
}

// Two normal deviates from four random words (Box, Muller 1958).
void fill_normal(View view, float standard_deviation, const kernels::RandomStream& stream) {
  float* values = view.data<float>();
  const std::int64_t count = view.elements();
  for (std::int64_t pair = 0; 2 * pair < count; ++pair) {
    const kernels::Philox4x32 words =
        kernels::random_words(stream, static_cast<std::uint64_t>(pair));
    const double u =
        1.0 - kernels::uniform_double(words[0], words[1]);  // in (0, 1]: its logarithm is finite
    const double angle = 2.0 * std::numbers::pi * kernels::uniform_double(words[2], words[3]);
    const double radius = standard_deviation * std::sqrt(-2.0 * std::log(u));
    values[2 * pair] = static_cast<float>(radius * std::cos(angle));
    if (2 * pair + 1 < count) values[2 * pair + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

void check_positive(const char* key, std::int64_t value, std::int64_t limit) {
  if (value < 1 || value > limit) {
    throw UsageError(fmt::format("model.{} = {} is outside 1 to {}", key, value, limit));
  }
}

}  // namespace

std::vector<TensorDescription> describe_tensors(const ModelConfig& config) {
  std::vector<TensorDescription> all;
  build_parameters(config, [&](const TensorDescription& description) {
    all.push_back(description);
    return 0;
  });
  return all;
}

std::int64_t parameter_count(const ModelConfig& config) {
  std::int64_t count = 0;
  for (const TensorDescription& t : describe_tensors(config)) count += t.shape.elements();
  return count;
}

ParameterSet::ParameterSet(const ModelConfig& config, const std::string& purpose,
                           bool only_measures)
    : arena_(make_arena(config, purpose, only_measures)),
      views_(build_parameters(config, [this](const TensorDescription& t) {
        const View view = arena_.take(t.name, DType::kFloat32, t.shape, t.reserved_rows);
        tensors_.push_back({t, view});
        return view;
      })) {}

void ParameterSet::copy_from(ParameterSet& other) {
  const View from = other.flat();
  if (flat().elements() != from.elements()) {
    throw std::logic_error("parameters of another model cannot be copied");
  }
  std::copy_n(from.data<float>(), from.elements(), flat().data<float>());
}

void check_model_config(const ModelConfig& config) {
  check_positive("layers", config.layers, 1'000);
  check_positive("heads", config.heads, 1'000);
  check_positive("width", config.width, 65'536);
  check_positive("context_length", config.context_length, 1 << 20);
  check_positive("vocabulary_size", config.vocabulary_size, 65'536);
  if (config.width % config.heads != 0) {
    throw UsageError(
        fmt::format("model.width = {} is not a multiple of model.heads = {}; try width {} or {}",
                    config.width, config.heads, config.width / config.heads * config.heads,
                    (config.width / config.heads + 1) * config.heads));
  }
}

void initialise(ParameterSet& weights, const ModelConfig& config, std::uint64_t seed) {
  const float residual_scale = 1.0f / std::sqrt(2.0f * static_cast<float>(config.layers));
  for (const ParameterSet::Tensor& tensor : weights.tensors()) {
    const auto name = std::as_bytes(std::span(tensor.description.name));
    const std::uint64_t key = hash64(name);
    const kernels::RandomStream stream{.seed = seed,
                                       .use = kernels::RandomUse::kInitialisation,
                                       .major = key & 0xFFFFFFFFu,
                                       .minor = static_cast<std::uint32_t>(key >> 40)};
    float* values = tensor.view.data<float>();
    const std::int64_t count = tensor.view.elements();
    switch (tensor.description.initialisation) {
      case Initialisation::kZero:
        std::fill_n(values, count, 0.0f);
        break;
      case Initialisation::kOne:
        std::fill_n(values, count, 1.0f);
        break;
      case Initialisation::kNormal:
        fill_normal(tensor.view, 0.02f, stream);
        break;
      case Initialisation::kResidualNormal:
        fill_normal(tensor.view, 0.02f * residual_scale, stream);
        break;
    }
  }
}

}  // namespace ovid::model
