#pragma once

#include <span>
#include <string>

#include "src/distributed/flight_recorder.h"

namespace ovid::distributed {

// "#12 all_reduce 'block 3' (4096 bytes of float32)", with "from rank 0" where there is a root.
std::string text_of(const CollectiveHeader& header);

// What CollectiveError says of calls that are not the same: those of equal calls together.
// `headers` is indexed by rank.
std::string mismatch_text(std::span<const CollectiveHeader> headers);

// Throws CollectiveError with that text where the headers are not all equal.
void require_equal_headers(std::span<const CollectiveHeader> headers);

}  // namespace ovid::distributed
