#include "src/core/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/range_file.h"

namespace ovid {
namespace {

[[noreturn]] void throw_errno(const char* action, const Path& path, int error) {
  const char* cure = "";
  if (error == ENOSPC || error == EDQUOT) cure = ": free some space, or choose another folder";
  if (error == EACCES || error == EPERM || error == EROFS)
    cure = ": choose a folder that you may write";
  throw ResourceError(
      fmt::format("cannot {} {}: {}{}", action, path.string(), std::strerror(error), cure));
}

// Files that are read: an absent one is a mistake in data or config, not in the machine.
[[noreturn]] void throw_unreadable(const Path& path, int error) {
  if (error == ENOENT || error == ENOTDIR || error == EISDIR || error == ELOOP) {
    throw DataError(fmt::format("cannot read {}: {}", path.string(), std::strerror(error)));
  }
  throw_errno("read", path, error);
}

int open_for_reading(const Path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_unreadable(path, errno);
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
    ::close(descriptor);
    throw_unreadable(path, EISDIR);
  }
  return descriptor;
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { ::close(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

void write_all_at(int descriptor, const Path& path, std::uint64_t offset,
                  std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_errno("write", path, errno);
    }
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void sync_descriptor(int descriptor, const Path& path) {
  while (::fsync(descriptor) != 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL || errno == ENOTSUP) return;  // a pipe or /dev/null has no disk behind it
    throw_errno("sync", path, errno);
  }
}

// Not repeated on EINTR: Linux has then closed the descriptor all the same.
void close_checked(int descriptor, const Path& path) {
  if (descriptor >= 0 && ::close(descriptor) != 0 && errno != EINTR)
    throw_errno("close", path, errno);
}

}  // namespace

OutputFile::OutputFile(const Path& path, WriteMode mode) : path_(path) {
  int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
  if (mode == WriteMode::kCreateNew) flags |= O_EXCL;
  if (mode == WriteMode::kTruncate) flags |= O_TRUNC;
  if (mode == WriteMode::kAppend) flags |= O_APPEND;
  descriptor_ = ::open(path.c_str(), flags, 0644);
  if (descriptor_ < 0) throw_errno("create", path, errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_errno("write", path_, errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  write_all_at(descriptor_, path_, offset, bytes);
}

void OutputFile::sync() {
  sync_descriptor(descriptor_, path_);
}

void OutputFile::close() {
  close_checked(std::exchange(descriptor_, -1), path_);
}

RangeFile::RangeFile(const Path& path) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw_errno("create", path, errno);
}

RangeFile::~RangeFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void RangeFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  write_all_at(descriptor_, path_, offset, bytes);
}

void RangeFile::sync() {
  sync_descriptor(descriptor_, path_);
}

void RangeFile::close() {
  close_checked(std::exchange(descriptor_, -1), path_);
}

MappedFile::MappedFile(const Path& path) : path_(path) {
  const Descriptor descriptor(open_for_reading(path));
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) throw_unreadable(path, errno);
  if (!S_ISREG(status.st_mode))
    throw DataError(fmt::format("cannot map {}: not a regular file", path.string()));
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (mapping == MAP_FAILED) throw_errno("map", path, errno);
  data_ = static_cast<const std::byte*>(mapping);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

void forget_mapped(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data()) / page * page;
  const auto end =
      (reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size() + page - 1) / page * page;
  // A hint: nothing depends on its success.
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

std::string read_file(const Path& path, std::uint64_t limit) {
  const Descriptor descriptor(open_for_reading(path));
  std::string text;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t count = ::read(descriptor.get(), buffer, sizeof buffer);
    if (count < 0) {
      if (errno == EINTR) continue;
      throw_unreadable(path, errno);
    }
    if (count == 0) return text;
    if (text.size() + static_cast<std::size_t>(count) > limit) {
      throw DataError(fmt::format("{} is larger than {} bytes, the most that is read here",
                                  path.string(), limit));
    }
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

void replace_file(const Path& path, std::string_view text) {
  Path temporary = path;
  temporary += fmt::format(".tmp-{}", ::getpid());
  try {
    OutputFile file(temporary, WriteMode::kTruncate);
    file.write(text);
    file.sync();
    file.close();
    rename_durably(temporary, path);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
}

void rename_durably(const Path& from, const Path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_errno("rename to", to, errno);
  sync_directory(to.parent_path());
}

void sync_directory(const Path& directory) {
  const Path target = directory.empty() ? Path(".") : directory;
  const int descriptor = ::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw_errno("open", target, errno);
  const Descriptor owner(descriptor);
  // Some network file systems cannot sync a folder and say EINVAL; there is nothing more to do on
  // those.
  if (::fsync(descriptor) != 0 && errno != EINVAL) throw_errno("sync", target, errno);
}

void make_directories(const Path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw_errno("create folder", directory, error.value());
  if (!std::filesystem::is_directory(directory)) throw_errno("create folder", directory, ENOTDIR);
}

std::uint64_t size_of_file(const Path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_unreadable(path, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

std::uint64_t free_bytes(const Path& directory) {
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) != 0)
    throw_errno("ask the free space of", directory, errno);
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

std::optional<FileLock> FileLock::try_lock(const Path& path, std::string_view owner) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) throw_errno("create", path, errno);
  FileLock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    throw_errno("lock", path, errno);
  }
  if (::ftruncate(descriptor, 0) != 0 ||
      ::pwrite(descriptor, owner.data(), owner.size(), 0) != static_cast<ssize_t>(owner.size())) {
    log::warning(
        fmt::format("cannot write the owner into {}: {}", path.string(), std::strerror(errno)));
  }
  return lock;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

}  // namespace ovid
