#pragma once

#include "src/cli/commands.h"
#include "src/memory/open_target.h"

namespace ovid::cli {

// Of --precision. Throws UsageError for another word.
kernels::DType dtype_of(const std::string& word);

// Opens what the options name; logs the device where it is a GPU. Throws UsageError for a word that
// is no device or precision, and the errors of memory::open_target.
memory::OpenTarget open_target(const DeviceOptions& options);

}  // namespace ovid::cli
