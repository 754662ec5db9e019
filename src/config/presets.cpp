#include "src/config/presets.h"

namespace ovid::config {
namespace {

constexpr Preset kPresets[] = {
    {"gpt2-124m", 12, 12, 768, 1024, 50257},  {"gpt2-355m", 24, 16, 1024, 1024, 50257},
    {"gpt2-774m", 36, 20, 1280, 1024, 50257}, {"gpt2-1558m", 48, 25, 1600, 1024, 50257},
    {"distilgpt2", 6, 12, 768, 1024, 50257},
};

}  // namespace

std::span<const Preset> presets() {
  return kPresets;
}

const Preset* find_preset(std::string_view name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return &preset;
  }
  return nullptr;
}

}  // namespace ovid::config
