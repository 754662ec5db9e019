#pragma once

#include <map>
#include <string>

#include "src/core/file.h"
#include "src/training/run_plan.h"

namespace ovid::training {

// Copies the data passports that lie beside the training shards (passport.json, as `ovid-data
// openwebtext` writes it) into the run's folder: passport.json, and passport_2.json and so on where
// several data sets are mixed. What is no JSON object of a sane size is passed over with a warning.
void copy_data_passports(const RunPlan& plan, const Path& run_directory);

// What a checkpoint tells of its data: the passports of the run's folder by their names, and
// README.md, the model card that says what the model is and what it was trained on. Empty where the
// run has no passport.
std::map<std::string, std::string> data_passport_texts(const RunPlan& plan,
                                                       const Path& run_directory);

// The model card's text. `passports`: JSON by name. Pure.
std::string model_card(const model::ModelConfig& model,
                       const std::map<std::string, std::string>& passports);

}  // namespace ovid::training
