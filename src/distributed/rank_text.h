#pragma once

#include <span>
#include <string>

namespace ovid::distributed {

// "rank 3", "ranks 0 and 2", "ranks 0, 2, 5 and 1,017 more": at most eight are named.
std::string describe_ranks(std::span<const int> ranks);

}  // namespace ovid::distributed
