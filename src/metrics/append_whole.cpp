#include "src/metrics/append_whole.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace ovid::metrics {
namespace {

// Bytes that were written; less than all of them leaves the reason in errno.
std::size_t write_as_far_as_possible(int descriptor, std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

// Takes the last `bytes` off the file.
bool shorten(int descriptor, std::size_t bytes) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || status.st_size < static_cast<off_t>(bytes)) return false;
  return ::ftruncate(descriptor, status.st_size - static_cast<off_t>(bytes)) == 0;
}

}  // namespace

AppendResult append_whole(int descriptor, std::string_view bytes) {
  const std::size_t written = write_as_far_as_possible(descriptor, bytes);
  if (written == bytes.size()) return AppendResult::kWritten;
  const int reason = errno;
  const bool clean = written == 0 || shorten(descriptor, written);
  errno = reason;
  return clean ? AppendResult::kTakenBack : AppendResult::kTorn;
}

}  // namespace ovid::metrics
