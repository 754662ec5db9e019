#pragma once

#include <cstdint>

#include "src/generation/sampler.h"

namespace ovid::cli {

// Throws UsageError, which names the option, for a setting outside its range.
void check_sampling(const generation::SamplingSettings& settings);

// A seed that every JSON reader takes exactly: below 2^53.
std::uint64_t drawn_seed();

}  // namespace ovid::cli
