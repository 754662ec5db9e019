#pragma once

#include <functional>

#include "data_tools/dataset_builder.h"
#include "data_tools/duplicates/near_duplicates.h"
#include "data_tools/openwebtext/command.h"
#include "data_tools/openwebtext/ledger.h"
#include "data_tools/openwebtext/token_spool.h"

namespace ovid::data_tools::openwebtext {

// What the last stages need to know.
struct DatasetInputs {
  const SpooledTokens& spooled;
  const duplicates::ExactDuplicates& exact;
  const duplicates::NearDuplicates& near;
};

// The stages that look at many documents, and the shards: drops repeated documents and those that
// overlap with evaluation sets from what was spooled, in its order, counts and samples them in
// `ledger`, and writes the rest into `folder`. `progress` is told the bytes of the spool that are
// done. Begins anew where an earlier process was cut off. Throws DataError where nothing is left,
// Interrupted at a signal, ResourceError.
BuiltDataset write_shards(const DatasetInputs& inputs, const Options& options,
                          const tokenizer::Tokenizer& tokenizer, const Path& folder, Ledger& ledger,
                          const std::function<void(std::uint64_t bytes)>& progress);

}  // namespace ovid::data_tools::openwebtext
