#include "tests/tokenizer/archive_files.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <stdexcept>
#include <vector>

namespace ovid::test {
namespace {

using Reader =
    std::unique_ptr<archive, decltype([](archive* reader) { archive_read_free(reader); })>;

Reader open_archive(const std::filesystem::path& path, bool raw) {
  Reader reader(archive_read_new());
  archive_read_support_filter_all(reader.get());
  raw ? archive_read_support_format_raw(reader.get())
      : archive_read_support_format_tar(reader.get());
  if (archive_read_open_filename(reader.get(), path.c_str(), 1 << 16) != ARCHIVE_OK) {
    throw std::runtime_error(path.string() + ": " + archive_error_string(reader.get()));
  }
  return reader;
}

std::string read_member(archive* reader) {
  std::string bytes;
  std::vector<char> block(1 << 20);
  while (true) {
    const la_ssize_t count = archive_read_data(reader, block.data(), block.size());
    if (count < 0) throw std::runtime_error(archive_error_string(reader));
    if (count == 0) return bytes;
    bytes.append(block.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

std::string read_gzip(const std::filesystem::path& path) {
  const Reader reader = open_archive(path, true);
  archive_entry* entry = nullptr;
  if (archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK) {
    throw std::runtime_error(path.string() + ": " + archive_error_string(reader.get()));
  }
  return read_member(reader.get());
}

void for_each_member(const std::filesystem::path& path,
                     const std::function<void(const std::string&, std::string_view)>& visit) {
  const Reader reader = open_archive(path, false);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader.get(), &entry) == ARCHIVE_OK) {
    if (archive_entry_filetype(entry) == AE_IFREG)
      visit(archive_entry_pathname(entry), read_member(reader.get()));
  }
}

}  // namespace ovid::test
