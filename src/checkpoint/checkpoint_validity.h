#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/checkpoint/run_checkpoint.h"

namespace ovid::checkpoint {

// Why a checkpoint of a run cannot be resumed from, a sentence each: its manifest, a required file,
// sizes, with kAllBytes hashes. Empty where all is right. Throws nothing of a file's making.
std::vector<std::string> checkpoint_problems(const Path& checkpoint, std::int64_t step,
                                             HashCheck check);

}  // namespace ovid::checkpoint
