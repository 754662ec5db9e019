#pragma once

#include <string_view>

#include "src/distributed/rank.h"
#include "src/distributed/rank_segment.h"

namespace ovid::distributed {

// How processes that no launcher of ours started come to share memory: rank 0 makes it and hands it
// to the others through a socket with an abstract name, made of the run's token and the user, that
// is in no file system and gone with its process. For runs of one machine. Throws RankError where a
// rank is not there within `join_seconds`, UsageError where another run has the token, and
// ResourceError.
RankSegment meet_ranks(const RankInfo& ranks, std::string_view run_token, double join_seconds);

}  // namespace ovid::distributed
