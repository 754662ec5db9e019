#pragma once

#include "src/cli/generate_prompts.h"
#include "src/core/file.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::cli {

// The prompt of a review to order (--stars, --category, --headline), laid out as the control words
// beside the tokenizer of the model say: as text where `folder` has no control.json. Its text is
// the headline alone, where there is one. Throws UsageError for stars or a category that the model
// does not know, with those that it does, and for a model of another task; DataError.
Prompt review_prompt(const GenerateOptions& options, const tokenizer::Tokenizer& tokenizer,
                     const Path& folder);

}  // namespace ovid::cli
