#include "src/distributed/shared_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "src/core/error.h"

namespace ovid::distributed {
namespace {

// Whoever shrinks memory that another process has mapped ends that process.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// MFD_NOEXEC_SEAL: systems may refuse memory that could hold programs; older ones do not know it.
constexpr unsigned kNoPrograms = 8;

bool has_seals(int descriptor) {
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

int make_memory() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const int descriptor = ::memfd_create("ovid-ranks", kFlags | kNoPrograms);
  return descriptor >= 0 || errno != EINVAL ? descriptor : ::memfd_create("ovid-ranks", kFlags);
}

[[noreturn]] void throw_no_memory(std::size_t bytes, int reason) {
  throw ResourceError(fmt::format(
      "{} KiB of memory to share between ranks: {}; free some memory, or use fewer processes",
      bytes / 1024, std::strerror(reason)));
}

}  // namespace

SharedMemory SharedMemory::create(std::size_t bytes) {
  const int descriptor = make_memory();
  if (descriptor < 0) throw_no_memory(bytes, errno);
  // Taken now: what is missing later would end a process without a word (SIGBUS).
  int reason = EINTR;
  while (reason == EINTR) {
    reason = ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
  }
  if (reason != 0) {
    ::close(descriptor);
    throw_no_memory(bytes, reason);
  }
  if (::fcntl(descriptor, F_ADD_SEALS, kSeals) != 0) {
    const int failure = errno;
    ::close(descriptor);
    throw_no_memory(bytes, failure);
  }
  return {descriptor, bytes};
}

SharedMemory SharedMemory::open(int descriptor, std::size_t bytes) {
  struct stat status = {};
  const bool is_it = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
                     static_cast<std::size_t>(status.st_size) == bytes && has_seals(descriptor);
  if (!is_it) {
    ::close(descriptor);
    throw UsageError(fmt::format(
        "descriptor {} is not the memory of {} bytes that the ranks of this run share; start all "
        "ranks with the same program, by ovid train --processes, mpirun or srun",
        descriptor, bytes));
  }
  return {descriptor, bytes};
}

SharedMemory::SharedMemory(int descriptor, std::size_t bytes)
    : descriptor_(descriptor), size_(bytes) {
  void* const address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) {
    const int reason = errno;
    ::close(descriptor);
    throw_no_memory(bytes, reason);
  }
  data_ = static_cast<std::byte*>(address);
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

}  // namespace ovid::distributed
