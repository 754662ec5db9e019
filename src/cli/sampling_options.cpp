#include "src/cli/sampling_options.h"

#include <fmt/format.h>

#include <random>

#include "src/core/error.h"

namespace ovid::cli {

void check_sampling(const generation::SamplingSettings& settings) {
  const auto check = [](const char* option, auto value, auto least, auto most, const char* hint) {
    if (value >= least && value <= most) return;
    throw UsageError(fmt::format("{} {} is outside {} to {}{}", option, value, least, most, hint));
  };
  check("--temperature", settings.temperature, 0.0, 1e6,
        "; 0 is greedy, 1 the model's own distribution");
  if (!(settings.top_p > 0.0 && settings.top_p <= 1.0)) {
    throw UsageError(
        fmt::format("--top-p {} is outside (0, 1]; 1 keeps all tokens", settings.top_p));
  }
  check("--min-p", settings.min_p, 0.0, 1.0, "; 0 keeps all tokens");
  check("--repetition-penalty", settings.repetition_penalty, 0.01, 100.0,
        "; 1 is off, 1.2 a usual value");
  check("--top-k", settings.top_k, std::int64_t{0}, std::int64_t{65536}, "; 0 keeps all tokens");
}

std::uint64_t drawn_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 21) ^ device();
}

}  // namespace ovid::cli
