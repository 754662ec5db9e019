#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// The one door to files. Raw descriptors throughout: C++ streams and stdio lose write errors
// (fclose can return 0 after a lost write), and every byte that a run keeps must be known to be on
// disk. All functions throw ResourceError (disk, permission) or DataError (a file that is not what
// it should be), naming the path and the system's reason.
namespace ovid {

using Path = std::filesystem::path;

enum class WriteMode { kCreateNew, kTruncate, kAppend };

// A file being written. Loops over short writes and EINTR, checks every return. Moves, does not
// copy.
class OutputFile {
 public:
  OutputFile(const Path& path, WriteMode mode);
  ~OutputFile();  // closes without a check: call close() where the bytes matter
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void sync();   // to the disk (fsync)
  void close();  // checked
  const Path& path() const { return path_; }

 private:
  Path path_;
  int descriptor_ = -1;
};

// A whole file mapped read-only. An empty file maps to an empty span. The mapping follows the file:
// whoever cuts the file while it is mapped ends the process (SIGBUS), so sizes are checked against
// the file right before use.
class MappedFile {
 public:
  explicit MappedFile(const Path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const Path& path() const { return path_; }

 private:
  Path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Gives the memory of bytes that lie in a MappedFile back to the system, and of what shares their
// pages: they stay readable, at the cost of a look into the page cache. So a pass over a large file
// does not count as memory of this process.
void forget_mapped(std::span<const std::byte> bytes);

// The whole file. Throws DataError where it is larger than `limit` bytes.
std::string read_file(const Path& path, std::uint64_t limit = 1ull << 30);

// Replaces `path` with `text` at once: writes a temporary file beside it, syncs, renames, syncs the
// folder.
void replace_file(const Path& path, std::string_view text);

// Renames and syncs the parent folder of `to`, so that the new name survives a power cut.
void rename_durably(const Path& from, const Path& to);
void sync_directory(const Path& directory);

// Makes the folder and its parents. Throws ResourceError with the reason.
void make_directories(const Path& directory);

std::uint64_t size_of_file(const Path& path);
std::uint64_t free_bytes(const Path& directory);

// An exclusive advisory lock on `path`, held until destruction; the file then holds `owner`.
// Nothing, where another process holds it.
class FileLock {
 public:
  static std::optional<FileLock> try_lock(const Path& path, std::string_view owner);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace ovid
