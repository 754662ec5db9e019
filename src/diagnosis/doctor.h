#pragma once

#include "src/core/file.h"
#include "src/diagnosis/finding.h"

namespace ovid::diagnosis {

// Examines this machine for training runs below `run_directory` (its nearest existing parent is
// written to: one file of at most 64 MiB, removed again). Takes a few seconds: it measures disk and
// matrix products. A check that fails is itself a finding; throws nothing.
Findings examine(const Path& run_directory);

}  // namespace ovid::diagnosis
