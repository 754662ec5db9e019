#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace ovid::config {

// A published shape. Source: Radford et al. 2019, table 2; Sanh et al. 2019 for distilgpt2. The
// heads are those of the released checkpoints: 64 columns each.
struct Preset {
  std::string_view name;
  std::int64_t layers;
  std::int64_t heads;
  std::int64_t width;
  std::int64_t context_length;
  std::int64_t vocabulary_size;
};

std::span<const Preset> presets();
const Preset* find_preset(std::string_view name);  // null for a name that is none

}  // namespace ovid::config
