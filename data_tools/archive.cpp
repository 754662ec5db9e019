#include "data_tools/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "data_tools/xz_source.h"
#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

// Text compresses 3 to 10 times; far beyond that it is a bomb that would fill the disk with tokens.
constexpr std::uint64_t kMostExpansion = 200;
constexpr std::uint64_t kExpansionIsFineBelow = 64 << 20;

// A source of which the first bytes are known, as far as it has them.
class PeekedSource : public ByteSource {
 public:
  explicit PeekedSource(ByteSource& source) : source_(source) {
    for (std::size_t count = 1; count > 0 && head_.size() < kXzMagic.size();) {
      std::array<char, kXzMagic.size()> bytes;
      count = source_.read(std::span(bytes).first(kXzMagic.size() - head_.size()));
      head_.append(bytes.data(), count);
    }
  }
  const std::string& head() const { return head_; }

  std::size_t read(std::span<char> buffer) override {
    if (head_read_ == head_.size()) return source_.read(buffer);
    const std::size_t count = head_.copy(buffer.data(), buffer.size(), head_read_);
    head_read_ += count;
    return count;
  }
  bool count_unpacked(std::uint64_t bytes) override { return source_.count_unpacked(bytes); }

 private:
  ByteSource& source_;
  std::string head_;
  std::size_t head_read_ = 0;
};

struct ArchiveCloser {
  void operator()(::archive* handle) const { ::archive_read_free(handle); }
};

class ArchiveReader {
 public:
  // `xz`: the same as `source` where what it reads was unpacked from an xz file; otherwise null.
  ArchiveReader(ByteSource& source, const XzSource* xz, const std::string& name)
      : source_(source), xz_(xz), name_(name), buffer_(1 << 16), handle_(::archive_read_new()) {
    if (!handle_) throw std::bad_alloc();
    ::archive* a = handle_.get();
    // One by one: archive_read_support_filter_all would also start external programs. XzSource is
    // before them for xz.
    ::archive_read_support_filter_gzip(a);
    ::archive_read_support_filter_zstd(a);
    ::archive_read_support_filter_bzip2(a);
    ::archive_read_support_filter_lz4(a);
    ::archive_read_support_format_tar(a);
    ::archive_read_support_format_zip_streamable(a);
    ::archive_read_support_format_raw(a);
    ::archive_read_support_format_empty(a);
    check(::archive_read_open(a, this, nullptr, &ArchiveReader::read_source, nullptr));
  }

  // The next entry; null at the end.
  ::archive_entry* next_entry() {
    ::archive_entry* entry = nullptr;
    const int result = ::archive_read_next_header(handle_.get(), &entry);
    if (result == ARCHIVE_EOF) return nullptr;
    if (result != ARCHIVE_OK && !member_.empty()) member_ = "behind " + member_;
    check(result);
    refuse_lzma_in_zip();
    return entry;
  }

  std::size_t read_data(std::span<char> buffer) {
    const la_ssize_t count =
        ::archive_read_data(handle_.get(), buffer.data(), std::min(buffer.size(), kMostRead));
    // A mere warning too: a wrong checksum is one, and there are no bytes with it.
    if (count < 0) fail_with_reason();
    bytes_out_ += static_cast<std::uint64_t>(count);
    check_expansion(bytes_out_, kExpansionIsFineBelow);
    count_unpacked(static_cast<std::uint64_t>(count));
    return static_cast<std::size_t>(count);
  }

  // Of this archive and of all in it: copies of one small bomb may pass each level alone.
  void count_unpacked(std::uint64_t bytes) {
    if (source_.count_unpacked(bytes)) return;
    all_unpacked_ += bytes;
    // Later than a member's own limit, whose message names it.
    check_expansion(all_unpacked_, 2 * kExpansionIsFineBelow);
  }

  // For messages.
  void set_member(const std::string& member) { member_ = member; }

  bool is_empty() const { return ::archive_format(handle_.get()) == ARCHIVE_FORMAT_EMPTY; }
  bool is_single_file() const { return ::archive_format(handle_.get()) == ARCHIVE_FORMAT_RAW; }
  // Without a filter a raw "archive" is the file itself: its name promised what it is not.
  bool is_compressed() const {
    return xz_ != nullptr || ::archive_filter_code(handle_.get(), 0) != ARCHIVE_FILTER_NONE;
  }

 private:
  static constexpr std::size_t kMostRead = 1 << 20;

  static la_ssize_t read_source(::archive* handle, void* self, const void** data) {
    auto& reader = *static_cast<ArchiveReader*>(self);
    *data = reader.buffer_.data();
    try {
      const std::size_t count = reader.source_.read(reader.buffer_);
      reader.bytes_in_ += count;
      return static_cast<la_ssize_t>(count);
    } catch (...) {  // an exception must not cross the library's C frames
      reader.failure_ = std::current_exception();
      ::archive_set_error(handle, EIO, "the source failed");
      return ARCHIVE_FATAL;
    }
  }

  void check_expansion(std::uint64_t bytes, std::uint64_t fine_below) const {
    const std::uint64_t packed = xz_ != nullptr ? xz_->bytes_in() : bytes_in_;
    if (bytes <= fine_below || bytes / kMostExpansion <= packed) return;
    throw DataError(
        fmt::format("{} expands more than {} times, as no text does; if it is one, unpack it and "
                    "give the unpacked files",
                    name_, kMostExpansion));
  }

  // The library bounds the memory of all other methods; these take a window of up to 4 GiB, by
  // their data's first bytes.
  void refuse_lzma_in_zip() const {
    const char* format = ::archive_format_name(handle_.get());
    const std::string_view text = format == nullptr ? "" : format;
    if (!text.starts_with("ZIP") || (!text.ends_with("(lzma)") && !text.ends_with("(xz)"))) return;
    throw DataError(fmt::format(
        "cannot unpack {}: members of a zip archive that are compressed by lzma or xz may ask for "
        "4 GiB of memory each; unpack it by hand, or pack it again as .zip with deflate or .tar.xz",
        name_));
  }

  [[noreturn]] void fail(const char* reason) const {
    throw DataError(fmt::format("cannot unpack {}{}: {}; copy it again, or unpack it by hand",
                                name_, member_.empty() ? "" : " (" + member_ + ")", reason));
  }

  [[noreturn]] void rethrow_failure() const {
    try {
      std::rethrow_exception(failure_);
    } catch (const XzSource::Damaged& damaged) {
      fail(damaged.reason);
    }
  }

  void check(int result) {
    if (failure_) rethrow_failure();
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) fail_with_reason();
  }

  [[noreturn]] void fail_with_reason() {
    if (failure_) rethrow_failure();
    const char* reason = ::archive_error_string(handle_.get());
    if (reason != nullptr &&
        std::string_view(reason).find("too much memory") != std::string::npos) {
      throw DataError(
          fmt::format("cannot unpack {}: it asks for a window of more than 128 MiB of memory, the "
                      "limit; unpack it with zstd -d --long=31 and give the unpacked file",
                      name_));
    }
    fail(reason != nullptr ? reason : "unknown reason");
  }

  ByteSource& source_;
  const XzSource* xz_;
  const std::string& name_;
  std::string member_;
  std::vector<char> buffer_;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  std::uint64_t all_unpacked_ = 0;  // at every level, where this archive is in no other
  std::exception_ptr failure_;
  std::unique_ptr<::archive, ArchiveCloser> handle_;  // last: its closing may call back
};

class EmptySource : public ByteSource {
 public:
  std::size_t read(std::span<char>) override { return 0; }
};

class MemberSource : public ByteSource {
 public:
  explicit MemberSource(ArchiveReader& reader) : reader_(reader) {}
  std::size_t read(std::span<char> buffer) override { return reader_.read_data(buffer); }
  bool count_unpacked(std::uint64_t bytes) override {
    reader_.count_unpacked(bytes);
    return true;
  }

 private:
  ArchiveReader& reader_;
};

// Control characters become ?: a name ends up in messages, and must not steer the terminal.
std::string member_name(::archive_entry* entry, std::size_t number) {
  const char* given = ::archive_entry_pathname(entry);
  if (given == nullptr) given = ::archive_entry_pathname_utf8(entry);
  if (given == nullptr) return fmt::format("member {}", number);
  std::string name = given;
  std::replace_if(
      name.begin(), name.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return name;
}

bool is_unsafe_name(const std::string& member) {
  const std::filesystem::path path(member);
  return path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end();
}

// What an entry is that is no file with bytes of its own; null for a file or a folder.
const char* kind_of_no_file(::archive_entry* entry) {
  if (::archive_entry_hardlink(entry) != nullptr) return "a hard link";
  switch (::archive_entry_filetype(entry)) {
    case AE_IFREG:
    case AE_IFDIR:
      return nullptr;
    case AE_IFLNK:
      return "a symbolic link";
    case AE_IFCHR:
    case AE_IFBLK:
      return "a device";
    case AE_IFIFO:
      return "a pipe";
    default:
      return "no regular file";
  }
}

}  // namespace

void for_each_member(ByteSource& source, const std::string& name, const MemberVisitor& visit,
                     const PassedOverVisitor& passed_over) {
  PeekedSource peeked(source);
  std::optional<XzSource> xz;
  if (peeked.head() == kXzMagic) xz.emplace(peeked, name);
  ByteSource& unpacked = xz ? static_cast<ByteSource&>(*xz) : peeked;
  ArchiveReader reader(unpacked, xz ? &*xz : nullptr, name);
  std::size_t number = 0;
  while (::archive_entry* entry = reader.next_entry()) {
    ++number;
    MemberSource content(reader);
    if (reader.is_single_file()) {
      if (!reader.is_compressed()) {
        throw DataError(
            fmt::format("{} is neither compressed nor an archive, as its name says; rename it to "
                        "end in .txt if it is text",
                        name));
      }
      visit(std::filesystem::path(name).stem().string(), content);
      continue;
    }
    const std::string member = member_name(entry, number);
    reader.set_member(member);
    if (passed_over) {
      const char* kind = kind_of_no_file(entry);
      if (kind != nullptr) passed_over(member, PassedOver::kNotAFile, kind);
      if (kind != nullptr) continue;
      if (is_unsafe_name(member)) {
        passed_over(member, PassedOver::kUnsafeName, "a name that leads outside");
        continue;
      }
    }
    const bool hidden = std::filesystem::path(member).filename().string().starts_with('.');
    if (::archive_entry_filetype(entry) == AE_IFREG && !hidden) visit(member, content);
  }
  if (!reader.is_empty()) return;
  if (!reader.is_compressed()) {
    throw DataError(
        fmt::format("cannot unpack {}: it has no bytes, which no archive is; copy it again", name));
  }
  EmptySource nothing;  // of which somebody has made a compressed file
  visit(std::filesystem::path(name).stem().string(), nothing);
}

}  // namespace ovid::data_tools
