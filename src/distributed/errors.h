#pragma once

#include <string>

#include "src/core/error.h"

namespace ovid::distributed {

// The ranks did not call the same collectives: a defect of Ovid, found before data moved. The
// message has the call of each rank.
struct CollectiveError : Error {
  explicit CollectiveError(const std::string& message) : Error(ExitCode::kBug, message) {}
};

// A rank died, left, was not there in time, or ended the run for all by abort(). The message names
// it.
struct RankError : Error {
  explicit RankError(const std::string& message) : Error(ExitCode::kResources, message) {}
};

}  // namespace ovid::distributed
