#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data_tools/dataset_builder.h"
#include "data_tools/openwebtext/command.h"
#include "data_tools/openwebtext/evaluation_sets.h"
#include "data_tools/openwebtext/ledger.h"

namespace ovid::data_tools::openwebtext {

inline constexpr const char* kPassportName = "passport.json";
inline constexpr const char* kPassportPageName = "passport.html";

// What a data passport tells of.
struct PassportFacts {
  const Options& options;
  const tokenizer::Tokenizer& tokenizer;
  const Ledger& ledger;
  const EvaluationSets& evaluation;
  const BuiltDataset& built;
};

// The passport as JSON: version, settings, inputs and outputs with hashes, counts and samples of
// each stage, overlap with evaluation sets. Holds no time and no machine, so that equal work gives
// equal bytes.
std::string passport_as_json(const PassportFacts& facts);

// The same as one HTML page that needs no other file and runs no script. Throws DataError for what
// is no passport.
std::string passport_as_html(const std::string& passport);

// dataset.json, by which training runs find tokenizer and vocabulary.
std::string dataset_as_json(const PassportFacts& facts);

}  // namespace ovid::data_tools::openwebtext
