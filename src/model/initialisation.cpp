#include "src/model/initialisation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/common/random.h"
#include "src/core/checksum.h"

namespace ovid::model {
namespace {

// Numbers are drawn in pairs: calls draw(pair) for each that has an element in the range, and keeps
// of its two values what lies in it.
template <class Draw>
void fill_pairs(std::int64_t begin, std::span<float> values, Draw&& draw) {
  const std::int64_t end = begin + static_cast<std::int64_t>(values.size());
  for (std::int64_t pair = begin / 2; 2 * pair < end; ++pair) {
    float both[2];
    draw(static_cast<std::uint64_t>(pair), both);
    for (std::int64_t i = 0; i < 2; ++i) {
      const std::int64_t index = 2 * pair + i;
      if (index >= begin && index < end) values[static_cast<std::size_t>(index - begin)] = both[i];
    }
  }
}

// Two normal deviates from four random words (Box, Muller 1958).
void fill_normal(std::int64_t begin, std::span<float> values, float standard_deviation,
                 const kernels::RandomStream& stream) {
  fill_pairs(begin, values, [&](std::uint64_t pair, float* both) {
    const kernels::Philox4x32 words = kernels::random_words(stream, pair);
    const double u =
        1.0 - kernels::uniform_double(words[0], words[1]);  // in (0, 1]: its logarithm is finite
    const double angle = 2.0 * std::numbers::pi * kernels::uniform_double(words[2], words[3]);
    const double radius = standard_deviation * std::sqrt(-2.0 * std::log(u));
    both[0] = static_cast<float>(radius * std::cos(angle));
    both[1] = static_cast<float>(radius * std::sin(angle));
  });
}

// In [-bound, bound).
void fill_uniform(std::int64_t begin, std::span<float> values, double bound,
                  const kernels::RandomStream& stream) {
  fill_pairs(begin, values, [&](std::uint64_t pair, float* both) {
    const kernels::Philox4x32 words = kernels::random_words(stream, pair);
    for (std::size_t i = 0; i < 2; ++i) {
      const double u = kernels::uniform_double(words[2 * i], words[2 * i + 1]);
      both[i] = static_cast<float>(bound * (2.0 * u - 1.0));
    }
  });
}

}  // namespace

void initialise_range(const TensorDescription& tensor, const ModelConfig& config,
                      std::uint64_t seed, std::int64_t begin, std::span<float> values) {
  const std::uint64_t key = hash64(std::as_bytes(std::span(tensor.name)));
  const kernels::RandomStream stream{.seed = seed,
                                     .use = kernels::RandomUse::kInitialisation,
                                     .major = key & 0xFFFFFFFFu,
                                     .minor = static_cast<std::uint32_t>(key >> 40)};
  const float residual_scale = 1.0f / std::sqrt(2.0f * static_cast<float>(config.layers));
  switch (tensor.initialisation) {
    case Initialisation::kZero:
      std::fill(values.begin(), values.end(), 0.0f);
      break;
    case Initialisation::kOne:
      std::fill(values.begin(), values.end(), 1.0f);
      break;
    case Initialisation::kNormal:
      return fill_normal(begin, values, 0.02f, stream);
    case Initialisation::kResidualNormal:
      return fill_normal(begin, values, 0.02f * residual_scale, stream);
    case Initialisation::kUniform:
      return fill_uniform(begin, values, 1.0 / std::sqrt(static_cast<double>(tensor.shape.last())),
                          stream);
  }
}

}  // namespace ovid::model
