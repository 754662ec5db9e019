#pragma once

#include <cstdint>
#include <string>

#include "src/core/file.h"
#include "src/model/parameters.h"

// Fine-tuning with more tokens than the model knows: control words added behind its vocabulary.
namespace ovid::training {

// Throws UsageError unless `tokenizer` is the one of the model in `directory`, which has `rows`
// rows of the embedding, with tokens added behind: rows of another tokenizer would mean other
// words. Where the directory has no tokenizer, the number of tokens without the added ones must be
// `rows`.
void check_grown_tokenizer(const Path& directory, std::int64_t rows, const std::string& tokenizer);

// Fills `weights` from the model in `directory`, whose embedding, and head where it is not tied,
// have only the first `rows` rows. A new row is the mean of the old ones (Hewitt 2021: a new token
// then takes little probability from the old) plus what initialise() left in it, GPT-2's normal
// numbers: so that no two are alike, and a pure function of (seed, tensor, row). Throws
// CheckpointError.
void read_grown(const Path& directory, std::int64_t rows, const model::ParameterSet& weights);

}  // namespace ovid::training
