#pragma once

#include <string_view>

namespace ovid::metrics {

enum class AppendResult {
  kWritten,
  kTakenBack,  // nothing of it is in the file
  kTorn,       // part of it is, and could not be cut off
};

// Writes `bytes` at the end of a file opened with O_APPEND, whole or not at all as far as the
// system lets it. Anything but kWritten leaves the reason in errno.
AppendResult append_whole(int descriptor, std::string_view bytes);

}  // namespace ovid::metrics
