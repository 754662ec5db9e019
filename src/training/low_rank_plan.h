#pragma once

#include "src/config/run_config.h"
#include "src/model/model_config.h"

namespace ovid::training {

// Gives `model`, whose shape is complete, the adapters of lora.*, and freezes all else; nothing
// where lora.rank = 0. Throws UsageError for a rank above what a linear has: more is no low rank.
void add_adapters(const config::LoraSection& lora, model::ModelConfig& model);

// The same model without adapters, all of it trained.
model::ModelConfig without_adapters(model::ModelConfig model);

}  // namespace ovid::training
