#pragma once

#include <string>

#include "src/model/parameters.h"
#include "src/tokenizer/tokenizer.h"
#include "src/training/run_plan.h"

namespace ovid::training {

// The text that `weights` (any adapters merged) write after samples.prompt; token ids where the run
// has no tokenizer. The same weights give the same text.
std::string sample_text(const RunPlan& plan, const model::ParameterSet& weights,
                        const tokenizer::Tokenizer* tokenizer);

}  // namespace ovid::training
